"""Settings for the suite of container engines: the fake, and Docker with an image of busybox that is made here."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from random import Random
from typing import Any

import msgspec

from havre.engines.docker.engine import DockerEngine
from havre.engines.fake import FakeContainers, Program
from havre.engines.ports import ContainerEngine, Image, RunState
from havre.kernel.workload import Container, Interface, PortMapping, Workload
from havre.kernel.world import World
from tests.images import own

IMAGE = own("havre-contract/busybox")
SLEEP = "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"
COMMANDS: Mapping[str, tuple[str, ...] | None] = {
    "sleeper": ("sh", "-c", SLEEP),
    "stubborn": ("sh", "-c", "trap '' TERM; while :; do sleep 1; done"),
    "short": ("sh", "-c", "exit 0"),
    "crash": ("sh", "-c", "exit 3"),
    "hungry": ("sh", "-c", "sleep 0.2; dd if=/dev/zero of=/dev/null bs=64M count=1"),
    "missing": ("no-such-program",),
}
PROGRAMS = {
    "sleeper": Program(),
    "stubborn": Program(leaves=None),
    "short": Program(ends=0.01),
    "crash": Program(ends=0.01, code=3),
    "hungry": Program(),
    "missing": Program(unstartable="executable file not found in $PATH"),
    "nowhere:1": Program(unpullable="manifest unknown"),
}


class Setting:
    """An engine, and words for what its containers do. ``behaviour`` names a line of COMMANDS and PROGRAMS."""

    engine: ContainerEngine

    def __init__(self) -> None:
        self.real = False

    def workload(self, *containers: Container, network: str = "bridge", **more: Any) -> Workload:
        id = f"{random.getrandbits(128):032x}"
        return Workload(id, f"arn:task/{id}", "000000000000", "us-east-1", containers, network=network, **more)

    def container(self, behaviour: str, name: str = "main", **more: Any) -> Container:
        raise NotImplementedError

    async def image(self, container: Container) -> Image:
        return await self.engine.pull(container.image, None)

    async def made(self, behaviour: str, **more: Any) -> RunState:
        """A container on its own, created."""
        container = self.container(behaviour, **more)
        return await self.engine.create(self.workload(container), container, await self.image(container), None)

    async def exhaust(self, state: RunState) -> None:
        """Make a started ``hungry`` one need more memory than it has."""
        raise NotImplementedError

    async def kill(self, id: str) -> None:
        """From outside: SIGKILL."""
        raise NotImplementedError

    async def again(self) -> ContainerEngine:
        """The engine as a restarted process of the same instance opens it."""
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class FakeSetting(Setting):
    def __init__(self) -> None:
        super().__init__()
        self.engine = self.fake = FakeContainers(World(time.time, Random(1)), PROGRAMS)

    def container(self, behaviour: str, name: str = "main", **more: Any) -> Container:
        return Container(name, behaviour, memory=64, **more)

    async def exhaust(self, state: RunState) -> None:
        self.fake.kill(state.id, oom=True)

    async def kill(self, id: str) -> None:
        self.fake.kill(id)

    async def again(self) -> ContainerEngine:
        return self.engine

    async def close(self) -> None:
        return


class DockerSetting(Setting):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.real = True
        self.instance = f"t{random.getrandbits(28):07x}"
        self.options = options
        self.engine = self.docker = DockerEngine(self.instance, **options)
        self._opened = [self.docker]

    def container(self, behaviour: str, name: str = "main", **more: Any) -> Container:
        return Container(name, IMAGE, command=COMMANDS[behaviour], memory=16 if behaviour == "hungry" else 64, **more)

    async def exhaust(self, state: RunState) -> None:
        return  # it does so by itself

    async def kill(self, id: str) -> None:
        await run("docker", "kill", id)

    async def again(self) -> DockerEngine:
        made = DockerEngine(self.instance, **self.options)
        self._opened.append(made)
        return made

    async def close(self) -> None:
        for state in sorted(await self.docker.containers(), key=lambda s: not s.container):
            await self.docker.remove(state.id)
        await self.docker.remove_volumes(None)
        await self.docker.tidy(())
        await self.docker.remove_pool()
        for engine in self._opened:
            await engine.close()
        left = await run("docker", "ps", "-aq", "--filter", f"label=havre.instance={self.instance}")
        assert left == ""


async def run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0, command
    return output.decode()


def awsvpc(setting: Setting, *containers: Container) -> Workload:
    interface = Interface(
        "eni-1", "vpc-1", "subnet-1", "10.1.0.9", "02:00:00:00:00:09", hostname="ip-10-1-0-9.ec2.internal"
    )
    return setting.workload(*containers, network="awsvpc", interface=interface)


def with_port(container: Container, inside: int, host: int = 0) -> Container:
    return msgspec.structs.replace(container, ports=(PortMapping(inside, host),))


async def until(engine: ContainerEngine, id: str, state: str) -> RunState:
    """The container once it is in this state."""
    async with asyncio.timeout(90):
        while (seen := await engine.inspect(id)).state != state:
            await asyncio.sleep(0.02)
    return seen
