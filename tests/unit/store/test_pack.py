"""Small blobs, many to a file."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from havre.kernel.errors import Permanent, Temporary
from havre.store.sqlite import SqlitePack, pack
from havre.store.sqlite.committer import Committer


@pytest.fixture
async def packed(tmp_path: Path) -> AsyncIterator[SqlitePack]:
    made = SqlitePack(tmp_path / "pack.db")
    yield made
    await made.close()


async def test_put_get_replace_remove(packed: SqlitePack) -> None:
    assert packed.get("a") is None and not packed.has("a")
    await asyncio.gather(packed.put("a", b"one", 1.0), packed.put("b", b"", 2.0), packed.put("a", b"two!", 3.0))
    assert packed.get("a") == b"two!"
    assert packed.get("b") == b""
    assert await packed.stored() == [("a", 3.0, 4), ("b", 2.0, 0)]
    await asyncio.gather(packed.remove("a"), packed.remove("never"))
    assert not packed.has("a") and packed.has("b")
    await packed.clear()
    assert await packed.stored() == []


async def test_lists_longer_than_a_page(packed: SqlitePack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "LISTED", 3)
    names = [f"n{i:02}" for i in range(10)]
    await asyncio.gather(*(packed.put(name, b"x", 0.0) for name in names))
    assert [name for name, _, _ in await packed.stored()] == names


async def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    made = SqlitePack(tmp_path / "pack.db")
    await made.close()
    assert list(tmp_path.iterdir()) == []


async def test_removals_give_room_back(packed: SqlitePack, tmp_path: Path) -> None:
    for n in range(40):
        await packed.put(f"n{n}", os.urandom(60_000), 0.0)
    await packed.close()
    full = (tmp_path / "pack.db").stat().st_size
    for n in range(40):
        await packed.remove(f"n{n}")
    await packed.close()
    assert (tmp_path / "pack.db").stat().st_size < full / 10


async def test_what_the_disk_refuses_is_told(packed: SqlitePack, monkeypatch: pytest.MonkeyPatch) -> None:
    await packed.put("a", b"one", 0.0)

    def refuse(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Committer, "_statements", refuse)
        with pytest.raises(Temporary):
            await packed.put("a", b"two", 0.0)
    assert packed.get("a") == b"one"
    await packed.put("a", b"three", 0.0)
    assert packed.get("a") == b"three"


async def test_one_process_at_a_time(packed: SqlitePack, tmp_path: Path) -> None:
    await packed.put("a", b"one", 0.0)
    with pytest.raises(Permanent, match="in use"):
        SqlitePack(tmp_path / "pack.db").get("a")


_WRITER = """
import asyncio, sys
from pathlib import Path
from havre.store.sqlite import SqlitePack
async def main():
    pack = SqlitePack(Path(sys.argv[1]))
    for n in range(10_000):
        await asyncio.gather(*(pack.put(f"{n}-{i}", b"x" * 20_000, 0.0) for i in range(4)))
        print(n, flush=True)
asyncio.run(main())
"""


async def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITER, str(tmp_path / "pack.db")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = -1
    while acknowledged < 20:
        acknowledged = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    told = process.stdout.read().split()
    process.wait()
    process.stdout.close()
    acknowledged = max([acknowledged, *map(int, told)])
    packed = SqlitePack(tmp_path / "pack.db")
    for n in range(acknowledged + 1):
        for i in range(4):
            assert packed.get(f"{n}-{i}") == b"x" * 20_000
    await packed.close()
