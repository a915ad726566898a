"""Containers in memory: a ContainerEngine whose images do as they are told, and which can be told to misbehave.

``programs`` says what an image does when it runs. ``fail`` maps a method's name to what its next call raises (once, before
anything happens), ``lose`` to what it raises once it is done, ``delay`` to seconds of the loop's time. ``away`` is what an
engine that does not answer says to every call. What happened is counted, so that a test can tell a second start.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

import msgspec

from havre.engines.fake_terminal import FakeTerminal, check
from havre.engines.ports import Capacity, Image, RunState
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.workload import BoundPort, Container, Registry, Volume, Workload
from havre.kernel.world import World

replace = msgspec.structs.replace
_FIRST_PORT = 32768
_KILLED = 137


class Program(msgspec.Struct, frozen=True):
    """What an image does. Times are seconds after the start; None is never.

    ``unpullable`` and ``unstartable`` are the engine's words. ``ends`` is when it exits by itself, with ``code``;
    ``leaves`` how long it takes to end after SIGTERM (None: it ignores it). A health check says healthy at ``healthy``
    and unhealthy at ``unhealthy``.
    """

    unpullable: str = ""
    unstartable: str = ""
    ends: float | None = None
    code: int = 0
    leaves: float | None = 0.1
    healthy: float | None = 0.5
    unhealthy: float | None = None


class _Running(msgspec.Struct):
    """A container with all that Docker would keep of it. ``leaving`` is done when it has ended."""

    state: RunState
    spec: Container | None
    network: str
    program: Program
    timers: list[asyncio.TimerHandle]
    leaving: asyncio.Event


class FakeContainers:
    """``starts``, ``creations`` and what was removed from outside (``vanished``) are counted by (workload, container);
    "" is the sandbox."""

    def __init__(self, world: World, programs: Mapping[str, Program] | None = None) -> None:
        self._world = world
        self.programs = dict(programs or {})
        self.fail: dict[str, Exception] = {}
        self.lose: dict[str, Exception] = {}
        self.delay: dict[str, float] = {}
        self.away = ""
        self.starts: Counter[tuple[str, str]] = Counter()
        self.creations: Counter[tuple[str, str]] = Counter()
        self.vanished: Counter[tuple[str, str]] = Counter()
        self.pulled: list[str] = []
        self.volumes: dict[str, str] = {}
        self.groups: set[str] = set()
        """Workloads whose limits hold all of their containers together."""
        self.terminals: list[tuple[tuple[str, ...], FakeTerminal]] = []
        """Each command that was given a terminal, and that."""
        self._containers: dict[str, _Running] = {}
        self._listeners: list[asyncio.Queue[str]] = []
        self._made = 0

    # --- misbehaviour
    async def _begin(self, method: str) -> None:
        if method in self.delay:
            await asyncio.sleep(self.delay[method])
        if self.away:
            raise Temporary(self.away)
        if method in self.fail:
            raise self.fail.pop(method)

    def _end(self, method: str) -> None:
        if method in self.lose:
            raise self.lose.pop(method)

    def leave(self, words: str = "the engine does not answer") -> None:
        """From now on it does not answer; containers run on."""
        self.away = words
        self._interrupt()

    def come_back(self) -> None:
        self.away = ""
        self._interrupt()

    def restart(self) -> None:
        """What a restart of the engine does to containers: all are killed."""
        for id in tuple(self._containers):
            self.kill(id)
        self._interrupt()

    def kill(self, id: str, code: int = _KILLED, oom: bool = False) -> None:
        """From outside, by whomever."""
        self._exit(self._containers[id], code, oom)

    def vanish(self, id: str) -> None:
        """``docker rm -f`` by whomever."""
        found = self._containers[id]
        self.vanished[found.state.workload, found.state.container] += 1
        self._drop(id)

    @property
    def running(self) -> Sequence[RunState]:
        """What runs, for tests: no call of the port."""
        return [c.state for c in self._containers.values() if c.state.state == "running"]

    @property
    def existing(self) -> Sequence[RunState]:
        return [c.state for c in self._containers.values()]

    # --- the port
    async def capacity(self) -> Capacity:
        await self._begin("capacity")
        return Capacity(cpu=4096, memory=16384, engine="fake", engine_version="1")

    async def pull(self, reference: str, registry: Registry | None, *, always: bool = True) -> Image:
        await self._begin("pull")
        program = self._program(reference)
        if program.unpullable:
            raise Permanent(program.unpullable)
        self.pulled.append(reference)
        self._end("pull")
        return Image(f"sha256:{reference}", f"sha256:digest-of-{reference}")

    def _program(self, image: str) -> Program:
        return self.programs.get(image.removeprefix("sha256:"), Program())

    async def sandbox(self, workload: Workload) -> RunState:
        await self._begin("sandbox")
        made = self._make(workload, None, Program())
        if made.state.state == "created":
            self._run(made)
        self._end("sandbox")
        return made.state

    async def create(
        self, workload: Workload, container: Container, image: Image, sandbox: RunState | None
    ) -> RunState:
        await self._begin("create")
        if sandbox is not None and sandbox.id not in self._containers:
            raise Permanent(f"No such container: {sandbox.id}")
        if workload.cpu or workload.memory:
            self.groups.add(workload.id)
        made = self._make(workload, container, self._program(image.id))
        self._end("create")
        return made.state

    async def start(self, id: str) -> RunState:
        await self._begin("start")
        found = self._get(id)
        if found.state.state != "running":
            if found.program.unstartable:
                raise Permanent(found.program.unstartable)
            self._run(found)
        self._end("start")
        return found.state

    async def stop(self, id: str, timeout: float, signal: str = "") -> None:
        await self._begin("stop")
        found = self._containers.get(id)
        if found is not None and found.state.state == "running":
            await self._terminate(found, timeout)
        self._end("stop")

    async def _terminate(self, found: _Running, timeout: float) -> None:
        leaves = found.program.leaves
        if leaves is not None and leaves < timeout:
            self._later(found, leaves, 0)
        else:
            self._later(found, timeout, _KILLED)
        await found.leaving.wait()

    async def remove(self, id: str) -> None:
        await self._begin("remove")
        if id in self._containers:
            self._drop(id)
        self._end("remove")

    async def inspect(self, id: str) -> RunState:
        await self._begin("inspect")
        return self._get(id).state

    async def containers(self, workload: str | None = None) -> Sequence[RunState]:
        await self._begin("containers")
        return [c.state for c in self._containers.values() if workload in (None, c.state.workload)]

    async def ensure_volume(self, workload: Workload, volume: Volume) -> str:
        await self._begin("ensure_volume")
        name = volume.source or f"{workload.id}-{volume.name}"
        if not volume.source:
            self.volumes[name] = workload.id
        self._end("ensure_volume")
        return name

    async def volume_owners(self) -> Sequence[str]:
        await self._begin("volume_owners")
        return sorted(set(self.volumes.values()))

    async def remove_volumes(self, workload: str | None) -> None:
        await self._begin("remove_volumes")
        self.volumes = {name: owner for name, owner in self.volumes.items() if workload not in (None, owner)}
        self._end("remove_volumes")

    async def tidy(self, alive: Collection[str]) -> None:
        await self._begin("tidy")
        self.groups.intersection_update(alive)
        self._end("tidy")

    async def events(self) -> AsyncIterator[str]:
        told: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.append(told)
        try:
            yield ""
            while True:
                yield await told.get()
        finally:
            self._listeners.remove(told)

    async def exec(self, id: str, command: Sequence[str]) -> tuple[int, bytes]:
        await self._begin("exec")
        if self._get(id).state.state != "running":
            raise Permanent(f"container {id} is not running")
        return 0, " ".join(command).encode()

    async def open_terminal(self, id: str, command: Sequence[str], columns: int, rows: int) -> FakeTerminal:
        await self._begin("open_terminal")
        found = self._get(id)
        check(tuple(command))
        if found.state.state != "running":
            raise Permanent(f"container {id} is not running")
        made = FakeTerminal(columns, rows, lambda: found.state.state == "running")
        self.terminals.append((tuple(command), made))
        self._end("open_terminal")
        return made

    async def stats(self, id: str) -> Mapping[str, object]:
        await self._begin("stats")
        running = self._get(id).state.state == "running"
        cpu, memory = {"cpu_usage": {"total_usage": 1_000_000 * running}}, {"usage": (1 << 20) * running}
        return {"id": self._get(id).state.id, "cpu_stats": cpu, "memory_stats": memory}

    async def logs(self, id: str, tail: int = 100) -> bytes:
        await self._begin("logs")
        return b"" if self._get(id).state.started is None else b"started\n"

    async def close(self) -> None:
        return

    # --- the life of a container
    def _get(self, id: str) -> _Running:
        found = self._containers.get(id)
        if found is None:
            raise Gone(f"No such container: {id}")
        return found

    def _make(self, workload: Workload, container: Container | None, program: Program) -> _Running:
        """A second call finds the first one's by its name."""
        id, name = workload.id, container.name if container is not None else ""
        for each in self._containers.values():
            if (each.state.workload, each.state.container) == (id, name):
                return each
        self._made += 1
        state = RunState(f"{self._made:064x}", f"fake-{id}-{name or '.sandbox'}", id, name, "created")
        self.creations[id, name] += 1
        made = _Running(state, container, workload.network, program, [], asyncio.Event())
        self._containers[state.id] = made
        return made

    def _run(self, found: _Running) -> None:
        ports = self._bind(found)
        now, key = self._world.now(), (found.state.workload, found.state.container)
        self.starts[key] += 1
        found.leaving.clear()
        found.state = replace(
            found.state, state="running", pid=1000 + self._made, started=now, finished=None, exit_code=None, ports=ports
        )
        program = found.program
        if program.ends is not None:
            self._later(found, program.ends, program.code)
        if found.spec is not None and found.spec.health_check is not None:
            for at, health in ((program.healthy, "HEALTHY"), (program.unhealthy, "UNHEALTHY")):
                if at is not None:
                    call = asyncio.get_running_loop().call_later
                    found.timers.append(call(at, self._become, found, health))

    def _bind(self, found: _Running) -> tuple[BoundPort, ...]:
        """Host ports in bridge mode, chosen where they are 0. One that is taken keeps the container down."""
        taken = {p.host_port for c in self._containers.values() for p in c.state.ports if c.state.state == "running"}
        bound = []
        for port in found.spec.ports if found.spec is not None and found.network == "bridge" else ():
            host = port.host_port or next(n for n in range(_FIRST_PORT, 65536) if n not in taken)
            if host in taken:
                raise Permanent(f"Bind for 0.0.0.0:{host} failed: port is already allocated")
            taken.add(host)
            bound.append(BoundPort(port.container_port, host, port.protocol))
        return tuple(bound)

    def _later(self, found: _Running, seconds: float, code: int) -> None:
        found.timers.append(asyncio.get_running_loop().call_later(seconds, self._exit, found, code))

    def _become(self, found: _Running, health: str) -> None:
        found.state = replace(found.state, health=health)
        self._tell(found.state.workload)

    def _exit(self, found: _Running, code: int, oom: bool = False) -> None:
        for timer in found.timers:
            timer.cancel()
        found.timers.clear()
        if found.state.state == "running":
            now = self._world.now()
            found.state = replace(found.state, state="exited", exit_code=code, oom_killed=oom, finished=now, pid=0)
            self._tell(found.state.workload)
            for _, terminal in self.terminals:
                terminal.wake()
        found.leaving.set()

    def _drop(self, id: str) -> None:
        self.kill(id)
        gone = self._containers.pop(id)
        self._tell(gone.state.workload)

    def _tell(self, workload: str) -> None:
        if not self.away:
            for told in self._listeners:
                told.put_nowait(workload)

    def _interrupt(self) -> None:
        """The stream of events breaks, and begins again."""
        for told in self._listeners:
            told.put_nowait("")
