"""Small blobs beside the store's records: one commit for both, and never a record without its blob."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.store_kinds import KINDS, Clock, open_store, put

from havre.kernel.errors import Permanent, Temporary
from havre.store.sqlite import SqliteStore, pack
from havre.store.sqlite.committer import Committer


def _open(path: Path) -> SqliteStore:
    made = open_store("sqlite", path, Clock())
    assert isinstance(made, SqliteStore)
    return made


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = _open(tmp_path)
    yield made
    await made.close()


@pytest.fixture(params=["memory", "sqlite"])
async def packed(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    made: Any = open_store(request.param, tmp_path, Clock())
    yield made.pack
    await made.close()


async def test_put_get_replace_remove(packed: Any) -> None:
    assert packed.get("a") is None and not packed.has("a")
    await asyncio.gather(packed.put("a", b"one", 1.0), packed.put("b", b"", 2.0), packed.put("a", b"two!", 3.0))
    assert packed.get("a") == b"two!"
    assert packed.get("b") == b""
    assert await packed.stored() == [("a", 3.0, 4), ("b", 2.0, 0)]
    await asyncio.gather(packed.remove("a"), packed.remove("never"))
    assert not packed.has("a") and packed.has("b")
    await packed.clear()
    assert await packed.stored() == []


async def test_what_comes_is_seen_before_it_is_durable(packed: Any) -> None:
    await packed.put("a", b"one", 0.0)
    last = [packed.put("a", b"two", 0.0), packed.put("b", b"three", 0.0)]
    assert (packed.get("a"), packed.get("b"), packed.has("b")) == (b"two", b"three", True)
    last.append(packed.remove("a"))
    assert packed.get("a") is None and not packed.has("a")
    await asyncio.gather(*last)
    assert (packed.get("a"), packed.get("b")) == (None, b"three")


async def test_lists_longer_than_a_page(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "LISTED", 3)
    names = [f"n{i:02}" for i in range(10)]
    await asyncio.gather(*(store.pack.put(name, b"x", 0.0) for name in names))
    assert [name for name, _, _ in await store.pack.stored()] == names


async def test_much_at_once_is_written_by_the_thread(store: SqliteStore) -> None:
    content = {f"n{i}": os.urandom(60_000) for i in range(40)}
    await asyncio.gather(*(store.pack.put(name, body, 0.0) for name, body in content.items()))
    assert {name: store.pack.get(name) for name in content} == content


async def test_what_the_disk_refuses_is_told_of_the_blob_and_of_its_record(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.pack.put("a", b"one", 0.0)

    def refuse(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Committer, "_statements", refuse)
        packed = store.pack.put("a", b"two", 0.0)
        with pytest.raises(Temporary):
            await store.transact(lambda t: put(t, "a"))
        with pytest.raises(Temporary):
            await packed
    assert store.pack.get("a") == b"one" and store.revision != 0
    await store.pack.put("a", b"three", 0.0)
    assert store.pack.get("a") == b"three"


async def test_a_record_is_settled_no_sooner_than_its_blob(store: SqliteStore) -> None:
    """Whoever waits for what he read waits for the bytes too."""
    for n in range(50):
        packed = store.pack.put(f"n{n}", b"x", 0.0)
        asyncio.get_running_loop().create_task(store.transact(lambda t, n=n: put(t, f"n{n}")))
        if n % 3:
            await asyncio.sleep(0)
        await store.settled()
        assert packed.done()


_WRITER = """
import asyncio, sys
from pathlib import Path
from tests.contracts.store_kinds import Clock, open_store, put
async def push(store, name):
    packed = store.pack.put(name, name.encode() * 2000, 0.0)
    await store.transact(lambda t: put(t, name))
    await packed
    print(name, flush=True)
async def main():
    store = open_store("sqlite", Path(sys.argv[1]), Clock())
    for n in range(10_000):
        await asyncio.gather(*(push(store, f"{n}-{i}") for i in range(4)))
