"""Records that come and go by the thousand, in a SQLite file of their own.

A shelf's records lie side by side: the key is the shelf's own number and the record's. Numbers are given out from
memory; the file knows the end of the stretch that they are taken from, so that none is given twice, even after a crash.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from havre.store.ports import Clear, Put, Take
from havre.store.sqlite.committer import Committer
from havre.store.sqlite.database import Database

MIGRATIONS = (
    """
    CREATE TABLE shelf (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, reserved INTEGER NOT NULL);
    CREATE TABLE record (id INTEGER PRIMARY KEY, head BLOB NOT NULL, body BLOB NOT NULL);
    CREATE TABLE last (shelf INTEGER NOT NULL);
    INSERT INTO last VALUES (0);
    """,
)
BITS = 40
"""Of a record's key for its number: a million million a shelf. The others are the shelf's: eight million of them."""
STRETCH = 10_000
HEAVY_BYTES = 256 * 1024
"""Bytes from which a commit is written by the thread, so that the loop goes on meanwhile."""
SHRUNK_PAGES = 2000
"""Free pages that a commit that clears a shelf gives back to the disk at most."""
SHELVE = "INSERT INTO shelf VALUES (?,?,?) ON CONFLICT (id) DO UPDATE SET reserved = excluded.reserved"
PUT = "INSERT INTO record VALUES (?,?,?) ON CONFLICT (id) DO UPDATE SET head = excluded.head, body = excluded.body"

Row = tuple[bytes, bytes] | None


class _Shelf(msgspec.Struct):
    """``next`` is the number to give, ``reserved`` the end of the stretch, ``kept`` what the file knows as that end."""

    id: int
    name: str
    next: int = 1
    reserved: int = 0
    kept: int = 0


class _Item(msgspec.Struct):
    """One write, in terms of the file. ``steps``: records by key (None removes), or a range of keys to remove."""

    done: Callable[[Exception | None], None]
    shelves: list[_Shelf] = []
    reserved: list[tuple[int, str, int]] = []
    steps: list[dict[int, Row] | tuple[int, int]] = []
    gone: list[_Shelf] = []
    bytes: int = 0


class SqliteRecords:
    """See ``ports.Records``. The file is opened, and made, when it is first needed."""

    def __init__(self, path: Path, vfs: str | None = None) -> None:
        self._path = path
        self._vfs = vfs
        self._opened: tuple[Database, Committer[_Item]] | None = None
        self._shelves: dict[str, _Shelf] = {}
        self._last = 0

    @property
    def _database(self) -> Database:
        return self._open()[0]

    def _open(self) -> tuple[Database, Committer[_Item]]:
        if self._opened is None:
            database = Database.open(self._path, MIGRATIONS, self._vfs, shrinks=True)
            read: Any = database.writer.execute
            for id, name, reserved in read("SELECT id, name, reserved FROM shelf").fetchall():
                self._shelves[name] = _Shelf(id, name, reserved + 1, reserved, reserved)
            ((self._last,),) = read("SELECT shelf FROM last").fetchall()
            self._opened = database, Committer(database, self._write, self._done, _heavy)
        return self._opened

    @property
    def is_there(self) -> bool:
        """Whether there is a file, or is to be one: nothing is on any shelf otherwise."""
        return self._opened is not None or self._path.exists()

    # ------------------------------------------------------------------ writing

    def _shelf(self, name: str) -> _Shelf:
        self._open()
        shelf = self._shelves.get(name)
        if shelf is None:
            self._last += 1
            shelf = self._shelves[name] = _Shelf(self._last, name)
        return shelf

    def number(self, shelf: str) -> int:
        found = self._shelf(shelf)
        number = found.next
        found.next += 1
        if number > found.reserved:
            found.reserved += STRETCH
        return number

    def write(self, changes: Sequence[Put | Take | Clear], done: Callable[[Exception | None], None]) -> None:
        item = _Item(done)
        rows: dict[int, Row] = {}
        item.steps.append(rows)
        for change in changes:
            shelf = self._shelf(change.shelf)
            first = shelf.id << BITS
            if shelf.kept < shelf.reserved or not shelf.kept:
                self._keep(shelf, item)
            if isinstance(change, Put):
                rows[first + change.number] = (change.head, change.body)
                item.bytes += len(change.head) + len(change.body)
            elif isinstance(change, Take):
                rows[first + change.number] = None
            else:
                last = (1 << BITS) - 1 if change.up_to is None else change.up_to
                rows = {}
                item.steps += [(first, first + last), rows]
                if change.up_to is None:
                    del self._shelves[change.shelf]
                    item.gone.append(shelf)
        self._open()[1].add(item)

    @staticmethod
    def _keep(shelf: _Shelf, item: _Item) -> None:
        """The file has to know of the stretch before a number from it is used."""
        shelf.reserved = max(shelf.reserved, STRETCH)
        shelf.kept = shelf.reserved
        item.shelves.append(shelf)
        item.reserved.append((shelf.id, shelf.name, shelf.reserved))

    def _write(self, items: Sequence[_Item]) -> None:
        """The statements of one commit; the last state of each record is written once, ranges in their turn."""
        run: Any = self._database.writer
        rows: dict[int, Row] = {}
        cleared = False
        for item in items:
            if item.reserved:
                run.executemany(SHELVE, item.reserved)
                run.execute("UPDATE last SET shelf = max(shelf, ?)", (max(row[0] for row in item.reserved),))
            for step in item.steps:
                if isinstance(step, dict):
                    rows.update(step)
                    continue
                self._write_rows(rows)
                rows = {}
                cleared = True
                run.execute("DELETE FROM record WHERE id >= ? AND id <= ?", step)
            if item.gone:
                run.executemany("DELETE FROM shelf WHERE id = ?", [(shelf.id,) for shelf in item.gone])
        self._write_rows(rows)
        if cleared:
            run.execute(f"PRAGMA incremental_vacuum({SHRUNK_PAGES})").fetchall()

    def _write_rows(self, rows: dict[int, Row]) -> None:
        run: Any = self._database.writer
        put = [(id, *row) for id, row in rows.items() if row is not None]
        if put:
            run.executemany(PUT, put)
        removed = [(id,) for id, row in rows.items() if row is None]
        if removed:
            run.executemany("DELETE FROM record WHERE id = ?", removed)

    def _done(self, items: Sequence[_Item], error: Exception | None) -> None:
        for item in items:
            if error is not None:
                for shelf in item.gone:
                    self._shelves.setdefault(shelf.name, shelf)
                for shelf in item.shelves:
                    shelf.kept = 0
            item.done(error)

    # ------------------------------------------------------------------ reading

    def _rows(self, query: str, bindings: tuple[Any, ...]) -> list[Any]:
        run: Any = self._database.reader.execute
        rows: list[Any] = run(query, bindings).fetchall()
        return rows

    def heads(self, shelf: str, after: int = 0, limit: int = 1000) -> Sequence[tuple[int, bytes]]:
        if not self.is_there:
            return []
        first = self._shelf(shelf).id << BITS
        query = "SELECT id - ?, head FROM record WHERE id > ? AND id < ? ORDER BY id LIMIT ?"
        return self._rows(query, (first, first + after, first + (1 << BITS), limit))

    def bodies(self, shelf: str, numbers: Sequence[int]) -> Sequence[bytes | None]:
        first = self._shelf(shelf).id << BITS
        query = "SELECT body FROM record WHERE id = ?"
        found = [self._rows(query, (first + number,)) for number in numbers]
        return [rows[0][0] if rows else None for rows in found]

    def shelves(self, prefix: str) -> Sequence[str]:
        if not self.is_there:
            return []
        self._open()
        return sorted(name for name in self._shelves if name.startswith(prefix))

    async def reset(self) -> None:
        if not self.is_there:
            return
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: Exception | None) -> None:
            if not durable.done():
                durable.set_result(None) if error is None else durable.set_exception(error)

        self.write([Clear(name) for name in self.shelves("")], done)
        await durable

    async def close(self) -> None:
        if self._opened is not None:
            database, committer = self._opened
            await committer.close()
            database.close()
            self._opened = None
            self._shelves.clear()


def _heavy(items: Sequence[_Item]) -> bool:
    return any(len(item.steps) > 1 for item in items) or sum(item.bytes for item in items) > HEAVY_BYTES
