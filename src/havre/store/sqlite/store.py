"""Resources, change feed, outbox and small blobs in one SQLite file."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec
from msgspec.structs import replace

from havre.kernel.errors import Permanent
from havre.kernel.resource import Key, Kind
from havre.kernel.world import World
from havre.store.feed import Feed, Topics, whole
from havre.store.image import Executed, Image, Place, Record, execute, undo, wipe
from havre.store.ports import Change, OutboxMessage, Subscription, Transaction
from havre.store.sqlite.committer import Committer
from havre.store.sqlite.database import Database
from havre.store.sqlite.pack import SCHEMA, Body, SqlitePack, write

R = TypeVar("R")
FEED_LIMIT = 20_000
MIGRATIONS = (
    """
    CREATE TABLE resource (
        kind TEXT NOT NULL, account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,
        body BLOB NOT NULL, PRIMARY KEY (kind, account, region, name));
    CREATE TABLE feed (last INTEGER PRIMARY KEY, first INTEGER NOT NULL, count INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE TABLE outbox (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL);
    CREATE INDEX outbox_topic ON outbox (topic, id);
    """,
    SCHEMA,
    """
    ALTER TABLE resource RENAME TO former;
    CREATE TABLE resource (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL);
    INSERT INTO resource (kind, body) SELECT kind, body FROM former ORDER BY rowid;
    DROP TABLE former;
    """,
)
"""A resource has no index by its key in the file, which would take a page of its own with every write: the image knows its
number."""
HEAVY_BYTES = 1 << 20
"""Bytes of small blobs from which a commit is written by the thread, so that the loop goes on meanwhile."""
UPSERT = "INSERT INTO resource VALUES (?,?,?) ON CONFLICT (number) DO UPDATE SET body = excluded.body"
DELETE = "DELETE FROM resource WHERE number = ?"

FeedRow = tuple[int, str, str, str, str]
Rows = dict[int, tuple[str, bytes] | None]
"""Number of a resource → (kind, encoded record), None to delete."""


class Item(msgspec.Struct):
    """What one caller waits for. ``messages`` get ids at the commit."""

    executed: Executed | None = None
    rows: Rows = {}
    wipe: bool = False
    forget: tuple[str, int] | None = None
    messages: Sequence[tuple[int, str, bytes]] = ()
    body: Body | None = None
    waiting: list[asyncio.Future[None]] = []


class SqliteStore:
    """See ``ports.Store``. Made by ``open``."""

    def __init__(self, database: Database, kinds: Iterable[Kind[Any, Any]], world: World, feed_limit: int) -> None:
        self._database = database
        self._world = world
        self._image = Image(kinds)
        self._feed = Feed()
        self._topics = Topics()
        self._limit = feed_limit
        self._fed = 0
        self._floor = 0
        self._message = 0
        self._last: Item | None = None
        """The youngest that is not durable yet."""
        self._encode = msgspec.msgpack.Encoder().encode
        self._committer = Committer[Item](database, self._write, self._done, _heavy)
        self.pack = SqlitePack(database, lambda body: self._enlist(Item(body=body)))
        """Small blobs: what is put before a transaction runs is durable no later than what that wrote."""
        self.kind = self._image.kind
        self.get = self._image.get
        self.list = self._image.list
        self.find = self._image.find
        self.first = self._image.first
        self.count = self._image.count

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        kinds: Iterable[Kind[Any, Any]],
        world: World,
        *,
        feed_limit: int = FEED_LIMIT,
        vfs: str | None = None,
    ) -> SqliteStore:
        """Raises Permanent when another process has the file or its content cannot be read."""
        store = cls(Database.open(Path(path), MIGRATIONS, vfs), kinds, world, feed_limit)
        try:
            store._load()
        except BaseException:
            store._database.close()
            raise
        return store

    @property
    def revision(self) -> int:
        return self._image.revision

    # ------------------------------------------------------------------ reading the file

    def _load(self) -> None:
        run: Any = self._database.writer.execute
        collecting = gc.isenabled()
        gc.disable()  # nothing made here is garbage, and a collection walks all of it
        try:
            for name, rows in groupby(run("SELECT kind, number, body FROM resource ORDER BY 1, 2"), itemgetter(0)):
                table = self._image.tables.get(name)
                if table is not None:  # kinds of another version of Havre stay where they are, unread
                    table.load(_decode(table.kind, rows))
        finally:
            if collecting:
                gc.enable()
        self._image.revision = self._measure_feed()
        ((self._image.number,),) = run("SELECT coalesce(max(number), 0) FROM resource").fetchall()
        for topic, message in run("SELECT topic, max(id) FROM outbox GROUP BY topic").fetchall():
            self._topics.note(topic, message)
            self._message = max(self._message, message)

    def _measure_feed(self) -> int:
        """Gives the last revision; takes note of how much feed there is."""
        run: Any = self._database.writer.execute
        ((first, last, fed),) = run("SELECT min(first), max(last), sum(count) FROM feed").fetchall()
        self._floor = (first or 1) - 1
        self._fed = fed or 0
        return last or 0

    # ------------------------------------------------------------------ writing

    async def transact(self, change: Callable[[Transaction], R]) -> R:
        image = self._image
        result, executed = execute(image, self._world, change)
        if executed is None:
            return result
        try:
            rows = self._rows(executed.changes)
        except BaseException:
            undo(image, executed.undo)
            raise
        await self._enlist(Item(executed, rows))
        return result

    def _rows(self, changes: Iterable[Change]) -> Rows:
        rows: Rows = {}
        for change in changes:
            old, new = change.old, change.new
            if old is not None and (new is None or new.meta.number != old.meta.number):
                rows[old.meta.number] = None
            if new is not None:
                rows[new.meta.number] = new.kind, self._encode(new)
        return rows

    def _enlist(self, item: Item) -> asyncio.Future[None]:
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        item.waiting.append(durable)
        self._last = item
        self._committer.add(item)
        return durable

    async def settled(self) -> None:
        if self._last is not None:
            durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._last.waiting.append(durable)
            await durable

    async def reset(self) -> None:
        await self._enlist(Item(wipe(self._image, self._world), wipe=True))

    async def delivered(self, topic: str, up_to: int) -> None:
        await self._enlist(Item(forget=(topic, up_to)))

    def _write(self, items: Sequence[Item]) -> None:
        """The statements of one commit. Runs in its transaction; the last state of each resource is written once."""
        run = self._database.writer
        for start in [n for n, item in enumerate(items) if item.wipe][-1:]:
            run.execute("DELETE FROM resource; DELETE FROM outbox; DELETE FROM feed")
            self._fed = 0
            items = items[start:]
        latest: Rows = {}
        fed: list[FeedRow] = []
        revision = 0
        for item in items:
            if item.forget is not None:
                run.execute("DELETE FROM outbox WHERE topic = ? AND id <= ?", item.forget)
            if item.executed is None:
                continue
            latest.update(item.rows)
            revision = item.executed.revision
            fed += [(revision, *c.key) for c in item.executed.changes if not item.wipe]
            if item.executed.emitted:
                item.messages = [(self._next(), topic, payload) for topic, payload in item.executed.emitted]
                run.executemany("INSERT INTO outbox VALUES (?,?,?)", item.messages)
        write(self._database, [item.body for item in items if item.body is not None])
        self._write_rows(latest)
        if fed or items[0].wipe:
            self._write_feed(fed, revision, items[0].executed if items[0].wipe else None)

    def _next(self) -> int:
        self._message += 1
        return self._message

    def _write_rows(self, latest: Rows) -> None:
        run = self._database.writer
        changed = [(number, *row) for number, row in latest.items() if row is not None]
        if changed:
            run.executemany(UPSERT, changed)
        removed = [(number,) for number, row in latest.items() if row is None]
        if removed:
            run.executemany(DELETE, removed)

    def _write_feed(self, fed: list[FeedRow], revision: int, wiped: Executed | None) -> None:
        """One row a commit. Old rows go when the feed is a tenth over its bound; the newest stays always."""
        run: Any = self._database.writer.execute
        if wiped is not None:
            self._floor = wiped.revision
        first = self._floor + 1 if wiped is not None else fed[0][0]
        run("INSERT INTO feed VALUES (?,?,?,?)", (revision, first, len(fed), self._encode(fed)))
        self._fed += len(fed)
        if self._fed <= self._limit * 1.1:
            return
        cut = 0
        for last, count in run("SELECT last, count FROM feed WHERE last < ? ORDER BY last", (revision,)):
            if self._fed <= self._limit:
                break
            self._fed -= count
            cut = last
        run("DELETE FROM feed WHERE last <= ?", (cut,))
        self._floor = max(self._floor, cut)

    def _done(self, items: Sequence[Item], error: Exception | None) -> None:
        if error is not None:
            self._refuse([*items, *self._committer.take_back()], error)
            return
        if items[-1] is self._last:
            self._last = None
        for item in items:
            _resolve(item, None)
            for id, topic, _ in item.messages:
                self._topics.note(topic, id)
        self._feed.publish([c for item in items if item.executed is not None for c in item.executed.changes])

    def _refuse(self, items: Sequence[Item], error: Exception) -> None:
        """Back to what is durable: what came behind the refused commit was made from it. Revisions are not used again."""
        for item in reversed(items):
            if item.executed is not None:
                undo(self._image, item.executed.undo)
        self._image.revision += 1
        self._last = None
        with suppress(apsw.Error):
            self._measure_feed()
        for item in items:
            _resolve(item, error)

    # ------------------------------------------------------------------ feed and outbox

    def subscribe(self, kinds: Iterable[str] | None = None) -> Subscription:
        return self._feed.subscribe(kinds)

    async def changes_since(self, revision: int, limit: int = 1000) -> Sequence[tuple[int, Key]] | None:
        if revision < self._floor:
            return None
        found: list[tuple[int, Key]] = []
        query = "SELECT body FROM feed WHERE last > ? ORDER BY last"
        read: Any = self._database.reader.execute
        for (body,) in read(query, (revision,)):
            found += [(r, Key(*key)) for r, *key in msgspec.msgpack.decode(body) if r > revision]
            if len(found) >= limit:
                break
        return whole(found, limit)

    async def outbox(self, topic: str, limit: int = 1000) -> Sequence[OutboxMessage]:
        read: Any = self._database.reader.execute
        query = "SELECT id, topic, payload FROM outbox WHERE topic = ? ORDER BY id LIMIT ?"
        return [OutboxMessage(*row) for row in read(query, (topic, limit))]

    async def emitted(self, topic: str, after: int = 0) -> int:
        return await self._topics.wait(topic, after)

    async def close(self) -> None:
        await self._committer.close()
        self._feed.close()
        self._database.close()


def _resolve(item: Item, error: Exception | None) -> None:
    for future in item.waiting:
        if future.done():  # the caller was cancelled
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def _heavy(items: Sequence[Item]) -> bool:
    return sum(len(item.body.content or b"") for item in items if item.body is not None) > HEAVY_BYTES


def _decode(kind: Kind[Any, Any], rows: Iterable[tuple[str, int, bytes]]) -> Sequence[tuple[Place, Record]]:
    """In the order of their places. Fields that this version does not know are passed over, those that are missing take
    their defaults."""
    decode = msgspec.msgpack.Decoder(kind.type).decode
    found: list[tuple[Place, Record]] = []
    for name, number, body in rows:
        try:
            record = decode(body)
        except msgspec.MsgspecError as error:
            raise Permanent(f"the stored {name} in row {number} cannot be read: {error}") from error
        meta = record.meta
        if meta.number != number:  # it was written before there were numbers
            record = replace(record, meta=replace(meta, number=number))
        found.append(((meta.account, meta.region, meta.name), record))
    found.sort(key=itemgetter(0))
    return found
