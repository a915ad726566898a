"""Small blobs in one SQLite file: a group of them costs one commit, where a file each would cost a sync each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from havre.store.sqlite.committer import Committer
from havre.store.sqlite.database import Database

MIGRATIONS = (
    """
    CREATE TABLE blob (name TEXT PRIMARY KEY, at REAL NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL);
    """,
)
HEAVY_BYTES = 1 << 20
"""Bytes from which a group is written by the thread, so that the loop goes on meanwhile."""
LISTED = 1000
SHRUNK_PAGES = 4000
"""Free pages that a removal gives back at most, since the loop waits for it; later ones give back the rest."""
PUT = """INSERT INTO blob VALUES (?,?,?,?)
    ON CONFLICT (name) DO UPDATE SET at = excluded.at, size = excluded.size, body = excluded.body"""


class _Item(msgspec.Struct):
    """``body`` None removes; ``name`` "" stands for all."""

    durable: asyncio.Future[None]
    name: str
    at: float = 0.0
    body: bytes | None = None


class SqlitePack:
    """See ``dataplanes.registry.ports.Pack``. The file is opened, and made, when it is first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: Database | None = None
        self._committer: Committer[_Item] | None = None

    def _open(self) -> Database:
        if self._database is None:
            self._database = Database.open(self._path, MIGRATIONS, shrinks=True)
            self._committer = Committer(self._database, self._write, self._done, _heavy)
        return self._database

    async def put(self, name: str, body: bytes, at: float) -> None:
        await self._add(name=name, at=at, body=body)

    async def remove(self, name: str) -> None:
        await self._add(name=name)

    async def clear(self) -> None:
        await self._add(name="")

    def get(self, name: str) -> bytes | None:
        return next((body for (body,) in self._rows("SELECT body FROM blob WHERE name = ?", (name,))), None)

    def has(self, name: str) -> bool:
        return bool(self._rows("SELECT 1 FROM blob WHERE name = ?", (name,)))

    async def stored(self) -> list[tuple[str, float, int]]:
        found: list[tuple[str, float, int]] = []
        query = "SELECT name, at, size FROM blob WHERE name > ? ORDER BY name LIMIT ?"
        while rows := self._rows(query, (found[-1][0] if found else "", LISTED)):
            found += rows
            await asyncio.sleep(0)
        return found

    def _rows(self, query: str, bindings: tuple[Any, ...]) -> list[Any]:
        run: Any = self._open().reader.execute
        rows: list[Any] = run(query, bindings).fetchall()
        return rows

    async def _add(self, **what: Any) -> None:
        self._open()
        assert self._committer is not None
        item = _Item(asyncio.get_running_loop().create_future(), **what)
        self._committer.add(item)
        await item.durable

    def _write(self, items: Sequence[_Item]) -> None:
        run: Any = self._open().writer.execute
        for item in items:
            if item.body is not None:
                run(PUT, (item.name, item.at, len(item.body), item.body))
            elif item.name:
                run("DELETE FROM blob WHERE name = ?", (item.name,))
            else:
                run("DELETE FROM blob")
        if any(item.body is None for item in items):
            run(f"PRAGMA incremental_vacuum({SHRUNK_PAGES})").fetchall()

    def _done(self, items: Sequence[_Item], error: Exception | None) -> None:
        for item in items:
            if item.durable.done():  # the caller was cancelled
                continue
            if error is None:
                item.durable.set_result(None)
            else:
                item.durable.set_exception(error)

    async def close(self) -> None:
        if self._committer is not None and self._database is not None:
            await self._committer.close()
            self._database.close()
            self._committer = self._database = None


def _heavy(items: Sequence[_Item]) -> bool:
    return sum(len(item.body or b"") for item in items) > HEAVY_BYTES
