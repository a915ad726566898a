"""What every home of records promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from havre.store.memory import MemoryRecords
from havre.store.ports import Clear, Put, Records, Take
from havre.store.sqlite import SqliteRecords
from havre.store.sqlite.records import STRETCH


@pytest.fixture(params=["memory", "sqlite"])
async def records(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Records]:
    made: Records = MemoryRecords() if request.param == "memory" else SqliteRecords(tmp_path / "records.db")
    yield made
    await made.close()


async def write(records: Records, *changes: Put | Take | Clear) -> None:
    durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(error: Exception | None) -> None:
        durable.set_result(None) if error is None else durable.set_exception(error)

    records.write(changes, done)
    await durable


async def test_what_was_put_is_read_until_it_is_taken(records: Records) -> None:
    assert records.heads("a") == []
    numbers = [records.number("a") for _ in range(3)]
    assert numbers == sorted(set(numbers))
    await write(records, *(Put("a", n, b"h%d" % n, b"b%d" % n) for n in numbers), Put("b", 7, b"other"))
    assert records.heads("a") == [(n, b"h%d" % n) for n in numbers]
    assert records.heads("a", after=numbers[0], limit=1) == [(numbers[1], b"h%d" % numbers[1])]
    assert records.bodies("a", [numbers[2], 99, numbers[0]]) == [b"b%d" % numbers[2], None, b"b%d" % numbers[0]]
    await write(records, Take("a", numbers[1]), Take("a", 99), Put("a", numbers[0], b"new", b"newer"))
    assert records.heads("a") == [(numbers[0], b"new"), (numbers[2], b"h%d" % numbers[2])]
    assert records.bodies("a", [numbers[0]]) == [b"newer"]
    assert records.heads("b") == [(7, b"other")]


async def test_shelves_are_cleared(records: Records) -> None:
    await write(records, *(Put(shelf, n, b"h") for shelf in ("x/a", "x/b", "y") for n in range(1, 5)))
    assert records.shelves("x/") == ["x/a", "x/b"]
    await write(records, Clear("x/a", 2), Clear("x/b"))
    assert [n for n, _ in records.heads("x/a")] == [3, 4]
    assert records.shelves("x/") == ["x/a"]
    assert len(records.heads("y")) == 4
    await records.reset()
    assert records.shelves("") == []


async def test_changes_of_one_write_happen_in_their_order(records: Records) -> None:
    await write(records, Put("a", 1, b"1"), Put("a", 2, b"2"), Clear("a", 2), Put("a", 2, b"again"), Take("a", 1))
    assert records.heads("a") == [(2, b"again")]


async def test_writes_become_durable_in_their_order(records: Records) -> None:
    heard: list[int] = []

    def listener(n: int) -> Callable[[Exception | None], None]:
        return lambda error: heard.append(n)

    for n in range(20):
        records.write([Put("a", n, b"h" * (n * 30_000))], listener(n))
    await write(records, Put("a", 99, b"last"))
    assert heard == list(range(20))


async def test_numbers_are_not_given_twice_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    first = SqliteRecords(path)
    given = [first.number("a") for _ in range(STRETCH + 5)]
    await write(first, Put("a", given[-1], b"h"))
    await write(first, Take("a", given[-1]))
    database = first._database  # what a crash leaves: the file, without an orderly end
    again = _reopened(path, tmp_path)
    assert again.number("a") > given[-1]
    assert again.number("b") == 1
    await again.close()
    database.close()


async def test_what_was_acknowledged_is_there_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    first = SqliteRecords(path)
    await write(first, *(Put("a", n, b"h", b"b" * 5_000) for n in range(1, 101)))
    await write(first, Clear("a", 50))
    first.write([Put("a", 200, b"under way")], lambda error: None)
    again = _reopened(path, tmp_path)
    assert [n for n, _ in again.heads("a", limit=200)] == list(range(51, 101))
    assert again.bodies("a", [60]) == [b"b" * 5_000]
    await again.close()
    await first.close()


async def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    records = SqliteRecords(tmp_path / "records.db")
    assert records.shelves("") == [] and records.heads("a") == []
    await records.reset()
    await records.close()
    assert list(tmp_path.iterdir()) == []


def _reopened(path: Path, tmp_path: Path) -> SqliteRecords:
    """The same file as another process would find it after a kill: a copy, for the first one still holds its lock."""
    import shutil

    copy = tmp_path / "copy"
    copy.mkdir()
    for each in path.parent.glob("records.db*"):
        if not each.name.endswith(".lock"):
            shutil.copy(each, copy / each.name)
    return SqliteRecords(copy / "records.db")
