"""ContainerEngine (see engines/ports.py) on a Docker Engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

import msgspec

from havre.engines.docker import spec
from havre.engines.docker.bridged import Bridged, joined, suits
from havre.engines.docker.client import Docker, Refused
from havre.engines.docker.endings import Endings, starved
from havre.engines.docker.execs import Terminals, run_in
from havre.engines.docker.framing import demultiplexed, events
from havre.engines.docker.images import Images
from havre.engines.docker.netns import interface_counters
from havre.engines.docker.sandboxes import Sandboxes
from havre.engines.docker.states import ADDRESS, INSTANCE, POOL, WORKLOAD, from_inspect, workload_of
from havre.engines.groups import Groups, groups, limits
from havre.engines.ports import Capacity, Image, RunState, Terminal
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.quantities import CPU_UNITS_PER_CORE, MIB
from havre.kernel.workload import Container, Registry, Volume, Workload

log = logging.getLogger("havre.node")

_PARALLEL_STARTS = 4
"""More at once only make each slower (measured)."""
_PARALLEL_ENDS = 3
"""Docker 20.10 deadlocks for good when many containers of one network end at the same moment (seen with 40)."""
_TURN = 0.5
"""Seconds for which one that was told to end keeps its place among them."""
_KILLED_WITHIN = 30.0
_APPEARS = 40
_QUIET = 0.3
"""Seconds without a step towards a start until sandboxes are made in advance."""
_REMOVED_WITHIN = 3.0
_VOLUME_OF = "havre.volume-of"
_EVENTS = ["die", "oom", "destroy", "health_status"]
_RECONNECT = 1.0
_REFUSED = 10.0


class DockerEngine:
    """``log_socket`` is where the node takes log lines in (intake.py); ``resolver`` the name server of VPCs."""

    def __init__(
        self,
        instance: str,
        socket: str = "/var/run/docker.sock",
        *,
        log_socket: str = "",
        resolver: str = "169.254.169.253",
        pool: int = 0,
    ) -> None:
        self._instance = instance
        self._docker = Docker(socket)
        self._images = Images(self._docker)
        self._terminals = Terminals(self._docker)
        self._surroundings = spec.Surroundings(instance, log_socket)
        self._starts = asyncio.Semaphore(_PARALLEL_STARTS)
        self._ends = asyncio.Semaphore(_PARALLEL_ENDS)
        self._starting = 0
        self._busy_until = 0.0
        self._endings = Endings()
        self._holders: set[str] = set()
        """Containers that hold ports of the host which their tasks have named."""
        self._cpus = 0
        self._groups: Groups | None = None
        self._pool = pool
        parts = (self._docker, self._images, lambda: self._surroundings, self._starts, resolver)
        self._sandboxes, self._bridged = Sandboxes(*parts), Bridged(*parts)

    async def capacity(self) -> Capacity:
        info = await self._docker.call("GET", "/info")
        self._cpus = info["NCPU"]
        self._groups = groups(self._instance, info.get("CgroupDriver", ""))
        self._sandboxes.architecture = self._bridged.architecture = info["Architecture"]
        return Capacity(
            cpu=info["NCPU"] * CPU_UNITS_PER_CORE,
            memory=info["MemTotal"] // MIB,
            architecture=info["Architecture"],
            os=info["OSType"],
            kernel=info["KernelVersion"],
            engine="docker",
            engine_version=info["ServerVersion"],
        )

    async def ping(self) -> None:
        """Raises Temporary when the engine does not answer."""
        await self._docker.raw("/_ping", timeout=15.0)

    async def pull(self, reference: str, registry: Registry | None, *, always: bool = True) -> Image:
        return await self._images.pull(reference, registry, always=always)

    async def sandbox(self, workload: Workload) -> RunState:
        if not self._cpus:
            await self.capacity()
        self._busy_until = asyncio.get_running_loop().time() + _QUIET
        return await self._sandboxes.take(workload)

    async def create(
        self, workload: Workload, container: Container, image: Image, sandbox: RunState | None
    ) -> RunState:
        name = spec.container_name(self._instance, workload.id, container.name)
        group = await self._group(workload)
        body = spec.create_body(self._surroundings, workload, container, image.id, sandbox.id if sandbox else "", group)
        await self._clamp(body)
        if self._pool and suits(workload, container) and (place := await self._bridged.lend(workload, container)):
            joined(body, place)
        if workload.network == "awsvpc":
            body["Env"].append(f"HOSTNAME={spec.hostname(workload)}")
        self._busy_until = asyncio.get_running_loop().time() + _QUIET
        try:
            made = await self._docker.call("POST", "/containers/create", {"name": name}, body=body)
        except Refused as e:
            if e.status != 409:
                raise
            return await self._named(name, e)
        except Gone as e:
            raise Permanent(str(e)) from None
        labels = body["Labels"]
        if workload.network == "bridge" and any(p.host_port for p in container.ports):
            self._holders.add(made["Id"])
        return RunState(made["Id"], name, workload.id, container.name, "created", labels=labels)

    async def _named(self, name: str, conflict: Refused) -> RunState:
        """The container that has the name already, if it is one of ours; Docker gives the name away before one can find
        the container by it."""
        found = await self._appeared(name)
        if found is None:
            raise Temporary(str(conflict))
        if found.labels.get(INSTANCE) != self._instance:
            raise Permanent(str(conflict))
        return found

    async def _appeared(self, name: str) -> RunState | None:
        for _ in range(_APPEARS):
            try:
                return await self.inspect(name)
            except Gone:
                await asyncio.sleep(0.05)
        return None

    async def _group(self, workload: Workload) -> str:
        """The control group that holds the workload's limits, "" when it has none, or where none can be made: then they
        hold each container."""
        if self._groups is None:
            await self.capacity()
        held = limits(workload, self._cpus)
        if held is None or self._groups is None:
            return ""
        try:
            return await self._groups.make(workload.id, held)
        except OSError as e:
            log.warning("limits of %s hold each of its containers, not all together: %s", workload.id, e)
            return ""

    async def tidy(self, alive: Collection[str]) -> None:
        if self._terminals.strays:
            listed = await self._listed([f"{INSTANCE}={self._instance}"])
            await self._terminals.hang_up_strays([id for id, _, _ in listed])
        if self._groups is None:
            await self.capacity()
        try:
            if self._groups is not None:
                await self._groups.tidy(alive)
        except OSError as e:
            raise Temporary(f"control groups: {e}") from None

    async def _clamp(self, body: dict[str, Any]) -> None:
        """A task may be sold more CPU than this machine has: then it gets all of it."""
        wanted = body["HostConfig"].get("NanoCpus", 0)
        if wanted > 1_000_000_000:
            if not self._cpus:
                await self.capacity()
            body["HostConfig"]["NanoCpus"] = min(wanted, self._cpus * 1_000_000_000)

    async def start(self, id: str) -> RunState:
        self._starting += 1
        try:
            async with self._starts:
                await self._docker.call("POST", f"/containers/{id}/start")
        except Refused as e:
            if "failed to initialize logging driver" in e.reason and self._surroundings.log_socket in e.reason:
                raise Temporary(e.reason) from None
            raise
        finally:
            self._starting -= 1
            self._busy_until = asyncio.get_running_loop().time() + _QUIET
        answer = await self._docker.call("GET", f"/containers/{id}/json")
        state = from_inspect(answer)
        in_vpc = answer["HostConfig"]["NetworkMode"].startswith("container:") and ADDRESS not in state.labels
        if state.pid and in_vpc:
            names = [e.removeprefix("HOSTNAME=") for e in answer["Config"]["Env"] if e.startswith("HOSTNAME=")]
            await self._sandboxes.name_host(state.pid, names[-1] if names else "")
        if id not in self._holders:
            self._endings.started(state)
        return state

    async def stop(self, id: str, timeout: float, signal: str = "") -> None:
        """The signal is the container's own unless ``signal`` names one."""
        try:
            found = await self._docker.call("GET", f"/containers/{id}/json")
            first = signal or found["Config"].get("StopSignal") or "SIGTERM"
            if not await self._signal(id, first, min(timeout, _TURN)):
                if timeout > _TURN:
                    await self._ended(id, timeout - _TURN)
                await self._signal(id, "SIGKILL", _KILLED_WITHIN)
        except Gone:
            return

    async def _signal(self, id: str, signal: str, patience: float) -> bool:
        """Whether it has ended within ``patience`` seconds; few may be about to end at a time."""
        async with self._ends:
            try:
                await self._docker.call("POST", f"/containers/{id}/kill", {"signal": signal})
            except Refused as e:
                if e.status != 409:  # 409: it is not running
                    raise
            if not await self._ended(id, patience):
                return False
            await self.inspect(id)  # waits until Docker has given back the container's network
            return True

    async def _ended(self, id: str, timeout: float) -> bool:
        try:
            async with asyncio.timeout(timeout):
                await self._docker.call("POST", f"/containers/{id}/wait", timeout=timeout + 60.0)
            return True
        except TimeoutError:
            return False

    async def remove(self, id: str) -> None:
        await self._unhurried()
        self._endings.forget(id)
        self._holders.discard(id)
        try:
            async with self._ends:
                await self._docker.call("DELETE", f"/containers/{id}", {"force": "true", "v": "true"})
        except Gone:
            return
        except Refused as e:
            if e.status == 409 and "already in progress" in e.reason:
                return
            raise Temporary(e.reason) from None

    async def _unhurried(self) -> None:
        """What starts goes first, for a while: both would take twice as long."""
        clock = asyncio.get_running_loop().time
        patience = clock() + _REMOVED_WITHIN
        while not self._idle() and clock() < patience:  # noqa: ASYNC110 (what is busy is no event)
            await asyncio.sleep(_QUIET / 4)

    async def inspect(self, id: str) -> RunState:
        return starved(from_inspect(await self._docker.call("GET", f"/containers/{id}/json")), self._groups)

    async def containers(self, workload: str | None = None) -> Sequence[RunState]:
        labels = [f"{INSTANCE}={self._instance}"]
        found = []
        if workload is not None:
            labels.append(f"{WORKLOAD}={workload}")
            found = await self._inspected([spec.sandbox_name(self._instance, workload)])
        found += await self._inspected([id for id, _, _ in await self._listed(labels)])
        return [state for state in found if state.workload]

    async def _inspected(self, ids: Sequence[str]) -> list[RunState]:
        found = []
        for id in ids:
            try:
                over = self._endings.of(id)
                found.append(starved(over, self._groups) if over else await self.inspect(id))
            except Gone:
                continue
        return found

    async def _listed(self, labels: Sequence[str]) -> list[tuple[str, str, Mapping[str, str]]]:
        filters = msgspec.json.encode({"label": list(labels)}).decode()
        answers = await self._docker.call("GET", "/containers/json", {"all": "true", "filters": filters})
        return [(a["Id"], a["Names"][0].lstrip("/") if a["Names"] else "", a["Labels"]) for a in answers]

    # --- volumes
    async def ensure_volume(self, workload: Workload, volume: Volume) -> str:
        source = spec.volume_source(self._instance, workload.id, volume)
        if volume.kind == "host" and volume.source:
            return source
        labels = dict(volume.labels) | {INSTANCE: self._instance}
        if volume.kind != "docker" or not volume.source:
            labels[_VOLUME_OF] = workload.id
        body = {
            "Name": source,
            "Driver": volume.driver or "local",
            "DriverOpts": dict(volume.driver_options),
            "Labels": labels,
        }
        try:
            await self._docker.call("POST", "/volumes/create", body=body)
        except Gone as e:  # a driver that it has not
            raise Permanent(str(e)) from None
        return source

    async def volume_owners(self) -> Sequence[str]:
        filters = msgspec.json.encode({"label": [_VOLUME_OF, f"{INSTANCE}={self._instance}"]}).decode()
        answer = await self._docker.call("GET", "/volumes", {"filters": filters})
        return sorted({v["Labels"][_VOLUME_OF] for v in answer.get("Volumes") or ()})

    async def remove_volumes(self, workload: str | None) -> None:
        label = _VOLUME_OF if workload is None else f"{_VOLUME_OF}={workload}"
        filters = msgspec.json.encode({"label": [label, f"{INSTANCE}={self._instance}"]}).decode()
        answer = await self._docker.call("GET", "/volumes", {"filters": filters})
        for volume in answer.get("Volumes") or ():
            try:
                await self._docker.call("DELETE", f"/volumes/{volume['Name']}", {"force": "true"})
            except Gone:
                continue
            except Refused as e:
                raise Temporary(e.reason) from None

    # --- watching
    async def events(self) -> AsyncIterator[str]:
        filters = {"type": ["container"], "label": [f"{INSTANCE}={self._instance}"], "event": _EVENTS}
        query = {"filters": msgspec.json.encode(filters).decode()}
        while True:
            try:
                async with self._docker.stream("GET", "/events", query) as pieces:
                    yield ""
                    async for event in events(pieces):
                        self._endings.hear(event)
                        attributes = event["Actor"]["Attributes"]
                        if workload := attributes.get(WORKLOAD) or workload_of(attributes.get("name", ""), attributes):
                            yield workload
            except (Temporary, Permanent, Gone):
                pass
            self._endings.forget_all()
            yield ""
            await asyncio.sleep(_RECONNECT)

    async def exec(self, id: str, command: Sequence[str]) -> tuple[int, bytes]:
        return await run_in(self._docker, id, command)

    async def open_terminal(self, id: str, command: Sequence[str], columns: int, rows: int) -> Terminal:
        return await self._terminals.open(id, command, columns, rows)

    async def stats(self, id: str) -> Mapping[str, object]:
        query = {"stream": "false", "one-shot": "true"}
        answer: dict[str, object] = await self._docker.call("GET", f"/containers/{id}/stats", query, timeout=10.0)
        if "id" not in answer or not answer.get("networks"):
            state = await self.inspect(id)
            answer |= {"id": state.id, "name": f"/{state.name}"}  # Docker 26 leaves them out of one-shot answers
            if not answer.get("networks") and (counted := await asyncio.to_thread(interface_counters, state.pid)):
                answer["networks"] = counted
        return answer

    async def logs(self, id: str, tail: int = 100) -> bytes:
        query = {"stdout": "true", "stderr": "true", "tail": tail}
        return demultiplexed(await self._docker.raw(f"/containers/{id}/logs", query))

    # --- the loop that apps runs, and the end
    async def keep_pool(self) -> None:
        """Keep sandboxes ready. For ever; carries on when Docker comes back."""
        await asyncio.gather(*(self._keep(pool) for pool in (self._sandboxes, self._bridged)))

    async def _keep(self, pool: Sandboxes) -> None:
        while True:
            try:
                if not self._cpus:
                    await self.capacity()
                await pool.adopt([s for s in await self._ready_sandboxes() if s.labels.get(POOL) == pool.kind])
                await pool.keep(self._pool, self._idle)
            except (Temporary, Gone):
                await asyncio.sleep(_RECONNECT)
            except Permanent as e:  # an engine without a bridge, say: tasks do without
                log.info("no %s can be made in advance: %s", pool.kind, e)
                await asyncio.sleep(_REFUSED)

    def _idle(self, more: float = 0.0) -> bool:
        """Nothing starts, nor is about to: a sandbox made meanwhile would take its processors."""
        return self._starting == 0 and asyncio.get_running_loop().time() > self._busy_until + more

    async def _ready_sandboxes(self) -> list[RunState]:
        pool = await self._listed([f"{INSTANCE}={self._instance}", POOL])
        return await self._inspected([id for id, name, labels in pool if not workload_of(name, labels)])

    async def remove_pool(self) -> None:
        """The ready sandboxes: the instance goes down."""
        for pool in (self._sandboxes, self._bridged):
            await pool.drain()
        for state in await self._ready_sandboxes():
            await self.remove(state.id)

    async def close(self) -> None:
        await self._docker.close()
