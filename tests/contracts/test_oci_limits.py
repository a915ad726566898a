"""What a task's limits hold without Docker, what is told of its use, and further processes in it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from havre.dataplanes.metadata.stats import Sampler
from havre.engines.ports import RunState
from havre.kernel.errors import Gone, Permanent
from havre.kernel.workload import Container, LogTarget
from tests import control_groups
from tests.contracts.container_bench import SLEEP, until
from tests.contracts.oci_bench import OciSetting

pytestmark = pytest.mark.root

HUNGRY = "until [ -e {wait} ]; do sleep 0.1; done; exec dd if=/dev/zero of=/dev/null bs={size} count=1"


async def task(
    setting: OciSetting, commands: Mapping[str, str], fields: Any = None, **limits: int
) -> dict[str, RunState]:
    """A workload of containers, started; the limits are of all together."""
    containers = [
        Container(name, setting.reference, command=("sh", "-c", command), **(fields or {}))
        for name, command in commands.items()
    ]
    workload = msgspec.structs.replace(setting.workload(*containers), **limits)
    made = {}
    for container in containers:
        created = await setting.engine.create(workload, container, await setting.image(container), None)
        made[container.name] = await setting.engine.start(created.id)
    return made


async def test_a_container_without_memory_has_no_more_than_its_task(setting: OciSetting) -> None:
    found = await task(setting, {"one": HUNGRY.format(wait="/bin", size="100M")}, memory=64)
    ended = await until(setting.engine, found["one"].id, "exited")
    assert (ended.exit_code, ended.oom_killed) == (137, True)
    found = await task(setting, {"one": HUNGRY.format(wait="/bin", size="100M")}, memory=256)
    ended = await until(setting.engine, found["one"].id, "exited")
    assert (ended.exit_code, ended.oom_killed) == (0, False)


async def test_containers_of_a_task_share_its_memory(setting: OciSetting) -> None:
    """40 MiB are too many beside 40 MiB of another, in 64."""
    holder = f"dd if=/dev/zero of=/dev/shm/held bs=1M count=40; echo held > /done; {SLEEP}"
    found = await task(setting, {"holder": holder, "other": HUNGRY.format(wait="/go", size="40M")}, memory=64)
    async with asyncio.timeout(60):
        while (await setting.engine.exec(found["holder"].id, ["test", "-e", "/done"]))[0] != 0:
            await asyncio.sleep(0.1)
    await setting.engine.exec(found["other"].id, ["touch", "/go"])
    ended = await until(setting.engine, found["other"].id, "exited")
    assert (ended.exit_code, ended.oom_killed) == (137, True)
    assert (await setting.engine.inspect(found["holder"].id)).state == "running"


async def test_containers_of_a_task_share_its_processors(setting: OciSetting) -> None:
    """Two that want all there is: over any time they have had no more than a quarter together."""
    busy = "while :; do :; done"
    found = await task(setting, {"one": busy, "other": busy}, cpu=256)
    clock = asyncio.get_running_loop().time

    async def used() -> float:
        stats = [await setting.engine.stats(state.id) for state in found.values()]
        return sum(s["cpu_stats"]["cpu_usage"]["total_usage"] for s in stats) / 1e9  # type: ignore[index]

    began, before = clock(), await used()
    async with asyncio.timeout(60):
        while await used() - before < 0.5:
            await asyncio.sleep(0.1)
    assert await used() - before <= 0.25 * (clock() - began) + 0.1  # a period's worth


async def test_a_tasks_control_group_goes_with_it(setting: OciSetting) -> None:
    found = await task(setting, {"one": SLEEP}, cpu=256, memory=64)
    state = found["one"]

    def there() -> list[Path]:
        return control_groups.named(state.workload)

    assert there()
    await setting.engine.tidy(())
    assert there(), "a group in which something runs stays"
    await setting.engine.remove(state.id)
    await setting.engine.tidy({state.workload})
    await setting.engine.tidy(())
    assert not there()


async def test_statistics_in_dockers_shape(setting: OciSetting) -> None:
    state = (await task(setting, {"one": "while :; do :; done"}, {"memory": 64}))["one"]
    told: Any = await Sampler(setting.engine).sample(state.id)
    assert told["id"] == state.id
    assert told["cpu_stats"]["cpu_usage"]["total_usage"] > told["precpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert told["cpu_stats"]["system_cpu_usage"] > told["precpu_stats"]["system_cpu_usage"] > 0
    assert told["cpu_stats"]["online_cpus"] >= 1
    assert told["memory_stats"]["limit"] == 64 << 20
    assert 0 < told["memory_stats"]["usage"] < 64 << 20
    assert told["pids_stats"]["current"] == 1
    assert set(told["networks"]) == {"eth0"}
    assert told["network_rate_stats"]["rx_bytes_per_sec"] >= 0
    with pytest.raises(Gone):
        await setting.engine.stats("0" * 64)


async def test_further_processes(setting: OciSetting) -> None:
    fields = {"environment": {"A": "of it"}, "working_directory": "/bin", "user": "7:8", "memory": 64}
    state = (await task(setting, {"one": SLEEP}, fields))["one"]
    code, output = await setting.engine.exec(state.id, ["sh", "-c", "echo $A; pwd; id -u; echo error >&2; exit 9"])
    assert (code, output.decode().split("\n")) == (9, ["of it", "/bin", "7", "error", ""])
    _, output = await setting.engine.exec(state.id, ["grep", "-E", "^(CapBnd|Seccomp):", "/proc/self/status"])
    assert output.decode().split("\n") == ["CapBnd:\t00000000a80425fb", "Seccomp:\t2", ""]
    code, output = await setting.engine.exec(state.id, ["no-such-program"])
    assert code != 0
    assert b'exec: "no-such-program": executable file not found in $PATH' in output
    code, output = await setting.engine.exec(state.id, ["sh", "-c", "head -c 3000000 /dev/zero"])
    assert (code, len(output) <= 1 << 20) == (0, True)
    await setting.engine.stop(state.id, 10)
    assert (await setting.engine.inspect(state.id)).state == "exited"
    with pytest.raises(Permanent, match="is not running"):
        await setting.engine.exec(state.id, ["true"])


async def test_the_end_of_its_first_process_is_the_end_of_all(setting: OciSetting) -> None:
    """Also of those in the machine's namespace of processes, whom the kernel does not end."""
    container = Container("main", setting.reference, command=("sh", "-c", "sleep 1000 & sleep 1000 & exit 5"))
    workload = setting.workload(container, pid_mode="host")
    made = await setting.engine.create(workload, container, await setting.image(container), None)
    await setting.engine.start(made.id)
    assert (await until(setting.engine, made.id, "exited")).exit_code == 5
    async with asyncio.timeout(30):
        while setting.oci.groups.processes(workload.id, made.id):
            await asyncio.sleep(0.02)


async def test_a_log_that_nobody_takes_has_a_largest_size(setting: OciSetting) -> None:
    many = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"
    fields = {"log": LogTarget("json-file", options={"max-size": "100k"})}
    state = (await task(setting, {"one": many}, fields))["one"]
    await until(setting.engine, state.id, "exited")
    assert setting.oci.life.kept[state.id].place.log.stat().st_size <= 110_000
    assert (await setting.engine.logs(state.id, 1)).decode() == "line 19999\n"


async def test_the_last_lines(setting: OciSetting) -> None:
    state = (await task(setting, {"one": "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done"}))["one"]
    await until(setting.engine, state.id, "exited")
    assert (await setting.engine.logs(state.id, 2)).decode() == "line 1998\nline 1999\n"
    assert len((await setting.engine.logs(state.id, 5000)).splitlines()) == 2000
    assert await setting.engine.logs(state.id, 0) == b""
