"""Cross-origin requests to HTTP APIs and function URLs, as their configurations answer them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from havre.core.http_events import Asked

Headers = tuple[tuple[str, str], ...]


class Cors(msgspec.Struct, frozen=True):
    """``max_age`` in seconds, 0 for none said. ``subdomains``: whether ``https://*.example.com`` stands for all of them;
    ``https://*`` always does for every host."""

    origins: Sequence[str] = ()
    methods: Sequence[str] = ()
    headers: Sequence[str] = ()
    expose: Sequence[str] = ()
    max_age: int = 0
    credentials: bool = False
    subdomains: bool = False


def preflight(asked: Asked, cors: Cors) -> Headers | None:
    """What is answered to a browser that asks first; None for any other request."""
    if asked.method != "OPTIONS" or not asked.header("origin") or not asked.header("access-control-request-method"):
        return None
    headers = allowed(asked, cors)
    if headers:
        if cors.methods:
            headers += (("access-control-allow-methods", ",".join(cors.methods)),)
        if cors.headers:
            headers += (("access-control-allow-headers", ",".join(cors.headers)),)
        if cors.max_age:
            headers += (("access-control-max-age", str(cors.max_age)),)
    return headers


def allowed(asked: Asked, cors: Cors) -> Headers:
    """What an answer has besides; nothing for an origin that is not let in."""
    origin = asked.header("origin")
    if not origin or not any(_fits(origin, each, cors.subdomains) for each in cors.origins):
        return ()
    anyone = "*" in cors.origins and not cors.credentials
    headers: Headers = (("access-control-allow-origin", "*" if anyone else origin),)
    if not anyone:
        headers += (("vary", "origin"),)
    if cors.credentials:
        headers += (("access-control-allow-credentials", "true"),)
    if cors.expose:
        headers += (("access-control-expose-headers", ",".join(cors.expose)),)
    return headers


def _fits(origin: str, pattern: str, subdomains: bool) -> bool:
    if pattern in ("*", origin):
        return True
    if pattern.endswith("://*"):
        return origin.startswith(pattern[:-1])
    scheme, wild, domain = pattern.partition("*.")
    return subdomains and bool(wild) and origin.startswith(scheme) and origin.endswith(f".{domain}")


def without(headers: Headers) -> Headers:
    """An answer's headers but those that the configuration decides on."""
    return tuple(each for each in headers if not each[0].startswith("access-control-"))
