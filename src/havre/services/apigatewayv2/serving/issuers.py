"""Issuers of tokens: their keys, from where OpenID Connect's discovery says. Sizes and times are AWS's bounds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from havre.engines.web import fetch
from havre.kernel.errors import Permanent, Temporary
from havre.services.apigatewayv2.rules import DISCOVERY

TIMEOUT = 1.5
"""Seconds for each answer."""
MOST = 150_000
"""Bytes of each answer."""
FRESH = 2 * 3600.0
"""Seconds for which keys are good: so much later at most is a key refused that its issuer has withdrawn."""
AGAIN = 10.0
"""Seconds between two questions to one issuer: tokens with made-up keys must not become requests to it."""
_REMEMBERED = 1_000
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
Keys = Mapping[str, Mapping[str, Any]]


class Unreachable(Exception):
    """The issuer's keys cannot be had; the words are AWS's."""


class BadIssuer(Exception):
    """Not something that tokens could be issued by."""


class _Known(msgspec.Struct):
    """``asked`` is when the issuer was last asked, ``got`` when it last answered; ``why``: that it did not."""

    lock: asyncio.Lock
    keys: Keys = {}
    asked: float = -FRESH
    got: float = -FRESH
    why: str = ""


class Issuers:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[str, _Known] = {}

    async def key(self, issuer: str, id: str) -> Mapping[str, Any] | None:
        """The key of this id as a JSON Web Key; None when the issuer has none. Raises Unreachable."""
        known = self._known.get(issuer)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[issuer] = _Known(asyncio.Lock())
        if self._good(known, id):
            return known.keys[id]
        async with known.lock:
            if not self._good(known, id) and self._clock() >= known.asked + AGAIN:
                await self._ask(issuer, known)
            if self._clock() >= known.got + FRESH:
                raise Unreachable(known.why)
            return known.keys.get(id)

    def _good(self, known: _Known, id: str) -> bool:
        return id in known.keys and self._clock() < known.got + FRESH

    async def _ask(self, issuer: str, known: _Known) -> None:
        known.asked = self._clock()
        try:
            known.keys = await keys_of(issuer)
            known.got = self._clock()
        except Unreachable as why:
            known.why = str(why)


async def keys_of(issuer: str) -> Keys:
    """By their ids. Raises Unreachable."""
    try:
        url = (await discover(issuer))["jwks_uri"]
    except (BadIssuer, Permanent, Temporary):
        raise Unreachable("OIDC discovery endpoint communication error") from None
    try:
        _check(url)
        found: Any = (await _read(url)).get("keys")
        return {each["kid"]: each for each in found if isinstance(each.get("kid"), str)}
    except (BadIssuer, Permanent, Temporary, TypeError, AttributeError):
        raise Unreachable("JWKS communication error") from None


async def discover(issuer: str) -> Mapping[str, Any]:
    """What the issuer says of itself, ``jwks_uri`` among it. Raises BadIssuer, Temporary, Permanent."""
    _check(issuer)
    document = await _read(issuer.rstrip("/") + DISCOVERY)
    if not isinstance(document.get("jwks_uri"), str):
        raise BadIssuer("its discovery document has no jwks_uri")
    if str(document.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
        raise BadIssuer("its discovery document names another issuer")
    return document


def _check(url: str) -> None:
    """Keys come over TLS, or from this machine. Raises BadIssuer."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise BadIssuer("it is no URL") from None
    local = host in _LOOPBACK or host.endswith(".localhost")
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise BadIssuer("it is no URL of HTTPS")


async def _read(url: str) -> Mapping[str, Any]:
    """Raises BadIssuer, Temporary, Permanent."""
    answer = await fetch("GET", url, (("accept", "application/json"),), b"", TIMEOUT, MOST)
    try:
        document: Any = json.loads(answer.body) if answer.status == 200 else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BadIssuer(f"it answers {answer.status} without a JSON document")
    return document
