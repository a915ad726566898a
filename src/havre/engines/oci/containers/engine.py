"""ContainerEngine (see engines/ports.py) on crun or runc, conmon and overlayfs."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from havre.engines.aside import aside
from havre.engines.docker import spec as docker
from havre.engines.groups import limits
from havre.engines.memory import total_memory
from havre.engines.oci.containers import apparmor, jobs, programs, spec
from havre.engines.oci.containers.execs import run_in
from havre.engines.oci.containers.groups import Groups
from havre.engines.oci.containers.image_cache import ImageCache, Stored
from havre.engines.oci.containers.kept import Kept
from havre.engines.oci.containers.life import Life
from havre.engines.oci.containers.lines import tail
from havre.engines.oci.containers.records import Record, id_of
from havre.engines.oci.containers.sandboxes import Sandboxes
from havre.engines.oci.containers.tails import Tails
from havre.engines.oci.containers.terminals import open_terminal
from havre.engines.oci.containers.usage import usage
from havre.engines.oci.containers.volumes import Volumes
from havre.engines.ports import Capacity, Image, LogSink, RunState, Terminal
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.quantities import CPU_UNITS_PER_CORE, MIB
from havre.kernel.workload import Container, Registry, Volume, Workload
from havre.kernel.world import World

log = logging.getLogger("havre.node")

R = TypeVar("R")
_PARALLEL_STARTS = 4
_KILLED_WITHIN = 30.0
_LOOK = 60.0
_SWEEP = 1800.0
"""Seconds between looks at images that nobody uses (ECS_IMAGE_CLEANUP_INTERVAL)."""
_LINES = 20.0
"""Seconds that the last lines of a container may take before it is removed; then it is tried again."""
_MOST_LOG = 4 << 20


class OciContainers:
    """``state`` is a directory of this engine's own, ``run`` one that goes when the machine does; ``resolver`` the name
    server of VPCs."""

    def __init__(
        self, instance: str, state: Path, world: World, *, resolver: str = "169.254.169.253", run: Path = Path("/run")
    ) -> None:
        self.instance = instance
        self.now = world.now
        self.state = state
        self._resolver = resolver
        self._run = run / f"havre-{instance}"
        self.image_cache = ImageCache(state / "images", self.now)
        self.groups = Groups(instance)
        self.sandboxes = Sandboxes(state / "sandboxes", self.groups, self.now)
        self.volumes = Volumes(state / "volumes")
        self.tails = Tails()
        self._listeners: list[asyncio.Queue[str]] = []
        self.life = Life(self, self._tell)
        self._starts = asyncio.Semaphore(_PARALLEL_STARTS)
        self._settled = False
        self._settling = asyncio.Lock()

    # --- the beginning

    async def ping(self) -> None:
        """Raises Temporary when containers cannot be run here (yet)."""
        if not self._settled:
            why = await asyncio.to_thread(self.why_not)
            if why:
                raise Temporary(why)

    def why_not(self) -> str:
        return programs.why_not() or self.groups.why_not()

    async def settle(self) -> None:
        """What a former life of this instance left is found again. Raises Temporary."""
        if self._settled:
            return
        async with self._settling:
            if not self._settled:
                await self.ping()
                await self._now(self._make_ready)
                await self.life.adopt(self.state / "containers")
                self._settled = True

    def _make_ready(self) -> None:
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (self._run, self._run / "runtime", self._run / "s", self._run / "exits"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.image_cache.settle()
        self.sandboxes.settle()
        machine = spec.Machine(
            version2=self.groups.version2,
            swap=self.groups.swap,
            init=programs.init(),
            capabilities=spec.held(programs.capabilities()),
            queues=Path("/dev/mqueue").exists(),
            apparmor=apparmor.load(),
        )
        self.life.ready(self.image_cache.directory, self._run, machine)

    async def _now(self, work: Callable[[], R]) -> R:
        """In a thread. Raises Temporary for what the machine refuses."""
        try:
            return await aside(work)
        except OSError as error:
            raise Temporary(str(error)) from error

    async def capacity(self) -> Capacity:
        await self.ping()
        return Capacity(
            cpu=(os.cpu_count() or 1) * CPU_UNITS_PER_CORE,
            memory=total_memory() // MIB,
            architecture=platform.machine(),
            os="linux",
            kernel=platform.release(),
            engine="oci",
            engine_version=await asyncio.to_thread(programs.version),
        )

    async def pull(self, reference: str, registry: Registry | None, *, always: bool = True) -> Image:
        await self.settle()
        return await self.image_cache.pull(reference, registry, always=always)

    async def sandbox(self, workload: Workload) -> RunState:
        await self.settle()
        async with self.life.turn(workload.id):
            held = self.sandboxes.held.get(workload.id)
            if held is None:
                name = docker.sandbox_name(self.instance, workload.id)
                sysctls = docker.net_sysctls(workload) if workload.network == "awsvpc" else {}
                make = partial(self.sandboxes.make, workload.id, name, sysctls, processes=workload.pid_mode == "task")
                held = await self._now(make)
            state = held.state()
            if state.state != "running":
                raise Permanent("the task's network namespace has ended")
            return state

    async def create(
        self, workload: Workload, container: Container, image: Image, sandbox: RunState | None
    ) -> RunState:
        await self.settle()
        name = docker.container_name(self.instance, workload.id, container.name)
        if (found := self.life.kept.get(id_of(name))) is not None:
            return found.state()
        if why := spec.refused(container, workload.network):
            raise Permanent(why)
        stored = self.image_cache.stored(image.id)
        if stored is None:
            raise Permanent(f"No such image: {container.image}")
        spec.arguments(container, stored)
        self.image_cache.used(image.id)
        pid = sandbox.pid if sandbox is not None else 0
        try:
            record = self._record(workload, container, stored, pid)
            return self.life.create(record, self.state / "containers").state()
        except OSError as error:
            raise Temporary(f"the container cannot be kept: {error}") from error

    def _record(self, workload: Workload, container: Container, image: Stored, sandbox: int) -> Record:
        name = docker.container_name(self.instance, workload.id, container.name)
        return Record(
            id=id_of(name),
            name=name,
            workload=workload.id,
            container=container.name,
            spec=container,
            image=image.id,
            network=workload.network,
            created=self.now(),
            labels=dict(image.labels) | jobs.labels(self.instance, workload, container.name, container.labels),
            volumes=workload.volumes,
            sandbox=sandbox,
            interface=workload.interface,
            region=workload.region,
            pid_mode=workload.pid_mode,
            ipc_mode=workload.ipc_mode,
            limits=limits(workload, os.cpu_count() or 1),
        )

    async def start(self, id: str) -> RunState:
        """One that was started already is not started again, whatever became of it."""
        await self.settle()
        kept = self._get(id)
        async with kept.lock:
            if kept.run is None or kept.run.started is None:
                async with self._starts:
                    await self.life.start(kept, self._resolver)
            return kept.state()

    async def stop(self, id: str, timeout: float, signal: str = "") -> None:
        """The signal is the container's own unless ``signal`` names one."""
        await self.settle()
        kept = self.life.kept.get(id)
        if kept is None:
            await self._end_sandbox(id)
            return
        async with kept.lock:
            if not kept.running:
                return
        stored = self.image_cache.stored(kept.record.image)
        own = kept.record.spec.stop_signal or (stored.stop_signal if stored is not None else "")
        self.life.signal(kept, signal or own or "SIGTERM")
        if not await _within(kept.ended.wait(), timeout):
            await self._now(partial(self.groups.kill, kept.record.workload, id))
            if not await _within(kept.ended.wait(), _KILLED_WITHIN):
                raise Temporary(f"the container {id[:12]} does not end")

    async def _end_sandbox(self, id: str) -> None:
        for held in self.sandboxes.all():
            if held.id == id:
                await self._now(partial(self.sandboxes.end, held.workload))

    async def remove(self, id: str) -> None:
        await self.settle()
        kept = self.life.kept.get(id)
        if kept is None:
            for held in self.sandboxes.all():
                if held.id == id:
                    await self._now(partial(self.sandboxes.remove, held.workload))
                    self._tell(held.workload)
            return
        await self.stop(id, 0.0)
        if not await self.tails.drain(id, _LINES):
            raise Temporary(f"the last lines of {kept.record.name} are not taken yet")
        await self.life.remove(kept)

    def _get(self, id: str) -> Kept:
        kept = self.life.kept.get(id)
        if kept is None:
            raise Gone(f"No such container: {id}")
        return kept

    async def inspect(self, id: str) -> RunState:
        await self.settle()
        for held in self.sandboxes.all():
            if held.id == id:
                return held.state()
        return self._get(id).state()

    async def containers(self, workload: str | None = None) -> Sequence[RunState]:
        await self.settle()
        held = [h.state() for h in self.sandboxes.all() if workload in (None, h.workload)]
        return held + [k.state() for k in self.life.kept.values() if workload in (None, k.record.workload)]

    # --- volumes

    async def ensure_volume(self, workload: Workload, volume: Volume) -> str:
        await self.settle()
        return str(await self._now(partial(self.volumes.ensure, workload.id, volume)))

    async def volume_owners(self) -> Sequence[str]:
        await self.settle()
        return self.volumes.owners()

    async def remove_volumes(self, workload: str | None) -> None:
        await self.settle()
        await self._now(partial(self.volumes.remove, workload))

    async def tidy(self, alive: Collection[str]) -> None:
        await self.settle()
        busy = (
            {k.record.workload for k in self.life.kept.values()}
            | {h.workload for h in self.sandboxes.all()}
            | set(alive)
        )
        for task in await self._now(self.groups.tasks) - busy:
            await self._now(partial(self.groups.remove_task, task))

    # --- watching

    async def events(self) -> AsyncIterator[str]:
        told: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.append(told)
        try:
            yield ""
            while True:
                yield await told.get()
        finally:
            self._listeners.remove(told)

    def _tell(self, workload: str) -> None:
        for told in self._listeners:
            told.put_nowait(workload)

    async def exec(self, id: str, command: Sequence[str]) -> tuple[int, bytes]:
        await self.settle()
        kept = self._get(id)
        if not kept.running:
            raise Permanent(f"Container {id} is not running")
        return await run_in(self.life.here, kept, command)

    async def open_terminal(self, id: str, command: Sequence[str], columns: int, rows: int) -> Terminal:
        await self.settle()
        kept = self._get(id)
        if not kept.running:
            raise Permanent(f"Container {id} is not running")
        return await open_terminal(self.life.here, kept, command, (columns, rows))

    async def stats(self, id: str) -> Mapping[str, object]:
        await self.settle()
        kept = self._get(id)
        record, pid = kept.record, kept.run.first.pid if kept.run is not None and kept.running else 0
        return usage(self.groups, record, pid, self.now())

    async def logs(self, id: str, tail: int = 100) -> bytes:
        await self.settle()
        return await self._now(partial(_last_lines, self._get(id), tail))

    # --- the loops that apps run, and the end

    async def take_lines(self, sink: LogSink) -> None:
        """Lines of containers with the awslogs driver go to ``sink``. For ever."""
        await self.tails.run(sink)

    async def keep_pool(self) -> None:
        """Looks after rules and images. For ever: sandboxes are made in two milliseconds, and none is kept ready."""
        swept = time.monotonic()
        while True:
            with suppress(Temporary, Permanent):
                await self.settle()
                self.sandboxes.reap()
                await self._now(self.life.look_after_rules)
                if time.monotonic() - swept > _SWEEP:
                    swept = time.monotonic()
                    await self.image_cache.sweep({k.record.image for k in self.life.kept.values()})
            await asyncio.sleep(_LOOK)

    async def remove_pool(self) -> None:
        """What is left when nothing runs any more: the instance goes down."""
        await self.settle()
        await self._now(self.life.remove_all)

    async def close(self) -> None:
        """Lets go of everything, and leaves it as it is."""
        await self.life.close()


async def _within(awaited: Awaitable[object], seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await awaited
    except TimeoutError:
        return False
    return True


def _last_lines(kept: Kept, count: int) -> bytes:
    text = b"".join(_read_end(path) for path in (kept.place.path / "log.old", kept.place.log))
    return tail(text, count)


def _read_end(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _MOST_LOG))
            data = file.read(_MOST_LOG)
    except FileNotFoundError:
        return b""
    return data if size <= _MOST_LOG else data[data.find(b"\n") + 1 :]
