"""Long, ordered, append-only streams in a SQLite file of their own: chunks of entries, several streams to a commit."""

from __future__ import annotations

import asyncio
import os
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from havre.store.ports import WHOLE, Entry, Extent, Part, Row, bounded
from havre.store.sqlite.committer import Committer
from havre.store.sqlite.database import Database

CHUNK_BYTES = 256 * 1024
CHUNK_SPAN = 600_000
"""Milliseconds between the first and the last entry of a chunk at most: it bounds where a scan has to begin to look."""
COMPRESSED_FROM = 1024
HEAVY_BYTES = 64 * 1024
SHRUNK_PAGES = 2000
"""Pages of 4 KiB that a commit gives back to the disk at most, where something was removed: some 80 ms of work."""
CACHED_STREAMS = 10_000
LEAST, MOST = -(1 << 62), 1 << 62
MIGRATIONS = (
    """
    CREATE TABLE stream (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL, bytes INTEGER NOT NULL);
    CREATE TABLE chunk (
        stream INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, first_seq INTEGER NOT NULL,
        count INTEGER NOT NULL, bytes INTEGER NOT NULL, compressed INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE INDEX chunk_first ON chunk (stream, first_at, first_seq, last_at);
    CREATE INDEX chunk_last ON chunk (stream, last_at, first_at);
    """,
    """
    ALTER TABLE stream ADD COLUMN first_at INTEGER;
    ALTER TABLE stream ADD COLUMN last_at INTEGER;
    ALTER TABLE stream ADD COLUMN appended INTEGER NOT NULL DEFAULT 0;
    UPDATE stream SET first_at = (SELECT min(first_at) FROM chunk WHERE stream = stream.id),
                      last_at = (SELECT max(last_at) FROM chunk WHERE stream = stream.id);
    """,
    """
    DROP INDEX chunk_last;
    CREATE INDEX chunk_last ON chunk (stream, last_at, first_seq, first_at);
    """,
)
FORWARD = """SELECT first_at, first_seq, compressed, body FROM chunk WHERE stream = (SELECT id FROM stream WHERE name = ?)
    AND first_at >= ? AND first_at < ? AND last_at >= ? AND (last_at > ? OR first_seq + count - 1 > ?)
    ORDER BY first_at, first_seq"""
BACKWARD = """SELECT last_at, first_seq + count - 1, first_at, first_seq, compressed, body FROM chunk
    WHERE stream = (SELECT id FROM stream WHERE name = ?) AND last_at >= ? AND last_at < ? AND first_at < ?
    AND (first_at < ? OR first_seq < ?)
    ORDER BY last_at DESC, first_seq DESC"""

EXTENTS = "SELECT name, bytes, first_at, last_at, appended FROM stream WHERE name >= ? AND name < ? ORDER BY name"
TOUCH = "UPDATE stream SET seq = ?, bytes = ?, first_at = ?, last_at = ?, appended = ? WHERE id = ?"


class Item(msgspec.Struct):
    """One thing to do: append ``entries``, or ``what`` (expire, drop, reset, shrink). ``durable`` is for who waits."""

    durable: asyncio.Future[int] | None
    what: str
    stream: str = ""
    entries: Sequence[tuple[int, bytes]] = ()
    before: int = 0
    now: int = 0
    bytes: int = 0
    result: int = 0


class Stream(msgspec.Struct):
    id: int
    seq: int = 0
    bytes: int = 0
    first: int | None = None
    last: int | None = None
    appended: int = 0

    def grow(self, first: int, last: int) -> None:
        """Entries from ``first`` to ``last`` (milliseconds) have come."""
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)

    @property
    def row(self) -> tuple[int | None, ...]:
        return (self.seq, self.bytes, self.first, self.last, self.appended, self.id)


