"""Reading several streams of the journal as one, in the order of (time, stream, sequence)."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from havre.services.logs.resources import Stream
from havre.store.ports import Entry, Extent, Journal, Part

AT_ONCE = 2_000
"""Entries that are read at once, of all streams together; of each it is LEAST at least."""
AT_ONCE_BYTES = 8 << 20
LEAST, LEAST_BYTES = 100, 32 << 10
FIRST, LAST = -1, 1 << 62
HIGHEST = "\U0010ffff"
"""Behind every name."""


class Spot(NamedTuple):
    """A place in all streams together."""

    at: int
    stream: str
    seq: int


class Window(NamedTuple):
    """Milliseconds; ``end`` is not included, None for none."""

    start: int
    end: int | None
    reverse: bool = False


class Cursor:
    """One stream from a place on. ``read`` is the last place that was read, at first one before all of its entries."""

    def __init__(self, stream: Stream, extent: Extent, window: Window, after: Spot | None) -> None:
        """``extent`` is the stream's; it has entries."""
        self.stream = stream
        self._window = window
        self._after = None if after is None else _behind(after, stream.spec.stream, window.reverse)
        begin = extent.last if window.reverse else extent.first
        assert begin is not None
        self.read = Spot(begin, HIGHEST, LAST) if window.reverse else Spot(begin, "", FIRST)

    async def more(self, journal: Journal, limit: int, size: int) -> Sequence[Entry]:
        """The next entries, none at the end."""
        start, end, reverse = self._window
        part = Part(start, end, self._after, reverse)
        found = await journal.scan(self.stream.spec.journal, part, limit=limit, size=size)
        if found:
            last = found[-1]
            self._after = (last.at, last.seq)
            self.read = Spot(last.at, self.stream.spec.stream, last.seq)
        return found


def _behind(after: Spot, name: str, reverse: bool) -> tuple[int, int]:
    """Where a stream goes on when all together have come to ``after``: among events of one time the streams' names order."""
    if name == after.stream:
        return after.at, after.seq
    passed = name > after.stream if reverse else name < after.stream
    return after.at, (FIRST if reverse else LAST) if passed else (LAST if reverse else FIRST)


Held = tuple[Spot, Stream, Entry]


class Merged:
    """Cursors as one. A stream is not read before the others have come to its first entry: most streams of a group are over
    when the next one begins."""

    def __init__(self, journal: Journal, cursors: Sequence[Cursor], reverse: bool) -> None:
        self._journal = journal
        self._reverse = reverse
        self._waiting = sorted(cursors, key=lambda c: c.read, reverse=not reverse)
        self._active: list[Cursor] = []
        self._held: list[Held] = []

    async def take(self) -> Sequence[Held]:
        """Whatever is certain to come next, in order; empty at the end."""
        while self._active or self._waiting:
            bound = self._bound()
            while self._waiting and self._waiting[-1].read == bound:
                self._active.append(self._waiting.pop())
            for cursor in [c for c in self._active if c.read == bound]:
                await self._read(cursor)
            if certain := self._certain():
                return certain
        rest, self._held = self._sorted(), []
        return rest

    async def _read(self, cursor: Cursor) -> None:
        count = len(self._active)
        size = max(AT_ONCE_BYTES // count, LEAST_BYTES)
        found = await cursor.more(self._journal, max(AT_ONCE // count, LEAST), size)
        if not found:
            self._active.remove(cursor)
            return
        stream = cursor.stream
        name = stream.spec.stream
        self._held += [(Spot(e.at, name, e.seq), stream, e) for e in found]

    def _bound(self) -> Spot | None:
        """The place up to which every stream that goes on has been read."""
        places = [c.read for c in self._active]
        if self._waiting:
            places.append(self._waiting[-1].read)
        if not places:
            return None
        return max(places) if self._reverse else min(places)

    def _sorted(self) -> list[Held]:
        return sorted(self._held, key=itemgetter(0), reverse=self._reverse)

    def _certain(self) -> Sequence[Held]:
        bound = self._bound()
        if bound is None:
            return ()
        held = self._sorted()
        beyond = (n for n, h in enumerate(held) if (h[0] < bound if self._reverse else h[0] > bound))
        count = next(beyond, len(held))
        self._held = held[count:]
        return held[:count]
