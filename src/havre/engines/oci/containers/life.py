"""The life of containers: made, started, watched, ended, found again. What is decided here is written down first."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from havre.engines.aside import aside
from havre.engines.oci.containers import filters, health, jobs, launch, programs, spec
from havre.engines.oci.containers.bridge import Bridge, Published, reserve
from havre.engines.oci.containers.execs import run_in
from havre.engines.oci.containers.kept import Health, Kept, signal_number
from havre.engines.oci.containers.records import End, Place, Record, Run, lives
from havre.engines.oci.containers.sandboxes import GROUP
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.workload import BoundPort

if TYPE_CHECKING:
    from socket import socket

    from havre.engines.oci.containers.engine import OciContainers
    from havre.engines.oci.containers.image_cache import Stored

log = logging.getLogger("havre.node")

R = TypeVar("R")
_KILLED = 137
_RETRY = 1.0
_PATIENCE = 5.0
_LAST_LINES = 2.0
"""Seconds in which the last lines of a container that has ended are taken before anybody hears of its end."""


def _found(directory: Path, exits: Path) -> list[tuple[Record, Place]]:
    """What is there; what is half there goes."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = []
    for path in sorted(directory.iterdir()):
        place = Place(path, exits)
        record = place.read("record", Record) if not path.name.startswith(".") else None
        if record is None:
            shutil.rmtree(path, ignore_errors=True)
        else:
            found.append((record, place))
    return found


