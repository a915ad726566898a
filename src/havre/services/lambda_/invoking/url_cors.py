"""Cross-origin requests to function URLs, as the URL's configuration answers them. Pure."""

from __future__ import annotations

from havre.core.http_events import Asked, HttpAnswer
from havre.services.lambda_.resources import Cors

Headers = tuple[tuple[str, str], ...]


def preflight(asked: Asked, cors: Cors) -> HttpAnswer | None:
    """The answer to a browser that asks first; None for any other request."""
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
    return HttpAnswer(200, headers, b"")


def allowed(asked: Asked, cors: Cors) -> Headers:
    """What an answer has besides; nothing for an origin that is not let in."""
    origin, origins = asked.header("origin"), cors.origins or ()
    if not origin or not any(_fits(origin, each) for each in origins):
        return ()
    anyone = "*" in origins and not cors.credentials
    headers: Headers = (("access-control-allow-origin", "*" if anyone else origin),)
    if not anyone:
        headers += (("vary", "Origin"),)
    if cors.credentials:
        headers += (("access-control-allow-credentials", "true"),)
    if cors.expose:
        headers += (("access-control-expose-headers", ",".join(cors.expose)),)
    return headers


def _fits(origin: str, pattern: str) -> bool:
    if pattern in ("*", origin):
        return True
    scheme, wild, domain = pattern.partition("*.")
    return bool(wild) and origin.startswith(scheme) and origin.endswith(f".{domain}")


def without(headers: Headers) -> Headers:
    """A function's headers but those that the URL's own configuration decides on."""
    return tuple(each for each in headers if not each[0].startswith("access-control-"))
