"""Group commit: who comes a moment after the first goes with him. The log is written back beside the commits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from havre.store.sqlite import committer
from havre.store.sqlite.committer import TURNS, Committer
from havre.store.sqlite.database import Database

PAGE = 4096


class Groups:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "some.db"
        self.database = Database.open(self.path, ["CREATE TABLE item (n INTEGER, body BLOB)"])
        self.written: list[list[int]] = []
        self.committer = Committer[int](self.database, self._write, lambda items, error: None)

    def _write(self, items: Sequence[int]) -> None:
        self.written.append(list(items))
        self.database.writer.executemany("INSERT INTO item VALUES (?, zeroblob(4000))", [(n,) for n in items])

    async def commit(self, *items: int) -> None:
        for item in items:
            self.committer.add(item)
        await self.committer.rest()

    @property
    def log(self) -> int:
        """Bytes of the file."""
        return self.path.with_name("some.db-wal").stat().st_size

    async def close(self) -> None:
        await self.committer.close()
        self.database.close()


async def test_those_that_come_a_turn_later_go_along(tmp_path: Path) -> None:
    groups = Groups(tmp_path)
    groups.committer.add(1)
    groups.committer.add(2)
    await asyncio.sleep(0)
    groups.committer.add(3)
    await groups.committer.rest()
    assert groups.written == [[1, 2, 3]]
    await groups.close()


async def test_nobody_is_waited_for_where_nobody_comes(tmp_path: Path) -> None:
    groups = Groups(tmp_path)
    groups.committer.add(1)
    await asyncio.sleep(0)
    assert groups.written == [[1]]
    await groups.close()


async def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    groups = Groups(tmp_path)
    groups.committer.add(0)
    for n in range(1, 3 * TURNS):
        groups.committer.add(n)
        await asyncio.sleep(0)
    await groups.committer.rest()
    assert groups.written[0] == list(range(TURNS + 1))
    assert [n for group in groups.written for n in group] == list(range(3 * TURNS))
    await groups.close()


async def test_where_the_disk_is_slow_those_answered_just_now_are_given_time_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "PAUSE", 0.2)
    groups = Groups(tmp_path)
    groups.committer._took = 1.0

    def comes_back() -> None:
        groups.committer.add(3)

    def done(items: Sequence[int], error: Exception | None) -> None:
        if items == [1]:  # its client needs some turns of the loop
            loop.call_soon(loop.call_soon, loop.call_soon, comes_back)

    loop, groups.committer._done = asyncio.get_running_loop(), done
    groups.committer.add(1)
    await asyncio.sleep(0)
    groups.committer.add(2)
    await groups.committer.rest()
    assert groups.written == [[1], [2, 3]]
    await groups.close()


def _kept(folder: Path) -> list[int]:
    database = Database.open(folder / "some.db", [""])
    found = [int(n) for (n,) in database.reader.execute("SELECT n FROM item ORDER BY n").fetchall()]  # type: ignore[arg-type]
    database.close()
    return found


@pytest.fixture
def short_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer, "CHECKPOINT_PAGES", 50)


@pytest.mark.usefixtures("short_log")
async def test_the_log_starts_over_under_writers_that_never_rest(tmp_path: Path) -> None:
    groups, pages, starts, n = Groups(tmp_path), 0, 0, 0
    while starts < 3:
        groups.committer.add(n)
        n += 1
        await asyncio.sleep(0)
        starts += groups.database.log_pages < pages
        pages = groups.database.log_pages
    assert groups.log < n * PAGE
    await groups.close()
    assert _kept(tmp_path) == list(range(n))


@pytest.mark.usefixtures("short_log")
async def test_commits_go_on_while_the_log_is_written_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups, go_on, copy = Groups(tmp_path), threading.Event(), Database.copy_log

    def slowly(database: Database) -> None:
        assert go_on.wait(30)
        copy(database)

    monkeypatch.setattr(Database, "copy_log", slowly)
    await groups.commit(*range(60))
    for n in range(60, 70):
        await groups.commit(n)
    before = groups.log
    closing = asyncio.ensure_future(groups.close())
    await asyncio.sleep(0)
    assert not closing.done(), "it waits for the copy"
    go_on.set()
    await closing
    assert len(groups.written) == 11 and before > 60 * PAGE
    assert _kept(tmp_path) == list(range(70))


@pytest.mark.usefixtures("short_log")
async def test_a_copy_that_the_disk_refuses_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups, copy, tried = Groups(tmp_path), Database.copy_log, 0

    def at_the_third(database: Database) -> None:
        nonlocal tried
        tried += 1
        if tried < 3:
            raise OSError("no space left")
        copy(database)

    monkeypatch.setattr(Database, "copy_log", at_the_third)
    await groups.commit(*range(60))
    while tried < 3 or groups.committer._copying or groups.committer._busy:
        if tried < 3 and not groups.committer._copying:
            await groups.commit(60 + tried)
        await asyncio.sleep(0.001)
    assert groups.database.log_pages == 0, "the log is written back"
    await groups.close()
    assert _kept(tmp_path)[:60] == list(range(60))
