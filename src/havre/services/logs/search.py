"""Reading several streams of the journal as one, in the order of (time, stream, sequence)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from havre.services.logs.resources import Stream
from havre.store.ports import Entry, Journal

AT_ONCE = 2_000
AT_ONCE_BYTES = 1 << 20
FIRST, LAST = -1, 1 << 62


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
    """One stream from a place on."""

    def __init__(self, journal: Journal, stream: Stream, window: Window, after: Spot | None) -> None:
        self.stream = stream
        self._journal = journal
        self._window = window
        self._after = None if after is None else _behind(after, stream.spec.stream, window.reverse)
        self._ended = False

    async def more(self, limit: int) -> Sequence[Entry]:
        """The next entries, none at the end."""
        if self._ended:
            return ()
        start, end, reverse = self._window
        found = await self._journal.scan(
            self.stream.spec.journal,
            start=start,
            end=end,
            after=self._after,
            limit=limit,
            size=AT_ONCE_BYTES,
            reverse=reverse,
        )
        if found:
            self._after = (found[-1].at, found[-1].seq)
        self._ended = not found
        return found


def _behind(after: Spot, name: str, reverse: bool) -> tuple[int, int]:
    """Where a stream goes on when all together have come to ``after``: among events of one time the streams' names order."""
    if name == after.stream:
        return after.at, after.seq
    passed = name > after.stream if reverse else name < after.stream
    return after.at, (FIRST if reverse else LAST) if passed else (LAST if reverse else FIRST)


class Merged:
    """Cursors as one: ``take`` gives whatever is certain to come next, in order."""

    def __init__(self, cursors: Sequence[Cursor], reverse: bool) -> None:
        self._cursors = list(cursors)
        self._reverse = reverse
        self._each = max(AT_ONCE // max(len(cursors), 1), 100)
        self._held: list[tuple[int, str, int, Cursor, Entry]] = []
        self._ends: dict[int, tuple[int, str, int]] = {}

    async def take(self) -> Sequence[tuple[Stream, Entry]]:
        """None left when it is empty. Each round reads on in every stream whose last entry bounds what is certain."""
        while self._cursors:
            bound = self._bound()
            for cursor in [c for c in self._cursors if self._ends.get(id(c)) in (None, bound)]:
                await self._read(cursor)
            certain = self._certain()
            if certain:
                return certain
        rest, self._held = self._sorted(), []
        return [(cursor.stream, entry) for _, _, _, cursor, entry in rest]

    async def _read(self, cursor: Cursor) -> None:
        found = await cursor.more(self._each)
        if not found:
            self._cursors.remove(cursor)
            self._ends.pop(id(cursor), None)
            return
        name = cursor.stream.spec.stream
        self._held += [(e.at, name, e.seq, cursor, e) for e in found]
        self._ends[id(cursor)] = (found[-1].at, name, found[-1].seq)

    def _bound(self) -> tuple[int, str, int] | None:
        """The last place up to which every stream that goes on has been read."""
        ends = self._ends.values()
        if not ends:
            return None
        return max(ends) if self._reverse else min(ends)

    def _sorted(self) -> list[tuple[int, str, int, Cursor, Entry]]:
        return sorted(self._held, key=lambda h: h[:3], reverse=self._reverse)

    def _certain(self) -> Sequence[tuple[Stream, Entry]]:
        bound = self._bound()
        if bound is None:
            return ()
        held = self._sorted()
        count = next((n for n, h in enumerate(held) if (h[:3] < bound if self._reverse else h[:3] > bound)), len(held))
        self._held = held[count:]
        return [(cursor.stream, entry) for _, _, _, cursor, entry in held[:count]]
