"""GetLogEvents: one stream, forwards or backwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from havre.control.operation import Answer, Call, Operations, Request
from havre.services.logs import names, queries
from havre.services.logs.events import PAGE_BYTES, PAGE_EVENTS, Place, fitting, ingested, message, read_token, token
from havre.store.ports import Entry, Part

ops = Operations()
FAR = 1 << 53
"""Milliseconds: after every event."""


@ops("GetLogEvents", resources=names.of_stream, conditions=names.conditions, data_event=True)
async def get_log_events(call: Call, request: Request) -> Answer:
    name = names.group_name(call, request)
    group = queries.group(call, name)
    journal = queries.stream(call, name, request["logStreamName"]).spec.journal
    place: Place | None = None
    direction = "f" if request.get("startFromHead") else "b"
    if request.get("nextToken"):
        direction, place = read_token(request["nextToken"])
    start = max(request.get("startTime", 0), queries.oldest(group, call.now))
    part = Part(start, request.get("endTime"), place, direction == "b")
    found = await call.journal.scan(journal, part, limit=request.get("limit", PAGE_EVENTS), size=PAGE_BYTES)
    found = found[: fitting(found)]
    events = found[::-1] if direction == "b" else found
    forward, backward = _places(events, direction, place, (start, request.get("endTime")))
    return {
        "events": [_shown(entry) for entry in events],
        "nextForwardToken": token("f", forward),
        "nextBackwardToken": token("b", backward),
    }


def _places(
    events: Sequence[Entry], direction: str, place: Place | None, window: tuple[int, int | None]
) -> tuple[Place, Place]:
    """Where to go on, forwards and backwards. Where nothing was found, the token of the request comes back: that is how
    clients tell the end; the other one leads back to what lies on this side of it."""
    if events:
        return (events[-1].at, events[-1].seq), (events[0].at, events[0].seq)
    if place is None:
        start, end = window
        return (start - 1, 0), (FAR if end is None else end, 0)
    at, seq = place
    return (place, (at, seq + 1)) if direction == "f" else ((at, seq - 1), place)


def _shown(entry: Entry) -> dict[str, Any]:
    return {"timestamp": entry.at, "message": message(entry.data), "ingestionTime": ingested(entry.data)}