class Life:
    def __init__(self, engine: OciContainers, tell: Callable[[str], None]) -> None:
        self._engine = engine
        self._tell = tell
        self.kept: dict[str, Kept] = {}
        self.bridge = Bridge(engine.instance)
        self.here: launch.Here
        self._turns: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Future[None]] = set()

    def ready(self, images: Path, run: Path, machine: spec.Machine) -> None:
        self.here = launch.Here(self._engine.instance, images, run, self._engine.groups, machine, self._engine.now)

    def turn(self, workload: str) -> asyncio.Lock:
        """One at a time makes what all of a workload share."""
        return self._turns.setdefault(workload, asyncio.Lock())

    # --- found again

    async def adopt(self, directory: Path) -> None:
        """Raises Temporary."""
        for record, place in await self._now(partial(_found, directory, self.here.exits)):
            self._keep(record, place)
        for kept in list(self.kept.values()):
            await self._adopt(kept)
        await self._end_strays()
        addresses = [k.run.address for k in self.kept.values() if k.running and k.run and k.run.address]
        await self._now(partial(self.bridge.settle, addresses))
        await self._now(self.publish)

    async def _adopt(self, kept: Kept) -> None:
        kept.run, kept.end = kept.place.read("run", Run), kept.place.read("end", End)
        if kept.end is not None:
            kept.ended.set()
            self._follow(kept)
            self._spawn(self._tidy_up(kept))
            return
        if kept.run is not None and kept.run.started is None:
            if lives(kept.run.monitor) and await aside(partial(launch.has_begun, self.here, kept.record)):
                kept.run = msgspec.structs.replace(kept.run, started=self._engine.now())
                kept.place.write("run", kept.run)
            else:
                kept.run = None
        if kept.run is None:
            await self._undo(kept)
            return
        known = kept.place.read("health", Health)
        kept.health = known.status if known is not None else "UNKNOWN"
        self._watch(kept)

    async def _end_strays(self) -> None:
        """Processes of containers and sandboxes of which nothing is known: somebody was killed at the wrong moment."""
        groups, sandboxes = self._engine.groups, self._engine.sandboxes
        known = {(k.record.workload, k.record.id[:16]) for k in self.kept.values()}
        known |= {(task, GROUP) for task in sandboxes.held}
        for task, name in await self._now(groups.found):
            if (task, name) not in known:
                work = partial(sandboxes.forget, task) if name == GROUP else partial(groups.remove, task, name)
                await self._now(work)

    async def _now(self, work: Callable[[], R]) -> R:
        """In a thread. Raises Temporary for what the machine refuses."""
        try:
            return await aside(work)
        except OSError as error:
            raise Temporary(str(error)) from error

    # --- made

    def create(self, record: Record, directory: Path) -> Kept:
        """Raises OSError."""
        place = Place(directory / record.id[:16], self.here.exits)
        place.settle(record)
        return self._keep(record, place)

    def _keep(self, record: Record, place: Place) -> Kept:
        kept = self.kept[record.id] = Kept(record, place)
        stored = self._engine.image_cache.stored(record.image)
        kept.image_volumes = stored.volumes if stored is not None else ()
        return kept

    def _others(self, kept: Kept) -> dict[str, Kept]:
        same = kept.record.workload
        return {k.record.container: k for k in self.kept.values() if k.record.workload == same}

    # --- started

    async def start(self, kept: Kept, resolver: str) -> None:
        """Raises Permanent, Temporary."""
        record = kept.record
        stored = self._engine.image_cache.stored(record.image)
        if stored is None:
            raise Permanent(f"No such image: {record.spec.image}")
        linked = jobs.names_of_links(kept, self._others(kept))
        held: list[tuple[socket, BoundPort]] = []
        try:
            for mapping in record.spec.ports if record.network == "bridge" else ():
                held.append(reserve(mapping))
            ports = tuple(bound for _, bound in held)

            def write_files(address: str) -> None:
                jobs.write_files(kept, address, linked, resolver)

            work = partial(self._launch, kept, stored, [s.fileno() for s, _ in held], ports, write_files)
            await self._started(kept, work)
        finally:
            for sock, _ in held:
                sock.close()
        self._watch(kept)

    async def _started(self, kept: Kept, work: Callable[[], None]) -> None:
        """To its end even when whoever asked is cancelled meanwhile: half a start is nothing."""
        task = asyncio.ensure_future(self._undone_unless(kept, work))  # noqa: TID251
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)

    async def _undone_unless(self, kept: Kept, work: Callable[[], None]) -> None:
        try:
            await aside(work)
        except BaseException as error:
            address = kept.run.address if kept.run is not None else ""
            kept.run = None
            await self._undo(kept)
            if address:
                await aside(partial(self._unpublish, kept, address))
            if isinstance(error, OSError):
                raise Temporary(f"the container cannot be started: {error}") from error
            raise

    def _launch(
        self,
        kept: Kept,
        stored: Stored,
        held: Sequence[int],
        ports: tuple[BoundPort, ...],
        write_files: Callable[[str], None],
    ) -> None:
        """In a thread of its own."""
        engine, record = self._engine, kept.record
        write_files("")
        shm = engine.sandboxes.shared_memory(record.workload)
        job = launch.Job(
            record,
            kept.place,
            stored,
            jobs.hostname(kept),
            jobs.namespaces(kept, version2=self.here.machine.version2),
            jobs.mounts(kept, stored, engine.volumes, self._others(kept), shm),
            held,
            partial(self._join, kept, ports, write_files),
        )
        here = msgspec.structs.replace(self.here, machine=self._filtered(record))

        def note(run: Run) -> None:
            run = msgspec.structs.replace(run, ports=ports)
            kept.place.write("run", run)
            kept.run = run

        launch.launch(here, job, note)

    def _filtered(self, record: Record) -> spec.Machine:
        if record.spec.privileged:
            return self.here.machine
        names = tuple(spec.capabilities(record.spec, self.here.machine.capabilities))
        if programs.is_crun(programs.runtime()):
            return msgspec.structs.replace(self.here.machine, seccomp=filters.compiled(names))
        return msgspec.structs.replace(self.here.machine, rules=filters.rules(names))

    def _join(self, kept: Kept, ports: tuple[BoundPort, ...], write_files: Callable[[str], None], pid: int) -> str:
        """The address that it has before it begins, and what it publishes."""
        if kept.record.network != "bridge":
            return ""
        address = self.bridge.attach(pid, kept.record.id)
        assert kept.run is not None, "it is made"
        kept.run = msgspec.structs.replace(kept.run, address=address)
        write_files(address)
        self.publish()
        return address

    def publish(self) -> None:
        """Blocks."""
        on = [k.run for k in list(self.kept.values()) if k.run is not None and k.end is None]
        self.bridge.apply([Published(run.address, run.ports) for run in on if run.address])

    def _unpublish(self, kept: Kept, address: str) -> None:
        self.bridge.detach(kept.record.id, address)
        self.publish()

    def look_after_rules(self) -> None:
        """Somebody may have loaded a firewall meanwhile, or started Docker anew. Blocks."""
        if any(k.running and k.run and k.run.address for k in list(self.kept.values())):
            self.bridge.consent()

    # --- watched

    def _watch(self, kept: Kept) -> None:
        self._follow(kept)
        kept.watch(lambda: self._over(kept))
        check = kept.record.spec.health_check
        if check is not None and kept.run is not None and kept.run.started is not None:
            age = max(0.0, self._engine.now() - kept.run.started)
            told, run = partial(self._healthy, kept), partial(self._check, kept)
            kept.checks = self._spawn(health.watch(check, age, run, told, kept.health))

    def _follow(self, kept: Kept) -> None:
        if kept.record.spec.log.driver == "awslogs":
            self._engine.tails.follow(kept.record.id, kept.place, kept.record.workload, kept.record.container)

    async def _check(self, kept: Kept, command: Sequence[str]) -> int:
        return (await run_in(self.here, kept, command))[0]

    def _healthy(self, kept: Kept, status: str) -> None:
        kept.health = status
        with suppress(OSError):
            kept.place.write("health", Health(status))
        self._tell(kept.record.workload)

    def signal(self, kept: Kept, name: str) -> None:
        """Raises Permanent for a signal that is none."""
        kept.signal(signal_number(name))

    # --- ended

    def _over(self, kept: Kept) -> None:
        kept.unwatch()
        self._spawn(self._end(kept))

    async def _end(self, kept: Kept) -> None:
        while kept.end is None:
            try:
                await aside(partial(self._note_end, kept))
            except (OSError, Permanent, Temporary) as error:
                log.warning("the end of %s: %s", kept.record.name, error)
                await asyncio.sleep(_RETRY)
        if kept.checks is not None:
            kept.checks.cancel()
        await self._engine.tails.drain(kept.record.id, _LAST_LINES)  # whoever hears of the end looks for them
        kept.ended.set()
        self._tell(kept.record.workload)
        self._follow(kept)
        await self._tidy_up(kept)

    def _note_end(self, kept: Kept) -> None:
        """Whatever of it still runs is killed: its first process is what a container is. In a thread."""
        record, groups = kept.record, self._engine.groups
        said = kept.place.exit_code(record.id[:32])
        groups.kill(record.workload, record.id)
        if kept.run is not None:
            launch.wait_for(kept.run.first, _PATIENCE)
        oom = groups.oom_kills(record.workload, record.id) > 0
        if said is None:
            end = End(_KILLED, self._engine.now(), oom, "" if oom else "the container's monitor has ended before it")
        else:
            end = End(said[0], said[1], oom)
        kept.place.write("end", end)
        address = kept.run.address if kept.run is not None else ""
        kept.end = end
        if address:
            self._unpublish(kept, address)

    async def _tidy_up(self, kept: Kept) -> None:
        while True:
            try:
                await aside(partial(launch.undo, self.here, kept.record))
            except (OSError, Temporary) as error:
                log.warning("what is left of %s: %s", kept.record.name, error)
                await asyncio.sleep(_RETRY)
                continue
            kept.tidy.set()
            return

    async def _undo(self, kept: Kept) -> None:
        """As if it had not been started."""
        try:
            await aside(partial(launch.undo, self.here, kept.record, interrupted=True))
        except (OSError, Temporary, Gone) as error:
            log.warning("what is left of %s: %s", kept.record.name, error)
        kept.place.drop("run")

    async def remove(self, kept: Kept) -> None:
        """One that does not run. Raises Temporary."""
        if kept.run is not None:
            await kept.tidy.wait()
        try:
            await aside(kept.place.remove)
        except OSError as error:
            raise Temporary(f"{kept.record.name} cannot be removed: {error}") from error
        if self.kept.pop(kept.record.id, None) is not None:
            self._tell(kept.record.workload)

    def remove_all(self) -> None:
        """Rules and links, control groups, what is in the machine's memory. Blocks."""
        for workload in list(self._engine.sandboxes.held):
            self._engine.sandboxes.remove(workload)
        self.bridge.remove_all()
        for task in self._engine.groups.tasks():
            self._engine.groups.remove_task(task)
        self._engine.groups.finish()
        shutil.rmtree(self.here.run, ignore_errors=True)

    # --- tasks

    def _spawn(self, work: object) -> asyncio.Future[None]:
        task: asyncio.Future[None] = asyncio.ensure_future(work)  # type: ignore[call-overload]  # noqa: TID251
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        for kept in self.kept.values():
            kept.unwatch()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=2.0)
        self.bridge.close()
