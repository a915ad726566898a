"""Without Docker, on a disk that is full: what containers write then is kept for a while, and what is lost is told."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from havre.kernel.errors import Temporary
from havre.kernel.workload import Container, LogTarget
from tests.contracts.container_bench import awsvpc, until
from tests.contracts.oci_bench import OciSetting
from tests.contracts.registry_server import Process

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

SCRIPT = """
trap 'seq 4000 7999' USR1
trap 'seq 100000 199999' USR2
echo ready
while :; do sleep 1000 & wait $!; done
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small one of its own."""
    where = tmp_path / "disk"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(where)], check=True)
    yield where
    subprocess.run(["umount", "--lazy", str(where)], check=True)


@pytest.fixture
async def small(disk: Path, server: Process) -> AsyncIterator[OciSetting]:
    made = OciSetting(disk, server)
    try:
        yield made
    finally:
        (disk / "filler").unlink(missing_ok=True)
        await made.close()


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC


async def test_lines_on_a_full_disk(small: OciSetting, disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines: list[bytes] = []

    def sink(workload: str, container: str, found: Sequence[tuple[int, bytes]]) -> None:
        lines.extend(text for _, text in found)

    async def until(text: bytes) -> None:
        async with asyncio.timeout(60):
            while text not in lines:
                await asyncio.sleep(0.02)

    taking = asyncio.ensure_future(small.oci.take_lines(sink))
    container = Container("main", small.reference, command=("sh", "-c", SCRIPT), log=LogTarget("awslogs"))
    made = await small.engine.create(small.workload(container), container, await small.image(container), None)
    pid = (await small.engine.start(made.id)).pid
    await until(b"ready")
    fill(disk / "filler")
    os.kill(pid, signal.SIGUSR1)
    await until(b"7999")
    assert lines == [b"ready", *(b"%d" % n for n in range(4000, 8000))], "they fit into what was reserved"

    with caplog.at_level(logging.ERROR, "havre.node"):
        os.kill(pid, signal.SIGUSR2)
        async with asyncio.timeout(60):
            while "lines of main of" not in caplog.text:
                await asyncio.sleep(0.02)
    assert "the disk is full" in caplog.text

    (disk / "filler").unlink()
    await asyncio.sleep(0)
    lines.clear()
    os.kill(pid, signal.SIGUSR1)
    await until(b"7999")
    assert lines[-4000:] == [b"%d" % n for n in range(4000, 8000)], "as before"
    taking.cancel()


async def test_exit_codes_on_a_full_disk(small: OciSetting, disk: Path) -> None:
    container = Container(
        "main", small.reference, command=("sh", "-c", "trap 'exit 7' USR1; while :; do sleep 0.1; done")
    )
    made = await small.engine.create(small.workload(container), container, await small.image(container), None)
    pid = (await small.engine.start(made.id)).pid
    fill(disk / "filler")
    os.kill(pid, signal.SIGUSR1)
    async with asyncio.timeout(60):
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.02)
    again = await small.again()  # whose predecessor has written nothing down
    (disk / "filler").unlink()
    assert (await until(again, made.id, "exited")).exit_code == 7


async def test_sandboxes_that_cannot_be_written_down_do_not_stay(small: OciSetting, disk: Path) -> None:
    container = Container("main", small.reference)
    workload = awsvpc(small, container)
    await small.oci.settle()
    fill(disk / "filler")
    before = _children()
    for _ in range(3):
        with pytest.raises(Temporary, match="No space left"):
            await small.engine.sandbox(workload)
    assert _children() == before
    (disk / "filler").unlink()
    assert (await small.engine.sandbox(workload)).state == "running"
    assert len(_children() - before) == 1


def _children() -> set[int]:
    """Of this process, whether they run or not."""
    found = [(task / "children").read_text().split() for task in Path("/proc/self/task").iterdir()]
    return {int(pid) for pids in found for pid in pids}