asyncio.run(main())
"""


def _interrupted(where: Path, pushes: int) -> list[str]:
    """A process that pushes and is killed in the middle: what it acknowledged."""
    root = Path(__file__).resolve().parents[3]
    process = subprocess.Popen([sys.executable, "-c", _WRITER, str(where)], stdout=subprocess.PIPE, text=True, cwd=root)
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(pushes)]
    process.send_signal(signal.SIGKILL)
    told += process.stdout.read().split()
    process.wait()
    process.stdout.close()
    return told


async def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    told = _interrupted(tmp_path, 100)
    store = open_store("sqlite", tmp_path, Clock())
    assert isinstance(store, SqliteStore)
    assert [name for name in told if store.pack.get(name) != name.encode() * 2000] == []
    assert set(told) <= {each.meta.name for each in store.list(KINDS[0])}
    await store.close()


async def test_wherever_the_disk_stopped_no_record_lacks_its_blob(tmp_path: Path) -> None:
    """Power fails: of the log any first part is on the disk, torn in the middle of a page."""
    _interrupted(tmp_path / "whole", 60)
    (log,) = (tmp_path / "whole").glob("*-wal")
    content, seen = log.read_bytes(), set()
    for part in range(12):
        torn = tmp_path / f"torn{part}"
        shutil.copytree(tmp_path / "whole", torn)
        for shared in torn.glob("*-shm"):
            shared.unlink()
        (torn / log.name).write_bytes(content[: len(content) * part // 11 - (part % 3) * 100])
        store = open_store("sqlite", torn, Clock())
        assert isinstance(store, SqliteStore)
        names = [each.meta.name for each in store.list(KINDS[0])]
        assert [name for name in names if store.pack.get(name) != name.encode() * 2000] == []
        seen.add(len(names))
        await store.close()
    assert len(seen) > 3, "the log was cut at different commits"


def _crash(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _old_pack(path: Path, **blobs: bytes) -> None:
    """As it was: a file of its own, whose last rows may still be in its log only."""
    script = f"""if True:
        import apsw, os
        made = apsw.Connection({os.fspath(path)!r})
        made.execute("PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0; PRAGMA user_version=1")
        made.execute("CREATE TABLE IF NOT EXISTS blob "
            "(name TEXT PRIMARY KEY, at REAL NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL)")
        made.executemany("INSERT INTO blob VALUES (?, 5.0, ?, ?)", {[(k, len(v), v) for k, v in blobs.items()]!r})
        os._exit(0)
        """
    subprocess.run([sys.executable, "-c", script], check=True)
    path.with_name(path.name + ".lock").write_text("1")


async def test_a_pack_in_a_file_of_its_own_is_taken_over(tmp_path: Path) -> None:
    store = _open(tmp_path)
    (tmp_path / "old").mkdir()
    path = tmp_path / "old" / "pack.db"
    store.pack.adopt(path)
    assert not path.exists()
    await store.pack.put("both", b"new", 9.0)
    _old_pack(path, both=b"old", a=b"one", empty=b"")
    store.pack.adopt(path)
    assert list(path.parent.iterdir()) == []
    assert store.pack.get("both") == b"new"
    assert await store.pack.stored() == [("a", 5.0, 3), ("both", 9.0, 3), ("empty", 5.0, 0)]
    await store.close()
    again = _open(tmp_path)
    assert again.pack.get("a") == b"one"
    await again.transact(lambda change: put(change, "x"))
    await again.close()


async def test_taking_over_a_pack_goes_on_after_a_crash(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pack.db"
    _old_pack(path, a=b"one", b=b"two")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", _crash)
        with pytest.raises(KeyboardInterrupt):
            store.pack.adopt(path)
    assert path.exists()
    store.pack.adopt(path)
    assert not path.exists()
    assert await store.pack.stored() == [("a", 5.0, 3), ("b", 5.0, 3)]


async def test_a_pack_that_is_none_stays(store: SqliteStore, tmp_path: Path) -> None:
    path = tmp_path / "pack.db"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(Permanent, match="cannot be taken over"):
        store.pack.adopt(path)
    assert path.exists()
    await store.transact(lambda change: put(change, "x"))
