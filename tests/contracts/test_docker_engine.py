"""What Docker's adapter does beyond the port: registries, sandboxes in advance, names of tasks, engines that are away."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from havre.engines.docker.client import Docker
from havre.engines.docker.engine import DockerEngine
from havre.engines.docker.netns import network_of
from havre.engines.ports import RunState
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.workload import Container, PortMapping, Registry
from tests import control_groups
from tests.contracts.container_bench import IMAGE, SLEEP, DockerSetting, awsvpc, run, until
from tests.contracts.registry_server import Process, running
from tests.images import busybox_image
from tests.ports import free_port

pytestmark = [pytest.mark.docker, pytest.mark.root]


@pytest.fixture(scope="module", autouse=True)
def image() -> Iterator[None]:
    with busybox_image(IMAGE, SLEEP):
        yield


@pytest.fixture
async def setting() -> AsyncIterator[DockerSetting]:
    made = DockerSetting(pool=2)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Process]:
    with running(tmp_path / "registry", ["sh"]) as process:
        yield process
        listed = ["docker", "images", "-q", f"{process.address}/sh"]
        for id in set(subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()):
            subprocess.run(["docker", "rmi", "-f", id], capture_output=True, check=False)
    # the image itself goes with its last name: the next module makes it again


async def _push(registry: Process, tag: str, line: str = "") -> None:
    """An image of its own for each ``line``."""
    name = f"{registry.address}/sh:{tag}"
    await run("docker", "login", "-u", "AWS", "-p", registry.password, registry.address)
    process = await asyncio.create_subprocess_exec(
        "docker", "build", "-q", "-t", name, "-", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    await process.communicate(f"FROM {IMAGE}\nLABEL line={line or 'x'}\n".encode())
    assert process.returncode == 0
    await run("docker", "push", "-q", name)
    await run("docker", "rmi", name)


async def test_a_tag_that_moves_is_seen_and_one_that_stays_is_not_pulled(
    setting: DockerSetting, registry: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, keys = f"{registry.address}/sh:1", Registry(registry.address, "AWS", registry.password)
    await _push(registry, "1", "first")
    first = await setting.engine.pull(reference, keys)
    assert first.digest.startswith("sha256:")
    pulled: list[str] = []
    images = setting.docker._images
    original = images._pull

    async def counted(reference: str, *rest: object) -> object:
        pulled.append(reference)
        return await original(reference, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(images, "_pull", counted)
    assert await setting.engine.pull(reference, keys) == first
    assert pulled == []
    await _push(registry, "2", "second")
    await run("docker", "pull", "-q", f"{registry.address}/sh:2")
    await run("docker", "tag", f"{registry.address}/sh:2", reference)
    await run("docker", "push", "-q", reference)
    await run("docker", "rmi", reference)
    await run("docker", "tag", first.id, reference)
    second = await setting.engine.pull(reference, keys)
    assert pulled == [reference]
    assert second.digest != first.digest
    digest = f"{registry.address}/sh@{second.digest}"
    assert (await setting.engine.pull(digest, None)).id == second.id


async def test_words_of_a_registry(setting: DockerSetting, registry: Process) -> None:
    keys = Registry(registry.address, "AWS", registry.password)
    with pytest.raises(Permanent, match=r"not found|unknown"):
        await setting.engine.pull(f"{registry.address}/sh:nope", keys)
    with pytest.raises(Permanent, match=r"(?i)denied|unauthorized|no basic auth"):
        await setting.engine.pull(f"{registry.address}/sh:1", Registry(registry.address, "AWS", "wrong"))
    with pytest.raises(Temporary):
        await setting.engine.pull("127.0.0.1:1/sh:1", None)


async def test_a_registry_that_is_away_does_not_hold_back_what_is_here(
    setting: DockerSetting, registry: Process
) -> None:
    reference, keys = f"{registry.address}/sh:1", Registry(registry.address, "AWS", registry.password)
    await _push(registry, "1")
    image = await setting.engine.pull(reference, keys)
    registry.kill()
    assert await setting.engine.pull(reference, keys) == image


async def test_sandboxes_are_made_in_advance_and_found_again(setting: DockerSetting) -> None:
    keeping = asyncio.ensure_future(setting.docker.keep_pool())
    first = await setting.engine.sandbox(awsvpc(setting))
    async with asyncio.timeout(90):
        while len(setting.docker._sandboxes._ready) < 2:
            await asyncio.sleep(0.05)
    ready = await setting.docker._ready_sandboxes()
    keeping.cancel()
    spaces = {network_of(s.pid) for s in (first, *ready)}
    assert len(spaces) == 3
    assert network_of(os.getpid()) not in spaces
    assert all(spaces)
    again = await setting.again()
    taking = asyncio.ensure_future(again.keep_pool())
    async with asyncio.timeout(90):
        while len(again._sandboxes._ready) < 2:
            await asyncio.sleep(0.02)
    taken = await again.sandbox(awsvpc(setting))
    assert taken.id in {s.id for s in ready}
    taking.cancel()
    await again.remove_pool()
    assert await setting.docker._ready_sandboxes() == []


async def test_a_task_has_the_names_that_aws_gives_it(setting: DockerSetting) -> None:
    script = "cat /etc/hosts /etc/resolv.conf; sleep 1; hostname; echo $HOSTNAME; sleep 100"
    container = Container("main", IMAGE, command=("sh", "-c", script), memory=64, extra_hosts=("db:10.1.0.77",))
    workload = awsvpc(setting, container)
    sandbox = await setting.engine.sandbox(workload)
    made = await setting.engine.create(workload, container, await setting.image(container), sandbox)
    started = await setting.engine.start(made.id)
    assert network_of(started.pid) == network_of(sandbox.pid)
    async with asyncio.timeout(90):
        while len((said := (await setting.engine.logs(made.id)).decode()).splitlines()) < 8:
            await asyncio.sleep(0.05)
    assert "10.1.0.9 ip-10-1-0-9.ec2.internal" in said
    assert "10.1.0.77 db" in said
    assert "nameserver 169.254.169.253" in said
    assert said.splitlines()[-2:] == ["ip-10-1-0-9.ec2.internal"] * 2


async def test_a_sandbox_that_was_killed_is_said(setting: DockerSetting) -> None:
    workload = awsvpc(setting)
    sandbox = await setting.engine.sandbox(workload)
    await setting.kill(sandbox.id)
    await until(setting.engine, sandbox.id, "exited")
    with pytest.raises(Permanent, match="has ended"):
        await setting.engine.sandbox(workload)


async def test_another_instances_containers_are_not_seen(setting: DockerSetting) -> None:
    other = DockerSetting()
    try:
        made = await other.made("sleeper")
        assert made.id not in {s.id for s in await setting.engine.containers()}
    finally:
        await other.close()


async def test_an_engine_that_is_away(tmp_path: Path) -> None:
    engine = DockerEngine("t000000", str(tmp_path / "none.sock"))
    for call in (engine.ping(), engine.capacity(), engine.containers(), engine.inspect("x"), engine.stop("x", 1)):
        with pytest.raises(Temporary, match="Cannot connect to the Docker daemon"):
            await call
    events = engine.events()
    assert await anext(events) == ""


async def test_an_engine_that_closes_in_the_middle(tmp_path: Path) -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/version" in head:
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"ApiVersion":"1.41"}')
            head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        writer.close()

    server = await asyncio.start_unix_server(rude, str(tmp_path / "rude.sock"))
    docker = Docker(str(tmp_path / "rude.sock"))
    with pytest.raises(Temporary, match="closed the connection"):
        await docker.call("GET", "/info")
    await docker.close()
    server.close()


async def _task(setting: DockerSetting, commands: Mapping[str, str], **limits: Any) -> dict[str, RunState]:
    """A workload of containers with no memory of their own, started; the limits are of all together."""
    containers = [Container(name, IMAGE, command=("sh", "-c", command)) for name, command in commands.items()]
    workload = setting.workload(*containers, **limits)
    made = {}
    for container in containers:
        created = await setting.engine.create(workload, container, await setting.image(container), None)
        made[container.name] = await setting.engine.start(created.id)
    return made


HUNGRY = "until [ -e {wait} ]; do sleep 0.1; done; exec dd if=/dev/zero of=/dev/null bs={size} count=1"


async def test_a_container_without_memory_has_no_more_than_its_task(setting: DockerSetting) -> None:
    found = await _task(setting, {"one": HUNGRY.format(wait="/bin", size="100M")}, memory=64)
    ended = await until(setting.engine, found["one"].id, "exited")
    assert (ended.exit_code, ended.oom_killed) == (137, True)
    found = await _task(setting, {"one": HUNGRY.format(wait="/bin", size="100M")}, memory=256)
    ended = await until(setting.engine, found["one"].id, "exited")
    assert (ended.exit_code, ended.oom_killed) == (0, False)


async def test_containers_of_a_task_share_its_memory(setting: DockerSetting) -> None:
    """40 MiB are too many beside 40 MiB of another, in 64."""
    holder = f"dd if=/dev/zero of=/dev/shm/held bs=1M count=40; {SLEEP}"
    found = await _task(setting, {"holder": holder, "other": HUNGRY.format(wait="/go", size="40M")}, memory=64)
    async with asyncio.timeout(60):
        while "41943040" not in await run("docker", "exec", found["holder"].id, "sh", "-c", "wc -c /dev/shm/* || true"):
            await asyncio.sleep(0.1)
    await run("docker", "exec", found["other"].id, "touch", "/go")
    ended = await until(setting.engine, found["other"].id, "exited")
    assert (ended.exit_code, ended.oom_killed) == (137, True)
    assert (await setting.engine.inspect(found["holder"].id)).state == "running"


async def test_containers_of_a_task_share_its_processors(setting: DockerSetting) -> None:
    """Two that want all there is: over any time they have had no more than a quarter together."""
    busy = "while :; do :; done"
    found = await _task(setting, {"one": busy, "other": busy}, cpu=256)
    pids = [found["one"].pid, found["other"].pid]

    def used() -> float:
        ticks = [Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[11:13] for pid in pids]
        return sum(int(t) for both in ticks for t in both) / os.sysconf("SC_CLK_TCK")

    clock = asyncio.get_running_loop().time
    began, before = clock(), used()
    async with asyncio.timeout(60):
        while used() - before < 0.5:
            await asyncio.sleep(0.1)
    assert used() - before <= 0.25 * (clock() - began) + 0.1  # a period's worth, and the clock's grain


async def test_a_tasks_control_group_goes_with_it(setting: DockerSetting) -> None:
    found = await _task(setting, {"one": SLEEP}, cpu=256, memory=64)
    state = found["one"]

    def there() -> list[Path]:
        return control_groups.named(state.workload)

    assert there()
    again = await setting.again()
    await again.tidy(())
    assert there(), "a group in which something runs stays"
    await setting.engine.stop(state.id, 5)
    await setting.engine.tidy({state.workload})
    assert there()
    await setting.engine.remove(state.id)
    await again.tidy(())
    assert not there()


async def test_an_end_is_heard_before_docker_has_tidied_up(setting: DockerSetting) -> None:
    """Of one that holds a named port of the host it is not: the port would be given to the next one too soon."""
    heard: list[str] = []

    async def listen() -> None:
        async for workload in setting.engine.events():
            heard.append(workload)

    listener = asyncio.create_task(listen())
    free = Container("one", IMAGE, command=("sh", "-c", SLEEP))
    holder = msgspec.structs.replace(free, ports=(PortMapping(80, free_port()),))
    for container, known in ((free, True), (holder, False)):
        workload = setting.workload(container)
        made = await setting.engine.create(workload, container, await setting.image(container), None)
        started = await setting.engine.start(made.id)
        await run("docker", "kill", "-s", "KILL", made.id)
        async with asyncio.timeout(30):
            while workload.id not in heard:
                await asyncio.sleep(0.01)
        (seen,) = await setting.engine.containers(workload.id)
        truth = await setting.engine.inspect(made.id)
        assert (seen.state, seen.exit_code, seen.started) == ("exited", 137, started.started)
        assert (setting.docker._endings.of(made.id) is not None) is known
        assert (truth.exit_code, truth.oom_killed) == (seen.exit_code, seen.oom_killed)
        await setting.engine.remove(made.id)
        assert setting.docker._endings.of(made.id) is None
    listener.cancel()


async def test_a_container_joins_a_place_on_the_bridge_that_is_ready(setting: DockerSetting) -> None:
    """It finds there what Docker would give it; one with a port gets a network of its own."""
    plain = Container("main", IMAGE, command=("sh", "-c", SLEEP), dns=("192.0.2.53",), extra_hosts=("db:192.0.2.9",))
    image = await setting.image(plain)
    loop = asyncio.create_task(setting.docker.keep_pool())

    async def made(container: Container) -> RunState:
        workload = setting.workload(container)
        created = await setting.engine.create(workload, container, image, None)
        assert (await setting.engine.create(workload, container, image, None)).id == created.id
        return await setting.engine.start(created.id)

    first = await made(plain)  # nothing was ready
    async with asyncio.timeout(60):
        while len(setting.docker._bridged._ready) < 2:
            await asyncio.sleep(0.05)
    joined, other = await made(plain), await made(plain)
    port = await made(msgspec.structs.replace(plain, ports=(PortMapping(80),)))
    modes = [await run("docker", "inspect", "-f", "{{.HostConfig.NetworkMode}}", s.id) for s in (first, joined, port)]
    assert [m.strip().partition(":")[0] for m in modes] == ["bridge", "container", "bridge"]
    assert len({s.address for s in (first, joined, other, port)}) == 4
    assert network_of(joined.pid) != network_of(other.pid)
    inside = await run("docker", "exec", joined.id, "sh", "-c", "ip -4 -o addr show eth0; cat /etc/hosts; hostname")
    assert f" {joined.address}/" in inside
    assert "192.0.2.9\tdb" in inside
    assert inside.splitlines()[-1] in inside.splitlines()[-2], "its name is in /etc/hosts"
    assert "nameserver 192.0.2.53" in await run("docker", "exec", joined.id, "cat", "/etc/resolv.conf")
    await run("docker", "exec", other.id, "ping", "-c", "1", "-W", "5", joined.address)
    again = await setting.again()
    assert {s.container for s in await again.containers(joined.workload)} == {"", "main"}
    assert next(s for s in await again.containers(joined.workload) if s.container).address == joined.address
    loop.cancel()


async def test_places_on_the_bridge_are_found_again_and_go(setting: DockerSetting) -> None:
    pools = [setting.docker, await setting.again()]
    for engine in pools:
        engine._bridged._taken.set()
        loop = asyncio.create_task(engine.keep_pool())
        async with asyncio.timeout(60):
            while len(engine._bridged._ready) < 2:
                await asyncio.sleep(0.05)
        loop.cancel()
    first, second = ({s.id for s in e._bridged._ready} for e in pools)
    assert first == second


async def _processes(id: str, of: str) -> list[str]:
    shown = await run("docker", "exec", id, "ps", "-o", "pid,args")
    return [line for line in shown.splitlines() if of in line]


async def test_a_command_whose_node_was_killed_is_hung_up_by_the_next_one(setting: DockerSetting) -> None:
    made = await setting.made("sleeper")
    await setting.engine.start(made.id)
    killed = await setting.again()
    lost = await killed.open_terminal(made.id, ["sh", "-c", "trap true HUP; sleep 1234; sleep 1234"], 80, 24)
    foreign = await asyncio.create_subprocess_exec("docker", "exec", "-d", "-t", made.id, "sleep", "4321")
    assert await foreign.wait() == 0
    mine = await setting.engine.open_terminal(made.id, ["sleep", "2341"], 80, 24)
    async with asyncio.timeout(90):
        while len(await _processes(made.id, "sleep 1234")) < 2 or not await _processes(made.id, "sleep 2341"):
            await asyncio.sleep(0.05)
    lost._writer.transport.abort()  # type: ignore[attr-defined]  # what the kernel does to a process that is killed
    await setting.engine.tidy(())
    async with asyncio.timeout(90):
        while await _processes(made.id, "sleep 1234"):
            await asyncio.sleep(0.05)
    assert await _processes(made.id, "sleep 2341"), "the session of who lives goes on"
    assert await _processes(made.id, "sleep 4321"), "and so does what a person runs"
    await mine.close()
    assert not await _processes(made.id, "sleep 2341")
    assert (await setting.engine.inspect(made.id)).state == "running"


async def test_keys_that_docker_detaches_at_are_typed_as_others_are(setting: DockerSetting) -> None:
    made = await setting.made("sleeper")
    await setting.engine.start(made.id)
    terminal = await setting.engine.open_terminal(made.id, ["sh", "-c", "stty raw -echo; echo ready; cat"], 80, 24)
    seen = b""
    async with asyncio.timeout(90):
        while b"ready" not in seen:
            seen += await terminal.read()
        await terminal.write(b"\x10")
        while b"\x10" not in seen:
            seen += await terminal.read()
        await terminal.write(b"\x10\x11.")
        while b"\x10\x11." not in seen:
            piece = await terminal.read()
            assert piece, seen
            seen += piece
    await terminal.close()
