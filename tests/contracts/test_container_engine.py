"""Every container engine keeps these promises: the fake, Docker, and the one on crun and conmon."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from havre.core.usage import of_stats
from havre.engines.ports import ContainerEngine, Terminal
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.workload import HealthCheck, Mount, Volume
from tests.contracts.container_bench import (
    IMAGE,
    SLEEP,
    DockerSetting,
    FakeSetting,
    Setting,
    awsvpc,
    until,
    with_port,
)
from tests.contracts.oci_bench import OciSetting, shop
from tests.contracts.registry_server import Process
from tests.images import busybox_image
from tests.ports import free_port


@pytest.fixture(scope="module")
def image() -> Iterator[None]:
    with busybox_image(IMAGE, SLEEP):
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with shop(tmp_path_factory.mktemp("shop")) as process:
        yield process


ENGINES = [
    "fake",
    pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.root]),
    pytest.param("oci", marks=pytest.mark.root),
]


@pytest.fixture(params=ENGINES)
async def setting(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Setting]:
    made: Setting
    if request.param == "oci":
        made = OciSetting(tmp_path, request.getfixturevalue("server"))
    elif request.param == "docker":
        request.getfixturevalue("image")
        made = DockerSetting()
    else:
        made = FakeSetting()
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
def engine(setting: Setting) -> ContainerEngine:
    return setting.engine


async def test_what_a_machine_has(engine: ContainerEngine) -> None:
    found = await engine.capacity()
    assert found.cpu >= 1024
    assert found.memory > 100
    assert found.engine
    assert found.os == "linux"


async def test_a_container_is_created_started_and_found(setting: Setting, engine: ContainerEngine) -> None:
    container = setting.container("sleeper")
    workload = setting.workload(container)
    made = await engine.create(workload, container, await setting.image(container), None)
    assert (made.state, made.workload, made.container) == ("created", workload.id, "main")
    assert (await engine.inspect(made.id)).state == "created"
    started = await engine.start(made.id)
    assert (started.state, started.exit_code) == ("running", None)
    assert started.pid > 0
    assert started.started is not None
    assert [s.id for s in await engine.containers(workload.id)] == [made.id]
    assert made.id in {s.id for s in await engine.containers()}
    assert await engine.containers("0" * 32) == []


async def test_all_of_it_may_be_asked_twice(setting: Setting, engine: ContainerEngine) -> None:
    container = setting.container("sleeper")
    workload = setting.workload(container)
    image = await setting.image(container)
    made = await engine.create(workload, container, image, None)
    assert (await engine.create(workload, container, image, None)).id == made.id
    first = await engine.start(made.id)
    assert (await engine.start(made.id)).started == first.started
    await engine.stop(made.id, 5)
    await engine.stop(made.id, 5)
    await engine.remove(made.id)
    await engine.remove(made.id)
    await engine.stop(made.id, 5)
    assert await engine.containers(workload.id) == []


async def test_two_calls_at_once_make_one(setting: Setting, engine: ContainerEngine) -> None:
    container = setting.container("sleeper")
    workload = setting.workload(container)
    image = await setting.image(container)
    made = await asyncio.gather(*(engine.create(workload, container, image, None) for _ in range(3)))
    assert len({m.id for m in made}) == 1
    started = await asyncio.gather(*(engine.start(made[0].id) for _ in range(3)))
    assert len({s.started for s in started}) == 1


async def test_one_that_ends_on_sigterm(setting: Setting, engine: ContainerEngine) -> None:
    made = await setting.made("sleeper")
    await engine.start(made.id)
    await asyncio.sleep(0.3)  # until its shell has set its trap
    await engine.stop(made.id, 20)
    ended = await engine.inspect(made.id)
    assert (ended.state, ended.exit_code) == ("exited", 0)
    assert ended.finished is not None
    assert ended.pid == 0


async def test_one_that_ignores_sigterm_is_killed_after_its_time(setting: Setting, engine: ContainerEngine) -> None:
    made = await setting.made("stubborn")
    await engine.start(made.id)
    await asyncio.sleep(0.3)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await engine.stop(made.id, 1.5)
    assert loop.time() - began >= 1.4
    ended = await engine.inspect(made.id)
    assert (ended.state, ended.exit_code, ended.oom_killed) == ("exited", 137, False)


@pytest.mark.parametrize(("behaviour", "code"), [("short", 0), ("crash", 3)])
async def test_exit_codes(setting: Setting, engine: ContainerEngine, behaviour: str, code: int) -> None:
    made = await setting.made(behaviour)
    await engine.start(made.id)
    ended = await until(engine, made.id, "exited")
    assert (ended.exit_code, ended.oom_killed) == (code, False)


async def test_out_of_memory_is_said(setting: Setting, engine: ContainerEngine) -> None:
    made = await setting.made("hungry")
    await setting.exhaust(await engine.start(made.id))
    ended = await until(engine, made.id, "exited")
    assert (ended.exit_code, ended.oom_killed) == (137, True)


async def test_a_missing_command_in_the_engines_words(setting: Setting, engine: ContainerEngine) -> None:
    made = await setting.made("missing")
    with pytest.raises(Permanent, match="executable file not found"):
        await engine.start(made.id)
    assert (await engine.inspect(made.id)).started is None


async def test_a_port_that_is_taken(setting: Setting, engine: ContainerEngine) -> None:
    anywhere = with_port(setting.container("sleeper"), 80)
    image = await setting.image(anywhere)
    chosen = await engine.start((await engine.create(setting.workload(anywhere), anywhere, image, None)).id)
    assert (chosen.ports[0].container_port, chosen.ports[0].host_port > 0) == (80, True)
    first = with_port(setting.container("sleeper"), 80, free_port())
    made = await engine.create(setting.workload(first), first, image, None)
    bound = (await engine.start(made.id)).ports[0]
    assert bound.host_port == first.ports[0].host_port
    second = with_port(setting.container("sleeper"), 80, bound.host_port)
    other = await engine.create(setting.workload(second), second, image, None)
    with pytest.raises(Permanent, match="already"):
        await engine.start(other.id)
    await engine.stop(made.id, 0)
    another = await engine.create(setting.workload(second), second, image, None)
    assert (await engine.start(another.id)).ports[0].host_port == bound.host_port


async def test_an_image_that_is_nowhere(engine: ContainerEngine) -> None:
    with pytest.raises((Permanent, Temporary)):
        await engine.pull("nowhere:1", None)


async def test_what_is_gone(engine: ContainerEngine) -> None:
    with pytest.raises(Gone):
        await engine.inspect("0" * 64)
    with pytest.raises(Gone):
        await engine.start("0" * 64)


async def test_events_name_the_workload(setting: Setting, engine: ContainerEngine) -> None:
    container = setting.container("sleeper")
    workload = setting.workload(container)
    made = await engine.create(workload, container, await setting.image(container), None)
    events = engine.events()
    try:
        async with asyncio.timeout(90):
            assert await anext(events) == ""
            await engine.start(made.id)
            await setting.kill(made.id)
            while await anext(events) != workload.id:
                pass
        assert (await engine.inspect(made.id)).state == "exited"
    finally:
        with contextlib.suppress(RuntimeError):
            await events.aclose()  # type: ignore[attr-defined]


async def test_health(setting: Setting, engine: ContainerEngine) -> None:
    check = HealthCheck(("CMD-SHELL", "exit 0"), interval=1, timeout=2, retries=1)
    made = await setting.made("sleeper", health_check=check)
    assert (await engine.start(made.id)).health == "UNKNOWN"
    async with asyncio.timeout(90):
        while (await engine.inspect(made.id)).health != "HEALTHY":
            await asyncio.sleep(0.1)


async def shown(terminal: Terminal, words: bytes) -> bytes:
    """All that it wrote until ``words`` were among it."""
    seen = b""
    async with asyncio.timeout(30):
        while words not in seen:
            piece = await terminal.read()
            assert piece, seen
            seen += piece
    return seen


async def test_a_command_on_a_terminal(setting: Setting, engine: ContainerEngine) -> None:
    made = await setting.made("sleeper")
    with pytest.raises((Permanent, Gone)):
        await engine.open_terminal(made.id, ["sh"], 100, 40)
    await engine.start(made.id)
    terminal = await engine.open_terminal(made.id, ["sh"], 100, 40)
    await terminal.write(b"stty size\r")
    await shown(terminal, b"40 100")
    await terminal.resize(80, 24)
    await terminal.write(b"echo hello\r")
    await shown(terminal, b"hello\r\n")
    for _ in range(50):  # a size arrives on its own way
        await terminal.write(b"stty size; echo .\r" if setting.real else b"stty size\r")
        if b"24 80" in await shown(terminal, b".\r\n" if setting.real else b"$ "):
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail("the terminal has kept its size")
    await terminal.write(b"exit 3\r")
    while await terminal.read():
        pass
    assert await terminal.ended() == 3
    await terminal.close()


async def test_a_terminal_belongs_to_root_and_says_what_it_can(setting: Setting, engine: ContainerEngine) -> None:
    if not setting.real:
        return  # users and programs are more than a fake has
    container = setting.container("sleeper", user="1000", environment={"GREETING": "good day"})
    workload = setting.workload(container)
    made = await engine.create(workload, container, await setting.image(container), None)
    await engine.start(made.id)
    terminal = await engine.open_terminal(made.id, ["sh", "-c", "echo $(id -u) $GREETING $TERM $LANG"], 80, 24)
    await shown(terminal, b"0 good day xterm-256color C.UTF-8\r\n")
    await terminal.close()
    terminal = await engine.open_terminal(made.id, ["no-such-program"], 80, 24)
    with pytest.raises(Permanent, match="executable file not found"):
        await terminal.read()
    await terminal.close()


async def test_a_terminal_that_is_hung_up_ends_its_command(setting: Setting, engine: ContainerEngine) -> None:
    made = await setting.made("sleeper")
    await engine.start(made.id)
    terminal = await engine.open_terminal(made.id, ["sh"], 80, 24)
    await shown(terminal, b" ")
    await terminal.close()
    async with asyncio.timeout(30):
        assert await terminal.ended() != 0
    assert (await engine.inspect(made.id)).state == "running"


async def test_a_terminal_ends_with_its_container(setting: Setting, engine: ContainerEngine) -> None:
    made = await setting.made("sleeper")
    await engine.start(made.id)
    terminal = await engine.open_terminal(made.id, ["sh"], 80, 24)
    await shown(terminal, b" ")
    await engine.stop(made.id, 0.5)
    async with asyncio.timeout(30):
        while await terminal.read():
            pass
        await terminal.ended()
    await terminal.close()


async def test_exec_stats_logs(setting: Setting, engine: ContainerEngine) -> None:
    made = await setting.made("sleeper")
    with pytest.raises((Permanent, Gone)):
        await engine.exec(made.id, ["echo", "hello"])
    await engine.start(made.id)
    code, output = await engine.exec(made.id, ["echo", "hello"])
    assert code == 0
    assert b"hello" in output
    stats = await engine.stats(made.id)
    assert stats["id"] == made.id
    used = of_stats(stats)
    assert used.cpu > 0 and 0 < used.memory < 1 << 30
    assert isinstance(await engine.logs(made.id), bytes)


async def test_a_restarted_process_finds_what_runs(setting: Setting, engine: ContainerEngine) -> None:
    container = setting.container("sleeper")
    workload = awsvpc(setting, container)
    sandbox = await engine.sandbox(workload)
    made = await engine.create(workload, container, await setting.image(container), sandbox)
    await engine.start(made.id)
    again = await setting.again()
    found = {s.container: s for s in await again.containers(workload.id)}
    assert (found[""].id, found["main"].id) == (sandbox.id, made.id)
    assert all(s.state == "running" and s.workload == workload.id for s in found.values())
    assert (await again.sandbox(workload)).id == sandbox.id
    assert (await again.create(workload, container, await setting.image(container), sandbox)).id == made.id


async def test_a_sandbox_belongs_to_one_workload(setting: Setting, engine: ContainerEngine) -> None:
    one, other = awsvpc(setting), awsvpc(setting)
    first, second = await engine.sandbox(one), await engine.sandbox(other)
    assert first.id != second.id
    assert first.pid != 0
    assert (await engine.sandbox(one)).id == first.id
    assert [s.id for s in await engine.containers(one.id)] == [first.id]
    await engine.remove(first.id)
    assert await engine.containers(one.id) == []


async def test_volumes_go_with_their_workload(setting: Setting, engine: ContainerEngine) -> None:
    mounts = (Mount("data", "/data"), Mount("there", "/there", read_only=True))
    container = setting.container("sleeper", mounts=mounts)
    volumes = (Volume("data"), Volume("there", "host", "/tmp"))
    workload = setting.workload(container, volumes=volumes)
    assert await engine.ensure_volume(workload, volumes[0]) == await engine.ensure_volume(workload, volumes[0])
    assert await engine.ensure_volume(workload, volumes[1]) == "/tmp"
    assert list(await engine.volume_owners()) == [workload.id]
    made = await engine.create(workload, container, await setting.image(container), None)
    await engine.start(made.id)
    await engine.remove(made.id)
    await engine.remove_volumes("0" * 32)
    assert list(await engine.volume_owners()) == [workload.id]
    await engine.remove_volumes(workload.id)
    assert list(await engine.volume_owners()) == []
    await engine.ensure_volume(workload, volumes[0])
    await engine.remove_volumes(None)
    assert list(await engine.volume_owners()) == []


async def test_many_end_at_once(setting: Setting, engine: ContainerEngine) -> None:
    made = await asyncio.gather(*(setting.made("sleeper") for _ in range(8)))
    await asyncio.gather(*(engine.start(m.id) for m in made))
    await asyncio.gather(*(engine.stop(m.id, 10) for m in made))
    assert {(await engine.inspect(m.id)).state for m in made} == {"exited"}
