"""Who asks, and whether they may."""

from __future__ import annotations

import base64
from functools import lru_cache

import msgspec

from havre.control.images import Place
from havre.control.operation import Principal
from havre.core.images.passwords import USER, Passwords, Ticket
from havre.dataplanes.registry.errors import OciError
from havre.dataplanes.registry.exchange import Exchange
from havre.dataplanes.registry.ports import Authorize
from havre.kernel.world import World

_TICKETS = 1024
"""Tickets that are kept read, so that each of the many requests of a push does not check the same HMAC again."""
_decode_principal = msgspec.msgpack.Decoder(Principal).decode


class Gate:
    """``authorize`` None lets everybody do everything (``--auth open``)."""

    def __init__(self, world: World, passwords: Passwords, authorize: Authorize | None) -> None:
        self._world = world
        self._passwords = passwords
        self._authorize = authorize
        self._read = lru_cache(_TICKETS)(self._read_anew)

    def identify(self, exchange: Exchange) -> None:
        """Sets ``exchange.principal``. Raises OciError 401 when nobody vouches for the caller, 403 when it is too late."""
        if self._authorize is None:
            return
        ticket, principal = self._read(exchange.headers.get(b"authorization", b""))
        if ticket is None or principal is None:
            host = exchange.header(b"host") or "registry"
            challenge = f'Basic realm="http://{host}/",service="ecr.amazonaws.com"'.encode("latin-1")
            raise OciError(401, "UNAUTHORIZED", "Not Authorized", None, {b"www-authenticate": challenge})
        if ticket.expires <= self._world.now():
            message = "Your authorization token has expired. Reauthenticate and try again."
            raise OciError(403, "DENIED", message)
        exchange.principal = principal

    async def allow(self, exchange: Exchange, action: str, place: Place | None = None) -> None:
        """Raises OciError 403. ``place`` is another repository than the request's own."""
        if refusal := await self.refusal(exchange, action, place or exchange.place):
            raise OciError(403, "DENIED", refusal)

    async def refusal(self, exchange: Exchange, action: str, place: Place) -> str:
        """Why not, in AWS's words; "" when it is allowed."""
        if self._authorize is None:
            return ""
        return await self._authorize(exchange.principal, action, place, exchange.source_ip)

    def opens(self, exchange: Exchange, digest: str) -> bool:
        """Whether the request brings a ticket for this very layer (GetDownloadUrlForLayer)."""
        text = exchange.parameter("ticket")
        ticket = self._passwords.read(text) if text else None
        return (
            ticket is not None
            and ticket.layer == f"{exchange.place.scope}@{digest}"
            and ticket.expires > self._world.now()
        )

    def _read_anew(self, header: bytes) -> tuple[Ticket | None, Principal | None]:
        scheme, _, value = header.decode("latin-1").partition(" ")
        text = value.strip()
        if scheme.lower() == "basic":
            try:
                user, _, text = base64.b64decode(text, validate=True).decode().partition(":")
            except ValueError:
                return None, None
            if user != USER:
                return None, None
        elif scheme.lower() != "bearer":
            return None, None
        ticket = self._passwords.read(text)
        if ticket is None or ticket.layer:
            return None, None
        return ticket, _decode_principal(ticket.principal)
