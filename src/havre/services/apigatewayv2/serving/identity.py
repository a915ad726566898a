"""Where authorizers look for who asks."""

from __future__ import annotations

from collections.abc import Callable

from havre.core.http_events import Asked, Place, event_2


def identity(source: str, asked: Asked, place: Place) -> str | None:
    """The value of ``$request.header.Authorization`` and the like; None where the request has none."""
    kind, _, name = source.removeprefix("$").rpartition(".")
    values: dict[str, Callable[[], str | None]] = {
        "request.header": lambda: asked.header(name.lower()) or None,
        "request.querystring": lambda: event_2(asked, place).get("queryStringParameters", {}).get(name),
        "stageVariables": lambda: place.stage_variables.get(name),
        "context": lambda: str(event_2(asked, place)["requestContext"].get(name) or "") or None,
    }
    return values[kind]() if kind in values else None