class SqliteJournal:
    """See ``ports.Journal``. Made by ``open``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._streams: dict[str, Stream] = {}
        self._closing = False
        self._free = 0
        self._committer = Committer[Item](database, self._write, self._done, _heavy)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, vfs: str | None = None) -> SqliteJournal:
        """Raises Permanent when another process has the file."""
        return cls(Database.open(Path(path), MIGRATIONS, vfs, shrinks=True))

    # ------------------------------------------------------------------ writing

    async def append(self, stream: str, entries: Sequence[tuple[int, bytes]], *, now: int = 0) -> int:
        size = sum(len(data) for _, data in entries)
        return await self._add("append", stream, entries=entries, now=now, bytes=size)

    async def expire(self, stream: str, before: int) -> int:
        return await self._add("expire", stream, before=before)

    async def drop(self, stream: str) -> None:
        await self._add("drop", stream)

    async def reset(self) -> None:
        await self._add("reset", "")

    async def _add(self, what: str, stream: str, **more: Any) -> int:
        durable: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._committer.add(Item(durable, what, stream, **more))
        return await durable

    def _write(self, items: Sequence[Item]) -> None:
        """The statements of one commit. Appends to the same stream become the same chunks."""
        gathered: dict[str, list[Item]] = {}
        if len(self._streams) > CACHED_STREAMS:
            self._streams.clear()
        for item in items:
            if item.what == "append":
                gathered.setdefault(item.stream, []).append(item)
                continue
            self._append_all(gathered)
            gathered = {}
            if item.what == "expire":
                item.result = self._expire(item.stream, item.before)
            elif item.what == "drop":
                self._drop(item.stream)
            elif item.what == "reset":
                self._streams.clear()
                self._database.writer.execute("DELETE FROM chunk; DELETE FROM stream")
        self._append_all(gathered)
        if _removes(items):
            self._database.writer.execute(f"PRAGMA incremental_vacuum({SHRUNK_PAGES})").fetchall()

    def _append_all(self, gathered: dict[str, list[Item]]) -> None:
        if not gathered:
            return
        rows: list[tuple[Any, ...]] = []
        touched: list[tuple[int | None, ...]] = []
        for name, items in gathered.items():
            stream = self._stream(name)
            entries = [entry for item in items for entry in item.entries]
            entries.sort(key=itemgetter(0))
            for chunk in _cut(entries):
                rows.append(_pack(stream, chunk))
            for item in items:
                item.result = stream.seq
                stream.appended = max(stream.appended, item.now)
            touched.append(stream.row)
        self._database.writer.executemany("INSERT INTO chunk VALUES (?,?,?,?,?,?,?,?)", rows)
        self._database.writer.executemany(TOUCH, touched)

    def _known(self, name: str) -> Stream | None:
        if name not in self._streams:
            run: Any = self._database.writer.execute
            query = "SELECT id, seq, bytes, first_at, last_at, appended FROM stream WHERE name = ?"
            for row in run(query, (name,)).fetchall():
                self._streams[name] = Stream(*row)
        return self._streams.get(name)

    def _stream(self, name: str) -> Stream:
        known = self._known(name)
        if known is None:
            self._database.writer.execute("INSERT INTO stream (name, seq, bytes) VALUES (?, 0, 0)", (name,))
            known = self._streams[name] = Stream(self._database.writer.last_insert_rowid())
        return known

    def _expire(self, name: str, before: int) -> int:
        run: Any = self._database.writer.execute
        stream = self._known(name)
        if stream is None:
            return 0
        where = "FROM chunk WHERE stream = ? AND last_at < ?"
        ((count, size),) = run(f"SELECT sum(count), sum(bytes) {where}", (stream.id, before)).fetchall()
        if count:
            run(f"DELETE {where}", (stream.id, before))
            stream.bytes -= size
            ((stream.first,),) = run("SELECT min(first_at) FROM chunk WHERE stream = ?", (stream.id,)).fetchall()
            stream.last = None if stream.first is None else stream.last
            run(TOUCH, stream.row)
        return count or 0

    def _drop(self, name: str) -> None:
        stream = self._known(name)
        if stream is not None:
            self._database.writer.execute("DELETE FROM chunk WHERE stream = ?", (stream.id,))
            self._database.writer.execute("DELETE FROM stream WHERE id = ?", (stream.id,))
            del self._streams[name]

    def _done(self, items: Sequence[Item], error: Exception | None) -> None:
        if error is not None:
            self._streams.clear()
        elif _removes(items) and not self._closing:
            self._shrink()
        for item in items:
            if item.durable is None or item.durable.done():  # the caller was cancelled
                continue
            if error is None:
                item.durable.set_result(item.result)
            else:
                item.durable.set_exception(error)

    def _shrink(self) -> None:
        """Give the disk its room back, some at a time, so that appends get their turn in between."""
        run: Any = self._database.writer.execute
        ((free,),) = run("PRAGMA freelist_count").fetchall()
        if free and free != self._free:  # a file of an earlier version cannot shrink: there it stays as it is
            self._committer.add(Item(None, "shrink"))
        self._free = free

    # ------------------------------------------------------------------ reading

    async def scan(
        self, stream: str, part: Part = WHOLE, *, limit: int = 10_000, size: int | None = None
    ) -> Sequence[Entry]:
        low = LEAST if part.start is None else part.start
        high = MOST if part.end is None else part.end
        after, found = part.after, _Found(limit, size)
        if part.reverse:
            self._backward(stream, low, high if after is None else min(high, after[0] + 1), after, found)
        else:
            self._forward(stream, low if after is None else max(low, after[0]), high, after, found)
        return [Entry(*row) for row in bounded(found.rows, limit, size)]

    def _forward(self, stream: str, low: int, high: int, after: tuple[int, int] | None, ready: _Found) -> None:
        """Chunks may overlap in time: what comes before the next chunk's first entry is complete."""
        read: Any = self._database.reader.execute
        held: list[Row] = []
        bounds = (stream, low - CHUNK_SPAN, high, low, *(after or (low, 0)))
        for first_at, first_seq, compressed, body in read(FORWARD, bounds):
            if held and held[0][:2] < (first_at, first_seq):
                held.sort()
                complete = bisect_left(held, (first_at, first_seq))
                if ready.enough(held[:complete]):
                    return
                del held[:complete]
            found = [r for r in _unpack(first_at, first_seq, compressed, body) if low <= r[0] < high]
            held += found if after is None else [r for r in found if (r[0], r[1]) > after]
        held.sort()
        ready.enough(held)

    def _backward(self, stream: str, low: int, high: int, before: tuple[int, int] | None, ready: _Found) -> None:
        """The mirror image: what comes behind the next chunk's last entry is complete. ``held`` is kept ascending."""
        read: Any = self._database.reader.execute
        held: list[Row] = []
        bounds = (stream, low, high + CHUNK_SPAN, high, *(before or (high, MOST)))
        for last_at, last_seq, first_at, first_seq, compressed, body in read(BACKWARD, bounds):
            if held and held[-1][:2] > (last_at, last_seq):
                held.sort()
                complete = bisect_left(held, (last_at, last_seq + 1))
                if ready.enough(held[complete:][::-1]):
                    return
                del held[complete:]
            found = [r for r in _unpack(first_at, first_seq, compressed, body) if low <= r[0] < high]
            held = (found if before is None else [r for r in found if (r[0], r[1]) < before]) + held
        held.sort(reverse=True)
        ready.enough(held)

    async def extents(self, prefix: str) -> Mapping[str, Extent]:
        read: Any = self._database.reader.execute
        return {name: Extent(*rest) for name, *rest in read(EXTENTS, (prefix, prefix + "\U0010ffff"))}

    async def close(self) -> None:
        self._closing = True
        await self._committer.close()
        self._database.close()


