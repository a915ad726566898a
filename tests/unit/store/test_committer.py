"""Group commit: who comes a moment after the first goes with him."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from havre.store.sqlite.committer import TURNS, Committer
from havre.store.sqlite.database import Database


class Groups:
    def __init__(self, folder: Path) -> None:
        self.database = Database.open(folder / "some.db", ["CREATE TABLE item (n INTEGER)"])
        self.written: list[list[int]] = []
        self.committer = Committer[int](self.database, self._write, lambda items, error: None)

    def _write(self, items: Sequence[int]) -> None:
        self.written.append(list(items))

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
