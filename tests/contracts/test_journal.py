"""What every journal promises, on the one in memory and on SQLite."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from havre.store.memory import MemoryJournal
from havre.store.ports import Extent, Journal, Part
from havre.store.sqlite import SqliteJournal
from havre.store.sqlite.database import Database
from havre.store.sqlite.journal import CHUNK_BYTES, CHUNK_SPAN, MIGRATIONS
from tests.contracts.store_kinds import open_journal


@pytest.fixture(params=["memory", "sqlite"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    journal = open_journal(request.param, tmp_path)
    yield journal
    await journal.close()


async def datas(journal: Journal, stream: str = "s", limit: int = 1000, **part: Any) -> list[bytes]:
    return [entry.data for entry in await journal.scan(stream, Part(**part), limit=limit)]


async def test_entries_come_back_in_order_of_time(journal: Journal) -> None:
    assert await journal.append("s", [(10, b"a"), (30, b"c")]) == 2
    assert await journal.append("s", [(20, b"b"), (30, b"d")]) == 4
    await journal.append("t", [(5, b"other")])
    entries = await journal.scan("s")
    assert [e.data for e in entries] == [b"a", b"b", b"c", b"d"]
    assert len({e.seq for e in entries}) == 4
    assert await datas(journal, reverse=True) == [b"d", b"c", b"b", b"a"]
    assert await datas(journal, start=20, end=30) == [b"b"]
    assert await datas(journal, limit=2) == [b"a", b"b"]
    assert await datas(journal, limit=2, reverse=True) == [b"d", b"c"]
    assert await datas(journal, "nobody") == []


async def test_a_scan_goes_on_where_the_last_one_ended(journal: Journal) -> None:
    await journal.append("s", [(at // 3, b"%d" % at) for at in range(30)])
    for reverse in (False, True):
        found: list[bytes] = []
        after = None
        while entries := await journal.scan("s", Part(after=after, reverse=reverse), limit=4):
            found += [e.data for e in entries]
            after = (entries[-1].at, entries[-1].seq)
        assert found == sorted(found, key=int, reverse=reverse)
        assert len(found) == 30


async def test_a_scan_ends_at_its_size(journal: Journal) -> None:
    await journal.append("s", [(at, b"x" * 10) for at in range(10)])
    assert len(await journal.scan("s", size=30)) == 3
    assert len(await journal.scan("s", size=31)) == 4
    assert len(await journal.scan("s", Part(reverse=True), size=1)) == 1
    assert len(await journal.scan("s", size=1000)) == 10


async def test_extents_tell_without_reading(journal: Journal) -> None:
    await journal.append("a/1", [(20, b"xx"), (40, b"yy")], now=100)
    await journal.append("a/1", [(10, b"z")], now=90)
    await journal.append("a/2", [(1, b"q")])
    await journal.append("b/1", [(1, b"q")])
    assert await journal.extents("a/") == {"a/1": Extent(5, 10, 40, 100), "a/2": Extent(1, 1, 1, 0)}
    await journal.drop("a/2")
    assert list(await journal.extents("a/")) == ["a/1"]
    assert await journal.extents("c") == {}


async def test_what_has_expired_goes(journal: Journal) -> None:
    for at in (0, 1_000_000, 2_000_000):
        await journal.append("s", [(at, b"%d" % at)])
    assert await journal.expire("s", 1_500_000) == 2
    assert await datas(journal) == [b"2000000"]
    assert (await journal.extents("s"))["s"] == Extent(7, 2_000_000, 2_000_000, 0)
    assert await journal.expire("s", 3_000_000) == 1
    assert (await journal.extents("s"))["s"] == Extent(0, None, None, 0)
    await journal.append("s", [(5, b"new")])
    assert (await journal.scan("s"))[0].seq == 4
    assert await journal.expire("nobody", 9) == 0


async def test_a_dropped_stream_starts_anew(journal: Journal) -> None:
    await journal.append("s", [(1, b"a")])
    await journal.drop("s")
    assert await datas(journal) == []
    assert await journal.append("s", [(1, b"b")]) == 1
    await journal.reset()
    assert await datas(journal) == [] and await journal.extents("") == {}


async def test_appends_side_by_side_are_all_kept(journal: Journal) -> None:
    await asyncio.gather(*(journal.append(f"s{n % 5}", [(n, b"%d" % n)]) for n in range(200)))
    for stream in range(5):
        assert [int(d) for d in await datas(journal, f"s{stream}")] == list(range(stream, 200, 5))


async def test_what_was_appended_is_there_after_a_restart(tmp_path: Path) -> None:
    first = SqliteJournal.open(tmp_path / "journal.db")
    await first.append("s", [(1, b"a"), (2, b"b")], now=7)
    await first.close()
    second = SqliteJournal.open(tmp_path / "journal.db")
    assert await second.append("s", [(0, b"c")]) == 3
    assert await datas(second) == [b"c", b"a", b"b"]
    assert await second.extents("") == {"s": Extent(3, 0, 2, 7)}
    await second.close()


async def test_the_file_shrinks_when_much_is_dropped(tmp_path: Path) -> None:
    journal = SqliteJournal.open(tmp_path / "journal.db")
    for n in range(40):
        await journal.append(f"s{n % 2}", [(n, os.urandom(1 << 20))])
    before = (tmp_path / "journal.db").stat().st_size
    await asyncio.gather(journal.drop("s0"), journal.append("s1", [(99, b"last")]))
    while not journal._committer.idle:
        await asyncio.sleep(0.01)
    assert len(await journal.scan("s1", limit=100)) == 21
    await journal.close()
    after = (tmp_path / "journal.db").stat().st_size
    assert after < before * 0.7


async def test_a_file_that_cannot_shrink_is_left_alone(tmp_path: Path) -> None:
    """One that was made before journals could."""
    Database.open(tmp_path / "journal.db", MIGRATIONS).close()
    journal = SqliteJournal.open(tmp_path / "journal.db")
    for n in range(20):
        await journal.append(f"s{n % 2}", [(n, os.urandom(1 << 18))])
    await journal.drop("s0")
    while not journal._committer.idle:
        await asyncio.sleep(0.01)
    assert len(await journal.scan("s1")) == 10
    await journal.close()


TIMES = st.integers(0, 3 * CHUNK_SPAN) | st.sampled_from([0, 7, CHUNK_SPAN])
APPENDS = st.lists(st.lists(st.tuples(TIMES, st.sampled_from([1, 5, CHUNK_BYTES // 2])), max_size=4), max_size=8)
BOUND = st.none() | TIMES


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(appends=APPENDS, start=BOUND, end=BOUND, limit=st.integers(1, 12), size=st.none() | st.integers(1, CHUNK_BYTES))
async def test_sqlite_reads_as_memory_does(
    tmp_path_factory: pytest.TempPathFactory,
    appends: list[list[tuple[int, int]]],
    start: int | None,
    end: int | None,
    limit: int,
    size: int | None,
) -> None:
    """Whatever lies in which chunk: pages of a scan, forwards and backwards, are those of a sorted list."""
    memory = MemoryJournal()
    sqlite = SqliteJournal.open(tmp_path_factory.mktemp("journal") / "journal.db")
    for appended in appends:
        entries = [(at, b"x" * length) for at, length in appended]
        await memory.append("s", entries)
        await sqlite.append("s", entries)
    for reverse in (False, True):
        after = None
        while True:
            part = Part(start, end, after, reverse)
            found = await sqlite.scan("s", part, limit=limit, size=size)
            assert found == await memory.scan("s", part, limit=limit, size=size)
            if not found:
                break
            after = (found[-1].at, found[-1].seq)
    await sqlite.close()
