"""What runs without Docker needs nobody: processes of Havre's are killed, and their successors go on where they were."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from havre.engines.aside import aside
from havre.engines.oci.containers import launch, records
from havre.engines.oci.containers.engine import OciContainers
from havre.engines.oci.containers.records import lives, process
from havre.engines.ports import LogSink
from havre.kernel.errors import Temporary
from havre.kernel.workload import HealthCheck, LogTarget
from havre.kernel.world import World
from tests.contracts.container_bench import SLEEP, awsvpc, until, with_port
from tests.contracts.oci_bench import OciSetting, created, said, shell, started

pytestmark = pytest.mark.root

AWSLOGS = LogTarget("awslogs", "group", "stream", "us-east-1")
Lines = list[tuple[str, str, bytes]]


def child(setting: OciSetting, *ids: str, say: bool = False) -> subprocess.Popen[bytes]:
    """A process of its own that starts these containers, and takes their lines into files if it is to ``say`` them."""
    words = [setting.instance, str(setting.directory), "say" if say else "", *ids]
    command = [sys.executable, "-m", "tests.contracts.test_oci_crashes", *words]
    return subprocess.Popen(command, cwd=Path(__file__).resolve().parents[2], stdout=subprocess.PIPE)


async def work(instance: str, directory: str, say: str, *ids: str) -> None:
    """What the child does: for ever, until it is killed."""
    engine = OciContainers(instance, Path(directory), World(time.time, Random(1)))
    if say:

        def take(workload: str, container: str, lines: Sequence[tuple[int, bytes]]) -> None:
            with (Path(directory) / "taken").open("ab", 0) as file:
                file.write(b"".join(text + b"\n" for _, text in lines))

        taking = asyncio.ensure_future(engine.take_lines(take))
    await engine.settle()
    print("ready", flush=True)
    for id in ids:
        await engine.start(id)
    print("started", flush=True)
    await (taking if say else asyncio.Event().wait())


def ready(process: subprocess.Popen[bytes], word: bytes) -> None:
    assert process.stdout is not None
    while (line := process.stdout.readline()) != word + b"\n":
        assert line, "it has ended"


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


async def test_it_ends_while_nobody_looks(setting: OciSetting) -> None:
    ids = [await created(setting, shell(setting, f"sleep {n}; exit {n + 3}")) for n in (1, 2)]
    running = child(setting, *ids)
    ready(running, b"started")
    end(running)
    again = await setting.again()
    first = await again.inspect(ids[0])
    assert first.started is not None
    ended = [await until(again, id, "exited") for id in ids]
    assert [e.exit_code for e in ended] == [4, 5]
    finished = [e.finished or 0 for e in ended]
    assert first.started < finished[0] < finished[1]
    third = await setting.again()
    assert [(await third.inspect(id)).exit_code for id in ids] == [4, 5]


async def test_out_of_memory_while_nobody_looks(setting: OciSetting) -> None:
    id = await created(setting, shell(setting, "sleep 1; dd if=/dev/zero of=/dev/null bs=64M count=1", memory=16))
    running = child(setting, id)
    ready(running, b"started")
    end(running)
    await asyncio.sleep(2)
    ended = await until(await setting.again(), id, "exited")
    assert (ended.exit_code, ended.oom_killed) == (137, True)


@pytest.mark.parametrize("round", range(6))
async def test_killed_while_it_starts_containers(setting: OciSetting, round: int) -> None:
    """At any moment: the successor finds each either started or not, and what is not it can start."""
    ids = [await created(setting, with_port(shell(setting, f"echo began; {SLEEP}"), 80)) for _ in range(3)]
    running = child(setting, *ids)
    ready(running, b"ready")
    await asyncio.sleep(0.02 * (round + 1))
    end(running)
    again = await setting.again()
    found = {id: await again.inspect(id) for id in ids}
    assert {s.state for s in found.values()} <= {"created", "running"}
    for id in ids:
        state = await again.start(id)
        assert (state.state, state.pid > 0) == ("running", True)
        assert (await again.exec(id, ["echo", "here"]))[0] == 0
    assert [await said(again, id) for id in ids] == [["began"]] * 3


@pytest.mark.parametrize("step", ["_create", "_begin"])
async def test_a_start_that_fails_leaves_nothing(
    setting: OciSetting, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await created(setting, with_port(shell(setting, SLEEP), 80))
    original: Callable[..., Any] = getattr(launch, step)

    def fail(*arguments: Any) -> None:
        original(*arguments) if step == "_create" else None
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(launch, step, fail)
        with pytest.raises(Temporary, match="Input/output error"):
            await setting.engine.start(id)
    assert (await setting.engine.inspect(id)).state == "created"
    assert not setting.oci.groups.processes((await setting.engine.inspect(id)).workload, id)
    assert (await setting.engine.start(id)).state == "running"


async def test_a_monitor_that_comes_late_gives_way(setting: OciSetting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody began it who was killed, and it was not to be seen yet when his successor looked for it."""
    id = await created(setting, with_port(shell(setting, SLEEP), 80))
    original, late = launch._create, []

    def create(here: Any, job: Any) -> Any:
        if not late:
            late.append(original(here, job))
        return original(here, job)

    monkeypatch.setattr(launch, "_create", create)
    state = await setting.engine.start(id)
    assert (state.state, len(late)) == ("running", 1)
    assert not any(lives(each) for each in late[0])
    assert (await setting.engine.exec(id, ["echo", "here"]))[0] == 0


