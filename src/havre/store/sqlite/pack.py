"""Small blobs as rows beside the records that name them: one commit makes both durable."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec

from havre.kernel.errors import Permanent
from havre.store.sqlite.database import Database

SCHEMA = """
    CREATE TABLE blob (name TEXT PRIMARY KEY, at REAL NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL);
    """
LISTED = 1000
PUT = """INSERT INTO blob VALUES (?,?,?,?)
    ON CONFLICT (name) DO UPDATE SET at = excluded.at, size = excluded.size, body = excluded.body"""


class Body(msgspec.Struct, eq=False):
    """A row to be. ``content`` None removes; ``name`` "" stands for all."""

    name: str
    at: float = 0.0
    content: bytes | None = None


class SqlitePack:
    """See ``dataplanes.registry.ports.Pack``. ``enlist`` hands a row to the store's next commit."""

    def __init__(self, database: Database, enlist: Callable[[Body], asyncio.Future[None]]) -> None:
        self._database = database
        self._hand_over = enlist
        self._coming: dict[str, Body] = {}
        """What is not in the file yet, as it will be."""

    def put(self, name: str, content: bytes, at: float) -> asyncio.Future[None]:
        return self._enlist(Body(name, at, content))

    def remove(self, name: str) -> asyncio.Future[None]:
        return self._enlist(Body(name))

    def clear(self) -> asyncio.Future[None]:
        self._coming.clear()
        return self._enlist(Body(""))

    def _enlist(self, body: Body) -> asyncio.Future[None]:
        durable = self._hand_over(body)
        if body.name:
            self._coming[body.name] = body
            durable.add_done_callback(lambda _: self._arrived(body))
        return durable

    def _arrived(self, body: Body) -> None:
        if self._coming.get(body.name) is body:
            del self._coming[body.name]

    def get(self, name: str) -> bytes | None:
        if (body := self._coming.get(name)) is not None:
            return body.content
        return next((content for (content,) in self._rows("SELECT body FROM blob WHERE name = ?", (name,))), None)

    def has(self, name: str) -> bool:
        if (body := self._coming.get(name)) is not None:
            return body.content is not None
        return bool(self._rows("SELECT 1 FROM blob WHERE name = ?", (name,)))

    async def stored(self) -> list[tuple[str, float, int]]:
        found: list[tuple[str, float, int]] = []
        query = "SELECT name, at, size FROM blob WHERE name > ? ORDER BY name LIMIT ?"
        while rows := self._rows(query, (found[-1][0] if found else "", LISTED)):
            found += rows
            await asyncio.sleep(0)
        return found

    def adopt(self, old: Path) -> None:
        """Take over the blobs of a file of their own, where they lay once, and remove it; nothing when there is none. May be
        cut off anywhere, and run again. Raises Permanent when the file cannot be read. Waits for the disk."""
        if not old.exists():
            return
        run: Any = self._database.writer.execute
        try:
            run("ATTACH ? AS old", (os.fspath(old),))
            try:
                run("INSERT OR IGNORE INTO main.blob SELECT name, at, size, body FROM old.blob")
            finally:
                run("DETACH old")
        except apsw.Error as error:
            raise Permanent(f"{old} cannot be taken over: {error}") from error
        for suffix in ("-wal", "-shm", ".lock", ""):
            old.with_name(old.name + suffix).unlink(missing_ok=True)

    def _rows(self, query: str, bindings: tuple[Any, ...]) -> list[Any]:
        run: Any = self._database.reader.execute
        rows: list[Any] = run(query, bindings).fetchall()
        return rows


def write(database: Database, bodies: Sequence[Body]) -> None:
    """The statements for these rows, in their order."""
    run: Any = database.writer.execute
    for body in bodies:
        if body.content is not None:
            run(PUT, (body.name, body.at, len(body.content), body.content))
        elif body.name:
            run("DELETE FROM blob WHERE name = ?", (body.name,))
        else:
            run("DELETE FROM blob")
