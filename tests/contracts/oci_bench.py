"""The setting of the engine on crun and conmon: an image of busybox in a registry of its own, no Docker."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from havre.engines.oci.containers.engine import OciContainers
from havre.engines.ports import Image, RunState
from havre.kernel.workload import Container, Registry
from havre.kernel.world import World
from tests.contracts.container_bench import COMMANDS, SLEEP, Setting
from tests.contracts.oci_client import Client
from tests.contracts.oci_data import CONFIG, IMAGE, LAYER, Data
from tests.contracts.registry_server import Process, running
from tests.images import base

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NAME = "sh"


def packed(raw: bytes, packing: str) -> bytes:
    """``packing``: gzip, zstd, or "" for none."""
    return {"": raw, "zstd": zstd.compress(raw, 1), "gzip": gzip.compress(raw, 1, mtime=0)}[packing]


def push(server: Process, tag: str, layers: Sequence[bytes], packing: str = "gzip", **config: Any) -> str:
    """The image's reference. ``packing``: gzip or zstd."""
    data = Data()
    described = [data.blob(packed(raw, packing), f"{LAYER}+{packing}") for raw in layers]
    shape = {"os": "linux", "architecture": "amd64", "config": {"Env": ["PATH=/bin"], **config}}
    head = data.blob(json.dumps(shape).encode(), CONFIG)
    data.manifest({"schemaVersion": 2, "mediaType": IMAGE, "config": head, "layers": described}, tag)
    client = Client(server.address, server.password)
    for name, content in data.blobs.items():
        begun = client("POST", f"/v2/{NAME}/blobs/uploads/")
        assert client("PUT", begun.location, content, {"digest": name}).status == 201
    (content,) = data.manifests.values()
    assert client("PUT", f"/v2/{NAME}/manifests/{tag}", content, Content_Type=IMAGE).status == 201
    client.close()
    return f"{server.address}/{NAME}:{tag}"


@contextmanager
def shop(directory: Path) -> Iterator[Process]:
    """A registry that has the image of busybox, with the tag 1."""
    with running(directory / "registry", [NAME]) as server:
        push(server, "1", [base()], Cmd=["/bin/sh", "-c", SLEEP])
        yield server


class OciSetting(Setting):
    """``before`` is run by whoever stands for a process of this instance: ``again`` makes the next one of them."""

    def __init__(self, directory: Path, server: Process, **options: Any) -> None:
        super().__init__()
        self.real = True
        self.instance = f"t{random.getrandbits(28):07x}"
        self.directory = directory / self.instance
        self.server = server
        self.reference = f"{server.address}/{NAME}:1"
        self.keys = Registry(server.address, "AWS", server.password)
        self.options = options
        self._opened: list[OciContainers] = []
        self.engine = self.oci = self._open()

    def _open(self) -> OciContainers:
        made = OciContainers(self.instance, self.directory, World(time.time, Random(1)), **self.options)
        self._opened.append(made)
        return made

    def container(self, behaviour: str, name: str = "main", **more: Any) -> Container:
        command = COMMANDS[behaviour]
        return Container(name, self.reference, command=command, memory=16 if behaviour == "hungry" else 64, **more)

    async def image(self, container: Container) -> Image:
        return await self.engine.pull(container.image, self.keys)

    async def exhaust(self, state: Any) -> None:
        return  # it does so by itself

    async def kill(self, id: str) -> None:
        os.kill((await self.engine.inspect(id)).pid, signal.SIGKILL)

    async def again(self) -> OciContainers:
        return self._open()

    async def close(self) -> None:
        for each in self._opened:  # only one process of an instance is at work at a time: the others would tidy up, too
            await each.close()
        engine = self._open()
        for state in sorted(await engine.containers(), key=lambda s: not s.container):
            await engine.remove(state.id)
        await engine.remove_volumes(None)
        await engine.tidy(())
        await engine.remove_pool()
        await engine.close()
        left = self.left()
        assert not left, left
        shutil.rmtree(self.directory)

    def left(self) -> list[str]:
        """What of the instance is left on this machine: processes, links, rules, control groups, files in memory."""
        groups = [str(p) for p in Path("/sys/fs/cgroup").glob(f"*/havre-tasks-{self.instance}")]
        groups += [str(p) for p in Path("/sys/fs/cgroup").glob(f"havre-tasks-{self.instance}")]
        files = [str(p) for root in ("/run", "/dev/shm") for p in Path(root).glob(f"*{self.instance}*")]
        links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
        rules = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        prefix = self.oci.life.bridge.prefix
        found = [line for line in (links + rules).splitlines() if prefix in line or self.instance in line]
        return groups + files + found


def shell(setting: OciSetting, script: str, name: str = "main", *, tag: str = "1", **more: Any) -> Container:
    """A container that runs this in busybox's shell."""
    image = setting.reference.removesuffix(":1") + f":{tag}"
    return Container(name, image, command=("sh", "-c", script), **more)


async def created(setting: OciSetting, container: Container, **more: Any) -> str:
    """Its id; ``more`` is of its workload."""
    workload = setting.workload(container, **more)
    return (await setting.engine.create(workload, container, await setting.image(container), None)).id


async def started(setting: OciSetting, container: Container, **more: Any) -> RunState:
    return await setting.engine.start(await created(setting, container, **more))


async def said(engine: OciContainers, id: str, lines: int = 1) -> list[str]:
    """What a container has written, once there are so many lines of it."""
    async with asyncio.timeout(90):
        while len(found := (await engine.logs(id)).decode().splitlines()) < lines:
            await asyncio.sleep(0.02)
    return found