async def test_a_monitor_that_is_killed_takes_its_container_along(setting: OciSetting) -> None:
    state = await started(setting, shell(setting, "trap '' TERM; while :; do sleep 1; done"))
    run = setting.oci.life.kept[state.id].run
    assert run is not None
    os.kill(run.monitor.pid, signal.SIGKILL)
    ended = await until(setting.engine, state.id, "exited")
    assert (ended.exit_code, ended.error) == (137, "the container's monitor has ended before it")
    assert not lives(run.first)


async def test_a_machine_that_was_started_again(setting: OciSetting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pids on disk are others' by now."""
    state = await started(setting, shell(setting, SLEEP))
    kept = setting.oci.life.kept[state.id]
    assert kept.run is not None
    run = records.Run(records.Process(os.getpid(), 1), records.Process(os.getpid(), 1), kept.run.started)
    kept.place.write("run", run)
    again = await setting.again()
    ended = await until(again, state.id, "exited")
    assert ended.exit_code == 137
    assert os.getpid()


async def test_a_workloads_namespaces_live_on(setting: OciSetting) -> None:
    container = shell(setting, SLEEP)
    workload = awsvpc(setting, container)
    sandbox = await setting.engine.sandbox(workload)
    again = await setting.again()
    assert (await again.sandbox(workload)) == sandbox
    os.kill(sandbox.pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        while (await again.inspect(sandbox.id)).state == "running":
            await asyncio.sleep(0.02)


async def test_what_nobody_knows_is_ended(setting: OciSetting) -> None:
    """Somebody was killed after he had made a sandbox, and before he had written down that it is there."""
    workload = awsvpc(setting)
    sandbox = await setting.engine.sandbox(workload)
    (setting.directory / "sandboxes" / f"{workload.id}.json").unlink()
    again = await setting.again()
    assert await again.containers() == []
    await aside(lambda: launch.wait_for(process(sandbox.pid), 10.0))
    assert not lives(process(sandbox.pid))


async def test_half_removed_is_removed(setting: OciSetting) -> None:
    id = await created(setting, shell(setting, SLEEP))
    place = setting.oci.life.kept.pop(id).place
    place.path.rename(place.path.with_name(f".gone-{place.path.name}"))
    again = await setting.again()
    assert await again.containers() == []
    assert not list(place.path.parent.iterdir())


async def test_health_is_remembered(setting: OciSetting) -> None:
    check = HealthCheck(("CMD-SHELL", "test ! -e /sick"), interval=0.1, timeout=2, retries=2)
    state = await started(setting, shell(setting, SLEEP, health_check=check))
    await healthy(setting.oci, state.id, "HEALTHY")
    again = await setting.again()
    assert (await again.inspect(state.id)).health == "HEALTHY"
    await again.exec(state.id, ["touch", "/sick"])
    await healthy(again, state.id, "UNHEALTHY")
    await again.exec(state.id, ["rm", "/sick"])
    await healthy(again, state.id, "HEALTHY")


async def healthy(engine: OciContainers, id: str, status: str) -> None:
    async with asyncio.timeout(60):
        while (await engine.inspect(id)).health != status:
            await asyncio.sleep(0.05)


async def test_a_check_that_hangs_is_killed_and_the_container_ends(setting: OciSetting) -> None:
    check = HealthCheck(("CMD", "sleep", "1000"), interval=0.1, timeout=0.3, retries=1)
    state = await started(setting, shell(setting, SLEEP, health_check=check))
    await healthy(setting.oci, state.id, "UNHEALTHY")
    await setting.engine.stop(state.id, 10)
    assert (await setting.engine.inspect(state.id)).state == "exited"


# --- lines


async def test_no_line_is_lost_whoever_is_killed(setting: OciSetting) -> None:
    """A container writes as fast as it can; who takes its lines is killed again and again."""
    count = 60_000
    script = f"i=0; while [ $i -lt {count} ]; do echo $i; i=$((i+1)); done"
    id = await created(setting, shell(setting, script, log=AWSLOGS))
    running = child(setting, id, say=True)
    ready(running, b"started")
    for _ in range(4):
        await asyncio.sleep(0.15)
        end(running)
        running = child(setting, say=True)
        ready(running, b"ready")
    await until(await setting.again(), id, "exited")
    taken = setting.directory / "taken"
    async with asyncio.timeout(60):
        while not taken.read_bytes().endswith(b"\n%d\n" % (count - 1)):
            await asyncio.sleep(0.1)
    end(running)
    numbers = [int(line) for line in taken.read_bytes().split()]
    assert sorted(set(numbers)) == list(range(count))
    assert len(numbers) < count * 2


def collect(found: list[bytes]) -> LogSink:
    def take(workload: str, container: str, lines: Sequence[tuple[int, bytes]]) -> None:
        found.extend(text for _, text in lines)

    return take


async def test_lines_long_and_unfinished(setting: OciSetting) -> None:
    found: list[bytes] = []
    taking = asyncio.ensure_future(setting.oci.take_lines(collect(found)))
    many = "head -c {} /dev/zero | tr '\\0' {}"
    script = f"{many.format(100_000, 'a')}; echo; echo error >&2; echo; {many.format(600_000, 'b')}; printf end"
    state = await started(setting, shell(setting, script, log=AWSLOGS))
    await until(setting.engine, state.id, "exited")
    await setting.engine.remove(state.id)
    taking.cancel()
    assert b"a" * 100_000 in found
    assert b"error" in found
    assert b"" in found
    assert sum(line.count(b"b") for line in found) == 600_000
    assert max(len(line) for line in found) < 256 * 1024 + 10_000
    assert found[-1].endswith(b"end")


async def test_a_large_file_is_put_aside(setting: OciSetting, monkeypatch: pytest.MonkeyPatch) -> None:
    from havre.engines.oci.containers import tails

    monkeypatch.setattr(tails, "_LARGE", 100_000)
    found: list[bytes] = []
    taking = asyncio.ensure_future(setting.oci.take_lines(collect(found)))
    batch = "n=$((i+3000)); while [ $i -lt $n ]; do echo $i; i=$((i+1)); done; sleep 0.1"
    state = await started(setting, shell(setting, f"i=0; while [ $i -lt 30000 ]; do {batch}; done", log=AWSLOGS))
    place = setting.oci.life.kept[state.id].place
    await until(setting.engine, state.id, "exited")
    async with asyncio.timeout(30):
        while len(found) < 30_000:
            await asyncio.sleep(0.05)
    assert [int(line) for line in found] == list(range(30_000))
    size = sum(p.stat().st_size for p in (place.log, place.path / "log.old") if p.exists())
    assert size < 1_000_000
    await setting.engine.remove(state.id)
    taking.cancel()


async def test_who_hears_of_the_end_finds_the_last_words(setting: OciSetting) -> None:
    """Those that no line ends, too."""
    found: list[bytes] = []
    taking = asyncio.ensure_future(setting.oci.take_lines(collect(found)))
    container = shell(setting, "echo first; printf last", log=AWSLOGS)
    id = await created(setting, container)
    words: list[list[bytes]] = []

    async def listen() -> None:
        async for _ in setting.engine.events():
            state = setting.oci.life.kept[id].state()
            if state.state == "exited":
                words.append(list(found))
                return

    listening = asyncio.ensure_future(listen())
    await setting.engine.start(id)
    await asyncio.wait_for(listening, 30)
    assert words == [[b"first", b"last"]]
    taking.cancel()


async def test_a_container_is_not_removed_before_its_lines_are_taken(setting: OciSetting) -> None:
    found: list[bytes] = []
    room: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(workload: str, container: str, lines: Sequence[tuple[int, bytes]]) -> asyncio.Future[None]:
        found.extend(text for _, text in lines)
        return room

    taking = asyncio.ensure_future(setting.oci.take_lines(take))
    state = await started(setting, shell(setting, "echo last", log=AWSLOGS))
    await until(setting.engine, state.id, "exited")
    removing = asyncio.ensure_future(setting.engine.remove(state.id))
    await asyncio.sleep(0.3)
    assert not removing.done()
    room.set_result(None)
    await removing
    assert found == [b"last"]
    taking.cancel()


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]))
