"""Files and their names made durable: each caller hears of its own, whatever the others' disk does."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from havre.dataplanes.registry import syncer as syncing
from havre.dataplanes.registry.syncer import Syncer, Unnamed

LIMIT = 3


@pytest.fixture
async def syncer() -> AsyncIterator[Syncer]:
    made = Syncer(LIMIT)
    yield made
    made.close()


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield opened
    os.close(opened)


def _nothing() -> None:
    pass


def _refuse() -> None:
    raise OSError(errno.EIO, "Input/output error")


async def test_the_name_comes_after_the_content_and_before_the_sync(
    syncer: Syncer, directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(syncing.os, "fsync", lambda _: seen.append("sync"))
    await syncer.publish(lambda: seen.append("write"), lambda: seen.append("move"), directory)
    assert seen == ["write", "move", "sync"]


async def test_a_file_that_was_not_written_is_not_moved(syncer: Syncer, directory: int) -> None:
    moved: list[int] = []
    with pytest.raises(OSError, match="Input/output"):
        await syncer.publish(_refuse, lambda: moved.append(1), directory)
    assert moved == []


async def test_a_move_that_fails_is_no_unnamed_file(syncer: Syncer, directory: int) -> None:
    with pytest.raises(OSError, match="Input/output") as refused:
        await syncer.publish(_nothing, _refuse, directory)
    assert not isinstance(refused.value, Unnamed)


async def test_names_of_a_directory_that_the_disk_refuses(
    syncer: Syncer, directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other = os.open(tmp_path / "other", os.O_RDONLY | os.O_DIRECTORY)
    sync = os.fsync

    def refuse_one(file: int) -> None:
        if file == directory:
            _refuse()
        sync(file)

    monkeypatch.setattr(syncing.os, "fsync", refuse_one)
    results = await asyncio.gather(
        *(syncer.publish(_nothing, _nothing, d) for d in (directory, other) * 5), return_exceptions=True
    )
    os.close(other)
    assert [type(r) for r in results] == [Unnamed, type(None)] * 5


async def test_others_gather_while_a_directory_is_synced(
    syncer: Syncer, directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first sync takes its time all others are written; then they share one."""
    syncs: list[int] = []
    written, go = threading.Semaphore(0), threading.Event()

    def sync(_: int) -> None:
        syncs.append(1)
        if len(syncs) == 1:
            go.wait(60)

    monkeypatch.setattr(syncing.os, "fsync", sync)
    first = asyncio.ensure_future(syncer.publish(_nothing, _nothing, directory))
    while not syncs:
        await asyncio.sleep(0)
    others = [asyncio.ensure_future(syncer.publish(written.release, _nothing, directory)) for _ in range(20)]
    for _ in others:
        await asyncio.to_thread(written.acquire)
    while len(syncer._written) < 20:
        await asyncio.sleep(0)
    go.set()
    await asyncio.gather(first, *others)
    assert len(syncs) == 2
    assert len(syncer._threads) <= LIMIT


async def test_a_bug_is_passed_on_and_the_thread_lives(syncer: Syncer, directory: int) -> None:
    def bug() -> None:
        raise KeyError("a bug")

    for _ in range(2 * LIMIT):
        with pytest.raises(KeyError):
            await syncer.publish(bug, _nothing, directory)
    await syncer.publish(_nothing, _nothing, directory)


async def test_a_caller_that_is_cancelled_disturbs_nobody(syncer: Syncer, directory: int) -> None:
    go = threading.Event()
    given_up = asyncio.ensure_future(syncer.publish(lambda: go.wait(60), _nothing, directory))
    other = asyncio.ensure_future(syncer.publish(_nothing, _nothing, directory))
    await asyncio.sleep(0)
    given_up.cancel()
    go.set()
    await other
    await syncer.publish(_nothing, _nothing, directory)
    assert given_up.cancelled()
