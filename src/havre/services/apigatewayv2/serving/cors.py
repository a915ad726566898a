"""Cross-origin requests, as the API's configuration answers them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.core.http_events import Asked, HttpAnswer


def preflight(asked: Asked, cors: Mapping[str, Any]) -> HttpAnswer | None:
    """The answer to a browser that asks first; None for any other request."""
    if asked.method != "OPTIONS" or not asked.header("origin") or not asked.header("access-control-request-method"):
        return None
    headers = list(allowed(asked, cors))
    if headers:
        for member, name in (
            ("AllowMethods", "access-control-allow-methods"),
            ("AllowHeaders", "access-control-allow-headers"),
        ):
            if cors.get(member):
                headers.append((name, ",".join(cors[member])))
        if cors.get("MaxAge"):
            headers.append(("access-control-max-age", str(cors["MaxAge"])))
    return HttpAnswer(204, tuple(headers), b"")


def allowed(asked: Asked, cors: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What an answer has besides; nothing for an origin that is not let in."""
    origin, origins = asked.header("origin"), cors.get("AllowOrigins") or ()
    if not origin or not any(_fits(origin, each) for each in origins):
        return ()
    headers = [("access-control-allow-origin", "*" if "*" in origins else origin)]
    if "*" not in origins:
        headers.append(("vary", "origin"))
    if cors.get("AllowCredentials"):
        headers.append(("access-control-allow-credentials", "true"))
    if cors.get("ExposeHeaders"):
        headers.append(("access-control-expose-headers", ",".join(cors["ExposeHeaders"])))
    return tuple(headers)


def _fits(origin: str, allowed: str) -> bool:
    if allowed in ("*", origin):
        return True
    return allowed.endswith("://*") and origin.startswith(allowed[:-1])


def without(answer: HttpAnswer) -> tuple[tuple[str, str], ...]:
    """The headers of an answer but those that the API's own configuration decides on."""
    return tuple((name, value) for name, value in answer.headers if not name.startswith("access-control-"))
