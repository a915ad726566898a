"""Sandboxes: what holds the network namespace of a task, from a pool that is filled while nothing else starts.

A ready one belongs to nobody; taking it is renaming it after the workload, the only mark that Docker lets one change. So
a crash at any point leaves either a ready one or the workload's own.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from havre.engines.docker import pause, spec
from havre.engines.docker.client import Docker, Refused
from havre.engines.docker.images import Images
from havre.engines.docker.netns import network_of, set_hostname, within, write_sysctls
from havre.engines.docker.states import from_inspect
from havre.engines.ports import RunState
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.workload import Workload

_SETTLE = 0.002
_LATER = 0.1
_TRIES = 500


class _Files(msgspec.Struct, frozen=True):
    """Where Docker keeps what it mounts into the sandbox and everyone who joins it."""

    resolv: str
    hosts: str
    hostname: str


class Sandboxes:
    kind = "sandbox"
    """What its label says of a ready one."""
    unhurried = 0.0
    """Seconds more without a start until another one is made, while there is one."""

    def __init__(
        self,
        docker: Docker,
        images: Images,
        here: Callable[[], spec.Surroundings],
        starts: asyncio.Semaphore,
        resolver: str,
    ) -> None:
        self._docker = docker
        self._images = images
        self._here = here
        self._starts = starts
        self._resolver = resolver
        self._ready: deque[RunState] = deque()
        self._files: dict[str, _Files] = {}
        self._taken = asyncio.Event()
        self._isolate = True
        self.architecture = "x86_64"

    async def take(self, workload: Workload) -> RunState:
        """The workload's sandbox: the one that it has, a ready one, or a new one."""
        name = spec.sandbox_name(self._here().instance, workload.id)
        found = await self._existing(name)
        if found is None:
            found = await self._rename(name)
        await self._prepare(workload, found)
        return found

    async def _existing(self, name: str) -> RunState | None:
        try:
            state = from_inspect(answer := await self._docker.call("GET", f"/containers/{name}/json"))
        except Gone:
            return None
        if state.state != "running":
            raise Permanent("the task's network namespace has ended")
        self._remember(answer)
        return state

    async def _rename(self, name: str) -> RunState:
        self._taken.set()
        while self._ready:
            candidate = self._ready.popleft()
            try:
                await self._docker.call("POST", f"/containers/{candidate.id}/rename", {"name": name})
            except Gone:
                continue
            except Refused:
                self._ready.append(candidate)
                raise
            if network_of(candidate.pid):
                return msgspec.structs.replace(candidate, name=name)
            await self._discard(candidate.id)
        made = await self._make()
        await self._docker.call("POST", f"/containers/{made.id}/rename", {"name": name})
        return msgspec.structs.replace(made, name=name)

    async def _prepare(self, workload: Workload, sandbox: RunState) -> None:
        """Names, resolver and kernel settings of the task, before anyone joins."""
        if workload.network != "awsvpc":
            return
        files = self._files.pop(sandbox.id)
        name = spec.hostname(workload)
        wanted = dict(spec.net_sysctls(workload))

        def prepare() -> None:
            Path(files.hosts).write_text(spec.hosts_file(workload))
            Path(files.resolv).write_text(spec.resolv_file(workload, self._resolver))
            Path(files.hostname).write_text(f"{name}\n")
            write_sysctls(wanted)

        try:
            await within(sandbox.pid, "net", prepare)
        except OSError as e:
            await self._discard(sandbox.id)
            raise Permanent(f"the task's network namespace cannot be prepared: {e}") from None

    async def name_host(self, pid: int, name: str) -> None:
        """Docker gives whoever joins the sandbox's own host name; the task's is set in the container's UTS namespace.
        ($HOSTNAME has it from the start.)"""
        if name:
            try:
                await within(pid, "uts", lambda: set_hostname(name))
            except OSError:
                return  # it has ended already, or this is not root: the name in /etc/hosts stands

    async def _image(self) -> str:
        return await self._images.ensure_pause(self.architecture)

    async def _make(self) -> RunState:
        """A new one, running, in a namespace of its own."""
        image = await self._image()
        entry = pause.ISOLATE if self._isolate else pause.PAUSE
        hostname = os.urandom(6).hex()  # of the length and kind of Docker's own
        body = spec.sandbox_body(self._here(), image, hostname, isolate=self._isolate, entry_point=entry)
        return await self._begun(body)

    async def _begun(self, body: Mapping[str, object]) -> RunState:
        try:
            made = await self._docker.call("POST", "/containers/create", body=body)
        except Gone:
            self._images.forget_pause()
            raise Temporary("the pause image is gone; it is made again", 0.1) from None
        try:
            async with self._starts:
                await self._docker.call("POST", f"/containers/{made['Id']}/start")
            return await self._settled(made["Id"])
        except BaseException:
            await self._discard(made["Id"])
            raise

    async def _settled(self, id: str) -> RunState:
        """Wait until it has left the host's namespace: its first act, well under a millisecond after Docker's answer."""
        answer = await self._docker.call("GET", f"/containers/{id}/json")
        state = from_inspect(answer)
        self._remember(answer)
        hosts = {network_of(1), network_of(os.getpid())}
        for _ in range(_TRIES):
            mine = network_of(state.pid)
            if mine and mine not in hosts:
                return state
            if not mine:
                break
            await asyncio.sleep(_SETTLE)
        if self._isolate:
            self._isolate = False
            raise Temporary("this engine lets no container leave the host's network; using its own sandboxes", 0.1)
        raise Temporary("the sandbox has ended at once")

    def _remember(self, answer: dict[str, str]) -> None:
        self._files[answer["Id"]] = _Files(answer["ResolvConfPath"], answer["HostsPath"], answer["HostnamePath"])

    async def _discard(self, id: str) -> None:
        self._files.pop(id, None)
        try:
            await self._docker.call("DELETE", f"/containers/{id}", {"force": "true"})
        except (Gone, Refused):
            return

    # --- the pool
    async def adopt(self, ready: list[RunState]) -> None:
        """Ready ones of a former life of this process."""
        known = {r.id for r in self._ready}
        for state in ready:
            if state.id in known:
                continue
            if state.state != "running":
                await self._discard(state.id)
                continue
            self._remember(await self._docker.call("GET", f"/containers/{state.id}/json"))
            self._ready.append(state)

    async def keep(self, size: int, idle: Callable[[float], bool]) -> None:
        """Keep ``size`` ready from the first that is taken on, filling up while ``idle(for how many seconds more)``. Runs
        for ever; raises what Docker raises."""
        if not self._ready:
            await self._taken.wait()
        while True:
            while len(self._ready) < size:
                if idle(self.unhurried if self._ready else 0.0):
                    self._ready.append(await self._make())
                else:
                    await asyncio.sleep(_LATER)
            self._taken.clear()
            await self._taken.wait()

    async def drain(self) -> None:
        """Remove the ready ones."""
        while self._ready:
            await self._discard(self._ready.popleft().id)
