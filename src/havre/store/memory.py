"""A store and a journal in memory: for tests, the simulation, and installations that need not remember."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from havre.kernel.resource import Key, Kind
from havre.kernel.world import World
from havre.store.feed import Feed, Topics, whole
from havre.store.image import Image, execute, undo, wipe
from havre.store.memory_pack import MemoryPack
from havre.store.ports import (
    WHOLE,
    Change,
    Clear,
    Entry,
    Extent,
    OutboxMessage,
    Part,
    Put,
    Subscription,
    Take,
    Transaction,
    bounded,
)

R = TypeVar("R")
FEED_LIMIT = 100_000


class MemoryStore:
    """``fault``, when set, is called before each commit; what it raises (Temporary) is what a failing disk would do."""

    def __init__(self, kinds: Iterable[Kind[Any, Any]], world: World, feed_limit: int = FEED_LIMIT) -> None:
        self._image = Image(kinds)
        self._world = world
        self._feed = Feed()
        self._topics = Topics()
        self._history: deque[tuple[int, Key]] = deque()
        self._limit = feed_limit
        self._floor = 0
        self._outbox: dict[str, list[OutboxMessage]] = {}
        self._message = 0
        self.fault: Callable[[], None] | None = None
        self.pack = MemoryPack()
        self.kind = self._image.kind
        self.get = self._image.get
        self.list = self._image.list
        self.find = self._image.find
        self.first = self._image.first
        self.count = self._image.count

    @property
    def revision(self) -> int:
        return self._image.revision

    async def transact(self, change: Callable[[Transaction], R]) -> R:
        result, executed = execute(self._image, self._world, change)
        if executed is None:
            return result
        if self.fault is not None:
            try:
                self.fault()
            except Exception:
                undo(self._image, executed.undo)
                self._image.revision += 1
                raise
        for topic, payload in executed.emitted:
            self._message += 1
            self._outbox.setdefault(topic, []).append(OutboxMessage(self._message, topic, payload))
            self._topics.note(topic, self._message)
        self._publish(executed.changes)
        return result

    def _publish(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._history.append((change.revision, change.key))
        while len(self._history) > self._limit:
            self._floor = self._history.popleft()[0]
        self._feed.publish(changes)

    async def settled(self) -> None:
        return

    def subscribe(self, kinds: Iterable[str] | None = None) -> Subscription:
        return self._feed.subscribe(kinds)

    async def changes_since(self, revision: int, limit: int = 1000) -> Sequence[tuple[int, Key]] | None:
        if revision < self._floor:
            return None
        return whole([(r, k) for r, k in self._history if r > revision], limit)

    async def outbox(self, topic: str, limit: int = 1000) -> Sequence[OutboxMessage]:
        return self._outbox.get(topic, [])[:limit]

    async def delivered(self, topic: str, up_to: int) -> None:
        self._outbox[topic] = [m for m in self._outbox.get(topic, []) if m.id > up_to]

    async def emitted(self, topic: str, after: int = 0) -> int:
        return await self._topics.wait(topic, after)

    async def reset(self) -> None:
        changes = wipe(self._image, self._world).changes
        self._outbox.clear()
        self._history.clear()
        self._floor = self._image.revision
        self._feed.publish(changes)

    async def close(self) -> None:
        self._feed.close()


class _Stream:
    __slots__ = ("appended", "bytes", "entries", "seq")

    def __init__(self) -> None:
        self.seq = 0
        self.bytes = 0
        self.appended = 0
        self.entries: list[tuple[int, int, bytes]] = []

    @property
    def extent(self) -> Extent:
        first, last = (self.entries[0][0], self.entries[-1][0]) if self.entries else (None, None)
        return Extent(self.bytes, first, last, self.appended)


class MemoryJournal:
    """Streams as sorted lists."""

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}
        self.fault: Callable[[], None] | None = None

    async def append(self, stream: str, entries: Sequence[tuple[int, bytes]], *, now: int = 0) -> int:
        if self.fault is not None:
            self.fault()
        s = self._streams.setdefault(stream, _Stream())
        s.appended = max(s.appended, now)
        for at, data in sorted(entries, key=lambda e: e[0]):
            s.seq += 1
            s.bytes += len(data)
            if s.entries and s.entries[-1][0] > at:
                insort(s.entries, (at, s.seq, data))
            else:
                s.entries.append((at, s.seq, data))
        return s.seq

    async def scan(
        self, stream: str, part: Part = WHOLE, *, limit: int = 10_000, size: int | None = None
    ) -> Sequence[Entry]:
        if stream not in self._streams:
            return []
        entries = self._streams[stream].entries
        after, reverse = part.after, part.reverse
        first = 0 if part.start is None else bisect_left(entries, (part.start,))
        last = len(entries) if part.end is None else bisect_left(entries, (part.end,))
        if after is not None and reverse:
            last = min(last, bisect_left(entries, after))
        elif after is not None:
            first = max(first, bisect_right(entries, after, key=lambda e: (e[0], e[1])))
        if first >= last:
            return []
        found = entries[max(first, last - limit) : last][::-1] if reverse else entries[first : min(last, first + limit)]
        return [Entry(*e) for e in bounded(found, limit, size)]

    async def expire(self, stream: str, before: int) -> int:
        if stream not in self._streams:
            return 0
        s = self._streams[stream]
        gone = bisect_left(s.entries, (before,))
        s.bytes -= sum(len(e[2]) for e in s.entries[:gone])
        del s.entries[:gone]
        return gone

    async def drop(self, stream: str) -> None:
        self._streams.pop(stream, None)

    async def extents(self, prefix: str) -> Mapping[str, Extent]:
        found = sorted((name, s) for name, s in self._streams.items() if name.startswith(prefix))
        return {name: s.extent for name, s in found}

    async def reset(self) -> None:
        self._streams.clear()

    async def close(self) -> None:
        return


class MemoryRecords:
    """Shelves as dictionaries. A write is durable at once; ``fault`` as in MemoryStore."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._shelves: dict[str, dict[int, tuple[bytes, bytes]]] = {}
        self.fault: Callable[[], None] | None = None

    def number(self, shelf: str) -> int:
        self._numbers[shelf] = number = self._numbers.get(shelf, 0) + 1
        return number

    def write(self, changes: Sequence[Put | Take | Clear], done: Callable[[Exception | None], None]) -> None:
        if self.fault is not None:
            try:
                self.fault()
            except Exception as error:
                done(error)
                return
        for change in changes:
            self._apply(change)
        done(None)

    def _apply(self, change: Put | Take | Clear) -> None:
        shelf = self._shelves.setdefault(change.shelf, {})
        if isinstance(change, Put):
            shelf[change.number] = (change.head, change.body)
        elif isinstance(change, Take):
            shelf.pop(change.number, None)
        elif change.up_to is None:
            del self._shelves[change.shelf]
        else:
            for number in [n for n in shelf if n <= change.up_to]:
                del shelf[number]

    def heads(self, shelf: str, after: int = 0, limit: int = 1000) -> Sequence[tuple[int, bytes]]:
        records = self._shelves.get(shelf, {})
        return [(n, records[n][0]) for n in sorted(n for n in records if n > after)[:limit]]

    def bodies(self, shelf: str, numbers: Sequence[int]) -> Sequence[bytes | None]:
        records = self._shelves.get(shelf, {})
        return [records[n][1] if n in records else None for n in numbers]

    def shelves(self, prefix: str) -> Sequence[str]:
        return sorted(name for name in self._shelves if name.startswith(prefix))

    async def reset(self) -> None:
        self._shelves.clear()

    async def close(self) -> None:
        return
