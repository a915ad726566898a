"""Passwords for ``docker login`` and addresses of layers: what they stand for, with an HMAC over it.

They need no storage, hold over a restart, and cannot be made or altered by anyone without the installation's secret.
"""

from __future__ import annotations

import base64
import hmac
import zlib
from typing import Any

import msgspec

LIFETIME = 12 * 3600
"""Seconds that an authorization token holds, as in ECR."""
USER = "AWS"
_MAC = 32
_LIMIT = 64 * 1024


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """``principal`` is the caller as whoever issued the ticket encoded it. Times in seconds since the epoch.

    ``layer`` is ``account/region/repository@digest`` on a ticket that opens one layer only, and then "" is no principal.
    """

    principal: bytes
    account: str
    issued: int
    expires: int
    layer: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Ticket).decode


class Passwords:
    """Makes tickets into texts and reads them."""

    def __init__(self, secret: bytes) -> None:
        """``secret``: at least 32 random bytes, the same over restarts and on every server of an installation."""
        if len(secret) < 32:
            raise ValueError("the installation's secret must have at least 32 bytes")
        self._key = hmac.digest(secret, b"registry-password", "sha256")

    def issue(self, ticket: Ticket) -> str:
        """URL-safe text."""
        body = zlib.compress(_encode(ticket), 9)
        return base64.urlsafe_b64encode(self._mac(body) + body).decode("ascii").rstrip("=")

    def read(self, text: str) -> Ticket | None:
        """None when this installation did not issue it. Expiry is not checked."""
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            return None
        mac, body = raw[:_MAC], raw[_MAC:]
        if len(text) > _LIMIT or not hmac.compare_digest(self._mac(body), mac):
            return None
        try:
            return _decode(zlib.decompress(body))
        except (msgspec.DecodeError, zlib.error):
            return None

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")


def encode_principal(principal: Any) -> bytes:
    """A record as the ticket carries it."""
    return _encode(principal)
