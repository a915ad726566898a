"""Nothing of a function stays: when its sandbox is removed, when its zygote ends, when Havre is killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from havre.engines.oci import cgroups, scratch
from havre.engines.oci.engine import OciEngine
from havre.engines.sandbox import Sandbox
from tests.contracts.sandbox_bench import Bench, function

pytestmark = pytest.mark.root


def traces(sandbox: Sandbox) -> list[str]:
    """What is left of it on this machine."""
    found = [str(p) for p in Path("/sys/fs/cgroup").glob(f"*/havre-*/{sandbox.id}")]
    found += [str(p) for p in Path("/sys/fs/cgroup").glob(f"havre-*/{sandbox.id}")]
    found += [line for line in Path("/proc/self/mounts").read_text().splitlines() if sandbox.id in line]
    return found + ([f"process {sandbox.pid}"] if Path(f"/proc/{sandbox.pid}").exists() else [])


def runs(pid: int) -> bool:
    """Not so one that has ended and is not reaped yet, which may be up to this machine's init."""
    try:
        return bool(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return False


def disks(directory: Path) -> list[str]:
    """Files that lie there and are block devices of this machine; others may have some of their own."""
    found = []
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            found.append(path.read_text())
    return [file for file in found if file.startswith(f"{directory}/")]


async def test_nothing_stays(bench: Bench, tmp_path: Path) -> None:
    sandbox = await bench.obtain()
    await bench.start(sandbox, "/bin/sh", "-c", "(setsid sleep 1000 &) ; touch /tmp/x; echo up; sleep 1000")
    await bench.until(lambda: bench.written(sandbox.id))
    files = {p for p in (tmp_path / "engine").rglob("*") if sandbox.id in p.name}
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(tmp_path) in line]
    assert traces(sandbox) and not files and not mounts
    assert len(disks(tmp_path)) == (scratch.why_not() == "")
    await bench.engine.remove(sandbox.id)
    assert not runs(sandbox.pid)
    async with asyncio.timeout(30):
        while traces(sandbox) or disks(tmp_path):  # reaped, and let go of, when the kernel gets to it
            await asyncio.sleep(0.01)


_LIFE = """
import asyncio, os, sys
from pathlib import Path
from havre.engines.oci.engine import OciEngine
from havre.engines.sandbox import Process
from tests.contracts.sandbox_bench import Archives, function
async def main():
    directory = Path(sys.argv[2])
    archives = Archives(directory / "archives")
    archives.directory.mkdir()
    engine = OciEngine(sys.argv[1], directory / "engine", archives, pool=0)
    made = function(archives.keep({"app.py": ""}))
    await engine.prepare(made)
    for _ in range(2):
        sandbox = await engine.obtain(made)
        await engine.run(sandbox.id, Process("p", {}, ("/bin/sleep", "1000")))
    engine.freeze(sandbox.id)
    print("up", sandbox.pid, flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


async def test_a_life_that_was_killed_leaves_nothing(bench: Bench, tmp_path: Path) -> None:
    instance = f"t{os.getpid()}killed"
    (tmp_path / "other").mkdir()
    command = [sys.executable, "-c", _LIFE, instance, str(tmp_path / "other")]
    former = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert former.stdout is not None
    line = await asyncio.to_thread(former.stdout.readline)
    assert line.startswith(b"up ")
    former.send_signal(signal.SIGKILL)
    former.wait()
    groups = cgroups.cgroups(instance)
    assert groups.found()  # the frozen one cannot end by itself
    later = OciEngine(instance, tmp_path / "other" / "engine", bench.archives, pool=0)
    await later.remove_all()
    assert groups.found() == []
    assert not runs(int(line.split()[1]))


async def test_what_was_forked_from_a_zygote_ends_with_it(bench: Bench) -> None:
    assert isinstance(bench.engine, OciEngine)
    sandbox = await bench.obtain()
    await bench.start(sandbox, "/bin/sleep", "1000")
    for pid in bench.engine.zygotes():
        os.kill(pid, signal.SIGKILL)
    await bench.until(lambda: (sandbox.id, "p") in bench.exits)
    assert bench.exits[sandbox.id, "p"][0] == -9
    await bench.engine.remove(sandbox.id)
    other = await bench.obtain()
    assert await bench.sh(other, "echo again") == (0, "again\n")


async def test_forgotten_files_go_when_nobody_has_them(bench: Bench, tmp_path: Path) -> None:
    code, layer = bench.archives.keep({"a.txt": "a"}), bench.archives.keep({"b.txt": "b"})
    first, second = function(code, layers=(layer,)), function(code)
    for made in (first, second):
        await bench.engine.prepare(made)
    unpacked = tmp_path / "engine" / "code"
    sandbox = await bench.engine.obtain(second)
    os.close(sandbox.api)
    await bench.engine.forget([first.id])
    assert {p.name for p in unpacked.iterdir()} == {code.digest}
    await bench.engine.forget([second.id])
    assert await bench.sh(sandbox, "cat /var/task/a.txt") == (0, "a")
    await bench.engine.remove(sandbox.id)
    await bench.engine.forget([])
    assert list(unpacked.iterdir()) == []
