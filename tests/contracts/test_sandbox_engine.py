"""What every sandbox engine does: the fake, whose processes have no walls around them, and the real one."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from havre.engines.fake_sandbox import FakeSandboxes
from havre.engines.sandbox import Process
from havre.kernel.errors import Gone, Permanent
from tests.contracts.sandbox_bench import Archives, Bench, need_runtime, real


@pytest.fixture(params=["fake", pytest.param("oci", marks=pytest.mark.root)])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    if request.param == "oci":
        need_runtime()
        async with real(tmp_path, pool=0) as made:
            yield made
        return
    archives = Archives(tmp_path)
    fake = FakeSandboxes(archives=tmp_path, scratch=tmp_path / "unpacked")
    (tmp_path / "unpacked").mkdir()
    yield Bench(fake, archives)
    await fake.close()


async def test_tells_what_a_process_writes_before_how_it_ends(bench: Bench) -> None:
    sandbox = await bench.obtain()
    assert await bench.sh(sandbox, "echo one; echo two >&2; exit 3") == (3, "one\ntwo\n")
    assert bench.exits[sandbox.id, "p"] == (3, False)


async def test_a_signal_is_told_from_an_exit_code(bench: Bench) -> None:
    sandbox = await bench.obtain()
    assert await bench.sh(sandbox, "kill -TERM $$") == (-signal.SIGTERM, "")
    assert await bench.sh(sandbox, "exit 143") == (143, "")


async def test_a_program_that_is_not_there(bench: Bench) -> None:
    sandbox = await bench.obtain()
    with pytest.raises(Permanent, match=r"fork/exec /nonexistent/program: no such file or directory"):
        await bench.start(sandbox, "/nonexistent/program")
    assert await bench.sh(sandbox, "echo still here") == (0, "still here\n")


async def test_processes_are_told_apart_by_name(bench: Bench) -> None:
    sandbox = await bench.obtain()
    await bench.start(sandbox, "/bin/sh", "-c", "echo first; sleep 1000", name="a")
    await bench.start(
        sandbox, "/bin/sh", "-c", "trap 'echo told; exit 7' TERM; echo second; while :; do :; done", name="b"
    )
    await bench.until(lambda: bench.written(sandbox.id, "a") and bench.written(sandbox.id, "b"))
    await bench.engine.signal(sandbox.id, "b", signal.SIGTERM)
    await bench.until(lambda: (sandbox.id, "b") in bench.exits)
    assert bench.exits[sandbox.id, "b"][0] == 7
    assert bench.written(sandbox.id, "a") == "first\n"
    assert bench.written(sandbox.id, "b") == "second\ntold\n"
    assert (sandbox.id, "a") not in bench.exits


async def test_frozen_nothing_runs(bench: Bench) -> None:
    sandbox = await bench.obtain()
    await bench.start(sandbox, "/bin/sh", "-c", "while :; do echo x; sleep 0.001; done")
    await bench.until(lambda: bench.written(sandbox.id))
    for _ in range(2):
        bench.engine.freeze(sandbox.id)
        await asyncio.sleep(0.05)  # what it wrote before arrives
        before = bench.written(sandbox.id)
        await asyncio.sleep(0.1)
        assert bench.written(sandbox.id) == before
        bench.engine.freeze(sandbox.id)
        bench.engine.thaw(sandbox.id)
        bench.engine.thaw(sandbox.id)
        await bench.until(lambda seen=len(before): len(bench.written(sandbox.id)) > seen)


async def test_a_frozen_one_is_removed(bench: Bench) -> None:
    sandbox = await bench.obtain()
    await bench.start(sandbox, "/bin/sh", "-c", "echo up; sleep 1000")
    await bench.until(lambda: bench.written(sandbox.id))
    bench.engine.freeze(sandbox.id)
    await bench.engine.remove(sandbox.id)
    await bench.engine.remove(sandbox.id)
    with pytest.raises(Gone):
        await bench.engine.run(sandbox.id, Process("p", {}, ("/bin/true",)))


async def test_environment_and_directory(bench: Bench) -> None:
    code = bench.archives.keep({"a.txt": "the function's own"})
    sandbox = await bench.obtain(code=code)
    await bench.start(sandbox, "/bin/sh", "-c", 'echo "$GIVEN"; cat a.txt', GIVEN="a 'b' $c")
    await bench.until(lambda: (sandbox.id, "p") in bench.exits)
    assert bench.written(sandbox.id) == "a 'b' $c\nthe function's own"


async def test_a_broken_archive_is_permanent(bench: Bench) -> None:
    code = bench.archives.keep({})
    (bench.archives.directory / code.digest).write_bytes(b"this is no archive")
    with pytest.raises(Permanent, match=r"unzip|unpacked"):
        await bench.obtain(code=code)


async def test_remove_all_ends_everything(bench: Bench) -> None:
    sandboxes = [await bench.obtain() for _ in range(3)]
    for sandbox in sandboxes:
        await bench.start(sandbox, "/bin/sleep", "1000")
    await bench.engine.remove_all()
    for sandbox in sandboxes:
        with pytest.raises(Gone):
            await bench.engine.run(sandbox.id, Process("p", {}, ("/bin/true",)))


async def test_cleared_nothing_runs_and_its_files_stay(bench: Bench) -> None:
    sandbox = await bench.obtain()
    kept = f"/tmp/{sandbox.id}-{os.urandom(6).hex()}"
    script = f"(trap '' TERM; while :; do echo child; sleep 0.01; done) & echo here > {kept}; echo up; wait"
    await bench.start(sandbox, "/bin/sh", "-c", script)
    await bench.until(lambda: "up" in bench.written(sandbox.id) and "child" in bench.written(sandbox.id))
    bench.engine.freeze(sandbox.id)
    await bench.engine.clear(sandbox.id)
    assert bench.exits[sandbox.id, "p"] == (-signal.SIGKILL, False)
    before = bench.written(sandbox.id)
    await asyncio.sleep(0.05)
    assert bench.written(sandbox.id) == before, "its children have ended, too"
    assert await bench.sh(sandbox, f"cat {kept}; rm {kept}") == (0, "here\n")
    await bench.engine.clear(sandbox.id)
    await bench.engine.remove(sandbox.id)
    with pytest.raises(Gone):
        await bench.engine.clear(sandbox.id)
