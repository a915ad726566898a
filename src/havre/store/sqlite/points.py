"""Data points of metrics in a SQLite file of their own: merged as they come, in the commit that makes them durable.

A series' points of one step lie side by side in the order of time: reading a range and rolling up what is old are both a
walk along the key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from havre.store.points import STEPS, Known, Merge, Point, Sample, Series, merged
from havre.store.sqlite.committer import Committer
from havre.store.sqlite.database import Database

MIGRATIONS = (
    """
    CREATE TABLE series (
        id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, namespace TEXT NOT NULL, metric TEXT NOT NULL,
        dimensions TEXT NOT NULL, unit TEXT NOT NULL, last INTEGER NOT NULL,
        UNIQUE (account, region, namespace, metric, dimensions, unit));
    CREATE TABLE point (
        series INTEGER NOT NULL, step INTEGER NOT NULL, at INTEGER NOT NULL, count REAL NOT NULL, sum REAL NOT NULL,
        least REAL NOT NULL, most REAL NOT NULL, data BLOB NOT NULL, PRIMARY KEY (series, step, at)) WITHOUT ROWID;
    """,
)
CACHED_SERIES = 10_000
HEAVY_SAMPLES = 100
"""Samples from which a commit is written by the thread, so that the loop goes on meanwhile."""
ROLLED_AT_ONCE = 2000
SHRUNK_PAGES = 2000
"""Free pages that a commit that removes points gives back to the disk at most."""
FIND = """SELECT id, last FROM series
    WHERE account = ? AND region = ? AND namespace = ? AND metric = ? AND dimensions = ? AND unit = ?"""
PUT = "INSERT OR REPLACE INTO point VALUES (?,?,?,?,?,?,?,?)"
GET = "SELECT at, count, sum, least, most, data FROM point WHERE series = ? AND step = ? AND at = ?"
OLDEST = """SELECT at, count, sum, least, most, data FROM point WHERE series = ? AND step = ? AND at < ?
    ORDER BY at LIMIT ?"""
BARE = "SELECT at, count, sum, least, most, x'' FROM point WHERE series = ? AND step = ? AND at >= ? AND at < ?"
FULL = "SELECT at, count, sum, least, most, data FROM point WHERE series = ? AND step = ? AND at >= ? AND at < ?"
ALL = """SELECT * FROM series WHERE account = ? AND region = ? AND last >= ?
    ORDER BY account, region, namespace, metric, dimensions, unit"""
OF_NAMESPACE = """SELECT * FROM series WHERE account = ? AND region = ? AND namespace = ? AND last >= ?
    ORDER BY account, region, namespace, metric, dimensions, unit"""
OF_METRIC = """SELECT * FROM series WHERE account = ? AND region = ? AND namespace = ? AND metric = ? AND last >= ?
    ORDER BY account, region, namespace, metric, dimensions, unit"""
FIRST = -(1 << 62)
_dimensions = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode


class _Item(msgspec.Struct):
    """One thing to do: write ``samples``, or roll up points of one series and step that are older than ``before``, or drop
    a series (``step`` 0) that has none; without either, everything goes. ``result``: how many points went."""

    durable: asyncio.Future[int]
    samples: Sequence[Sample] = ()
    series: int | None = None
    step: int = 0
    before: int = 0
    result: int = 0


class SqlitePoints:
    """See ``store.points.Points``. The file is opened, and made, when it is first needed."""

    def __init__(self, path: Path, merge: Merge, vfs: str | None = None) -> None:
        self._path = path
        self._merge = merge
        self._vfs = vfs
        self._opened: tuple[Database, Committer[_Item]] | None = None
        self._known: dict[Series, list[int]] = {}
        """Series → its id, and the time of its latest point."""

    def _open(self) -> tuple[Database, Committer[_Item]]:
        if self._opened is None:
            database = Database.open(self._path, MIGRATIONS, self._vfs, shrinks=True)
            self._opened = database, Committer(database, self._write, self._done, _heavy)
        return self._opened

    @property
    def is_there(self) -> bool:
        return self._opened is not None or self._path.exists()

    # ------------------------------------------------------------------ writing

    async def write(self, samples: Sequence[Sample]) -> None:
        await self._add(samples=samples)

    async def _add(self, **what: Any) -> int:
        durable: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._open()[1].add(_Item(durable, **what))
        return await durable

    def _write(self, items: Sequence[_Item]) -> None:
        """The statements of one commit. Samples of the same point are merged before anything is read."""
        gathered: dict[tuple[int, int, int], list[Point]] = {}
        if len(self._known) > CACHED_SERIES:
            self._known.clear()
        for item in items:
            if item.samples:
                for series, step, point in item.samples:
                    gathered.setdefault((self._id(series, point.at), step, point.at), []).append(point)
                continue
            self._put(gathered)
            gathered = {}
            self._remove(item)
        self._put(gathered)
        if _removes(items):
            run: Any = self._database.writer.execute
            run(f"PRAGMA incremental_vacuum({SHRUNK_PAGES})").fetchall()

    @property
    def _database(self) -> Database:
        return self._open()[0]

    def _id(self, series: Series, at: int) -> int:
        """The number of the series, which has a point at this time from now on."""
        run: Any = self._database.writer.execute
        known = self._known.get(series)
        if known is None:
            row = _row(series)
            found = run(FIND, row).fetchall()
            if not found:
                run("INSERT INTO series VALUES (NULL,?,?,?,?,?,?,?)", (*row, at))
                found = [(self._database.writer.last_insert_rowid(), at)]
            known = self._known[series] = list(found[0])
        if known[1] < at:
            known[1] = at
            run("UPDATE series SET last = ? WHERE id = ?", (at, known[0]))
        return known[0]

    def _put(self, gathered: Mapping[tuple[int, int, int], list[Point]]) -> None:
        run: Any = self._database.writer.execute
        rows = []
        for (series, step, at), points in gathered.items():
            points += [Point(*row) for row in run(GET, (series, step, at)).fetchall()]
            p = merged(points, at, self._merge)
            rows.append((series, step, at, p.count, p.sum, p.least, p.most, p.values))
        if rows:
            self._database.writer.executemany(PUT, rows)

    def _remove(self, item: _Item) -> None:
        run: Any = self._database.writer.execute
        if item.series is None:
            self._known.clear()
            run("DELETE FROM point; DELETE FROM series")
        elif item.step:
            item.result = self._roll(item.series, item.step, item.before)
        else:
            self._known.clear()
            run(
                "DELETE FROM series WHERE id = ? AND NOT EXISTS (SELECT 1 FROM point WHERE series = id)", (item.series,)
            )

    def _roll(self, series: int, step: int, before: int) -> int:
        """Some of the oldest points; those of the last step go for good."""
        run: Any = self._database.writer.execute
        points = [Point(*row) for row in run(OLDEST, (series, step, before, ROLLED_AT_ONCE)).fetchall()]
        if points and step != STEPS[-1]:
            longer = STEPS[STEPS.index(step) + 1]
            gathered: dict[tuple[int, int, int], list[Point]] = {}
            for point in points:
                gathered.setdefault((series, longer, point.at // longer * longer), []).append(point)
            self._put(gathered)
        if points:
            run("DELETE FROM point WHERE series = ? AND step = ? AND at <= ?", (series, step, points[-1].at))
        return len(points)

    def _done(self, items: Sequence[_Item], error: Exception | None) -> None:
        if error is not None:
            self._known.clear()
        for item in items:
            if item.durable.done():  # the caller was cancelled
                continue
            if error is None:
                item.durable.set_result(item.result)
            else:
                item.durable.set_exception(error)

    async def roll(self, before: Mapping[int, int]) -> int:
        if not self.is_there:
            return 0
        went = 0
        for (series,) in self._rows("SELECT id FROM series ORDER BY id", ()):
            for step in STEPS:
                due = (series, step, before[step])
                while self._rows("SELECT 1 FROM point WHERE series = ? AND step = ? AND at < ? LIMIT 1", due):
                    went += await self._add(series=series, step=step, before=before[step])
            if not self._rows("SELECT 1 FROM point WHERE series = ? LIMIT 1", (series,)):
                await self._add(series=series)
            await asyncio.sleep(0)
        return went

    async def reset(self) -> None:
        if self.is_there:
            await self._add()

    async def close(self) -> None:
        if self._opened is not None:
            database, committer = self._opened
            await committer.close()
            database.close()
            self._opened = None
            self._known.clear()

    # ------------------------------------------------------------------ reading

    def _rows(self, query: str, bindings: tuple[Any, ...]) -> list[Any]:
        run: Any = self._database.reader.execute
        rows: list[Any] = run(query, bindings).fetchall()
        return rows

    def series(
        self, account: str, region: str, namespace: str = "", metric: str = "", since: int | None = None
    ) -> Sequence[Known]:
        if not self.is_there:
            return []
        query = ALL if not namespace else OF_NAMESPACE if not metric else OF_METRIC
        named = [name for name in (namespace, metric) if name]
        rows = self._rows(query, (account, region, *named, FIRST if since is None else since))
        return [Known(id, Series(a, r, n, m, _dimensions(d), unit), last) for id, a, r, n, m, d, unit, last in rows]

    def read(self, ids: Sequence[int], start: int, end: int, values: bool) -> Sequence[Point]:
        query = FULL if values else BARE
        found = [
            Point(*row) for series in ids for step in STEPS for row in self._rows(query, (series, step, start, end))
        ]
        found.sort(key=lambda point: point.at)
        return found


def _row(series: Series) -> tuple[str, ...]:
    return (*series[:4], msgspec.json.encode(series.dimensions).decode(), series.unit)


def _removes(items: Sequence[_Item]) -> bool:
    return any(not item.samples for item in items)


def _heavy(items: Sequence[_Item]) -> bool:
    """Whether writing these would hold up the event loop: then a thread does it."""
    return _removes(items) or sum(len(item.samples) for item in items) > HEAVY_SAMPLES