class _Found:
    """Rows in their final order, gathered until there are enough."""

    def __init__(self, limit: int, size: int | None) -> None:
        self.rows: list[Row] = []
        self._limit = limit
        self._size = size

    def enough(self, rows: list[Row]) -> bool:
        self.rows += rows
        if self._size is not None:
            self._size -= sum(len(row[2]) for row in rows)
        return len(self.rows) >= self._limit or (self._size is not None and self._size <= 0)


def _removes(items: Sequence[Item]) -> bool:
    return any(item.what != "append" for item in items)


def _heavy(items: Sequence[Item]) -> bool:
    """Whether writing these would hold up the event loop: then a thread does it."""
    return _removes(items) or sum(item.bytes for item in items) > HEAVY_BYTES


def _cut(entries: list[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """Sorted entries, as chunks of bounded size and span."""
    first, size = 0, 0
    for n, (at, data) in enumerate(entries):
        if n > first and (size + len(data) > CHUNK_BYTES or at - entries[first][0] > CHUNK_SPAN):
            yield entries[first:n]
            first, size = n, 0
        size += len(data)
    if first < len(entries):
        yield entries[first:]


def _pack(stream: Stream, chunk: list[tuple[int, bytes]]) -> tuple[Any, ...]:
    """A chunk as a row; numbers its entries and counts it in the stream."""
    first_at, first_seq = chunk[0][0], stream.seq + 1
    size = sum(len(data) for _, data in chunk)
    stream.seq += len(chunk)
    stream.bytes += size
    stream.grow(first_at, chunk[-1][0])
    body = msgspec.msgpack.encode([(at - first_at, data) for at, data in chunk])
    compressed = len(body) >= COMPRESSED_FROM
    if compressed:
        body = zlib.compress(body, 1)
    return (stream.id, first_at, chunk[-1][0], first_seq, len(chunk), size, compressed, body)


_entries = msgspec.msgpack.Decoder(list[tuple[int, bytes]])


def _unpack(first_at: int, first_seq: int, compressed: int, body: bytes) -> list[Row]:
    entries = _entries.decode(zlib.decompress(body) if compressed else body)
    return [(first_at + at, seq, data) for seq, (at, data) in enumerate(entries, first_seq)]
