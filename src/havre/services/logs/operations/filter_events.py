"""FilterLogEvents: a whole group, or some of its streams, interleaved and filtered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from havre.control.operation import Answer, Call, Operations, Request
from havre.services.logs import names, paging, queries
from havre.services.logs.errors import invalid
from havre.services.logs.events import HEAD, OVERHEAD, PAGE_BYTES, PAGE_EVENTS, event_id, ingested, message
from havre.services.logs.operations.patterns import compiled
from havre.services.logs.resources import Group, Stream, journals
from havre.services.logs.search import Cursor, Merged, Spot, Window
from havre.store.ports import Entry, Extent

ops = Operations()
SCANNED_BYTES, SCANNED_EVENTS = 16 << 20, 100_000
"""After so much was looked through for one page it ends, found or not: the rest is the next page's."""
BACKWARDS_FROM = 1_704_067_200_000
"""2024-01-01T00:00:00Z in milliseconds: reading backwards reaches no further."""


@ops("FilterLogEvents", resources=names.of_group, conditions=names.conditions, data_event=True)
async def filter_log_events(call: Call, request: Request) -> Answer:
    group = queries.group(call, names.group_name(call, request))
    page = _Page(request.get("limit", PAGE_EVENTS), compiled(request.get("filterPattern", "")).matches)
    after, reverse = _position(call, request)
    window = _window(request, queries.oldest(group, call.now), reverse)
    merged = Merged(call.journal, await _cursors(call, request, group, window, after), reverse)
    while not page.ended and (found := await merged.take()):
        page.look(found)
        await asyncio.sleep(0)
    token = paging.write(call, _question(request), [*page.end, reverse]) if page.ended else None
    return {"events": page.events, "searchedLogStreams": [], "nextToken": token}


def _question(request: Request) -> Request:
    """What a token belongs to. It has its direction in itself; a window that moves with the clock is no other question."""
    return {k: v for k, v in request.items() if k not in ("startFromHead", "startTime", "endTime", "interleaved")}


def _position(call: Call, request: Request) -> tuple[Spot | None, bool]:
    """Behind which place to go on, and whether backwards."""
    position = paging.read(call, _question(request))
    if position is None:
        return None, not request.get("startFromHead", True)
    at, stream, seq, reverse = position
    return Spot(at, stream, seq), reverse


def _window(request: Request, oldest: int, reverse: bool) -> Window:
    start, end = request.get("startTime", 0), request.get("endTime")
    if reverse and start < BACKWARDS_FROM:
        raise invalid("startFromHead can be false only when startTime is on or after Jan 1, 2024 00:00:00 UTC.")
    return Window(max(start, oldest), None if end is None else end + 1, reverse)


async def _cursors(call: Call, request: Request, group: Group, window: Window, after: Spot | None) -> Sequence[Cursor]:
    """Of the streams that may have events in the window: what a stream's extent rules out is not read."""
    wanted, prefix = request.get("logStreamNames"), request.get("logStreamNamePrefix")
    if wanted is not None and prefix is not None:
        raise invalid("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
    name = group.meta.name
    if wanted is not None:
        found: Sequence[Stream] = [queries.stream(call, name, each) for each in dict.fromkeys(wanted)]
    else:
        found = queries.streams(call, name, prefix or "")
    extents = await call.journal.extents(journals(call.account, call.region, group.spec.uid))
    start, end, reverse = window
    if after is not None:
        start, end = (start, after.at + 1) if reverse else (max(start, after.at), end)
    known = ((each, extents.get(each.spec.journal)) for each in found)
    return [Cursor(each, extent, window, after) for each, extent in known if extent and _overlaps(extent, start, end)]


def _overlaps(extent: Extent, start: int, end: int | None) -> bool:
    if extent.first is None or extent.last is None:
        return False
    return extent.last >= start and (end is None or extent.first < end)


class _Page:
    """What matched, until it is a page. ``end`` is the last place that was looked at."""

    def __init__(self, limit: int, matches: Callable[[str], bool]) -> None:
        self.events: list[dict[str, Any]] = []
        self.end = Spot(0, "", 0)
        self.ended = False
        self._limit = limit
        self._matches = matches
        self._room = PAGE_BYTES
        self._events_left, self._bytes_left = SCANNED_EVENTS, SCANNED_BYTES

    def look(self, found: Sequence[tuple[Spot, Stream, Entry]]) -> None:
        for spot, stream, entry in found:
            text = message(entry.data)
            if self._matches(text) and not self._add(stream, entry, text):
                return
            self.end = spot
            self._events_left -= 1
            self._bytes_left -= len(entry.data)
        self.ended = self.ended or self._events_left <= 0 or self._bytes_left <= 0

    def _add(self, stream: Stream, entry: Entry, text: str) -> bool:
        """False when it belongs on the next page."""
        size = len(entry.data) - HEAD + OVERHEAD
        if len(self.events) >= self._limit or (self.events and size > self._room):
            self.ended = True
            return False
        self._room -= size
        self.events.append(
            {
                "logStreamName": stream.spec.stream,
                "timestamp": entry.at,
                "message": text,
                "ingestionTime": ingested(entry.data),
                "eventId": event_id(stream.spec.journal, entry),
            }
        )
        return True
