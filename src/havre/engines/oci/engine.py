"""SandboxEngine (see engines/sandbox.py) on this machine's kernel."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from havre.engines.oci import cgroups as groups
from havre.engines.oci import scratch, seccomp
from havre.engines.oci.box import Box
from havre.engines.oci.own_network import OwnNetwork
from havre.engines.oci.pool import Pool
from havre.engines.oci.roots import Plan, Roots, escaped
from havre.engines.oci.zygotes import GID, PLAIN, UID, Zygote, warm_enough
from havre.engines.ports import NetworkEngine
from havre.engines.sandbox import LINES, RUNTIME, OnExit, OnOutput, Process, Sandbox, Sources
from havre.kernel import runtimes
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.function import Function
from havre.kernel.quantities import MIB
from havre.kernel.workload import Interface

log = logging.getLogger("havre.sandboxes")

R = TypeVar("R")
_PARALLEL = 8
_RETRY = 0.002
_PATIENCE = 30.0
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""Of what was killed, and of a shell whose last command was."""
_ALL = float(os.cpu_count() or 1)
_EACH = 8
"""Processes and threads more, for each invocation that an environment works on beside others."""
_USUAL = 512
"""MiB of /tmp that functions have who do not say how much: mounted before it is known whose it is."""


class Bound(msgspec.Struct):
    """A sandbox that is a function's. ``cpus``: its share once it is initialised; ``settled``: it has that by now."""

    box: Box
    plan: Plan
    cpus: float
    needs: groups.Needs
    settled: bool = False
    frozen: bool = False


class OciEngine:
    """``directory`` is the engine's own, for as long as the instance lives; ``built`` is where built runtimes are. Without
    ``network`` sandboxes reach nothing. ``pool``: so many are kept ready, once a function was prepared."""

    def __init__(
        self,
        instance: str,
        directory: Path,
        sources: Sources,
        network: NetworkEngine | None = None,
        *,
        pool: int = 4,
        built: Path | None = None,
    ) -> None:
        self.on_output: OnOutput = _nobody
        self.on_exit: OnExit = _nobody
        self.instance = instance
        self._network = network
        self._own = OwnNetwork(network) if network is not None else None
        self._groups = groups.cgroups(instance)
        self._roots = Roots(directory, built or runtimes.place(os.environ), sources)
        self._scratch = scratch.Scratch(directory / "tmp", (UID, GID))
        self._disks = not scratch.why_not()
        self._zygotes: dict[str, Zygote] = {}
        self._boxes: dict[str, Box] = {}
        self._bound: dict[str, Bound] = {}
        self._ending: set[asyncio.Future[None]] = set()
        self._numbers = itertools.count(1)
        self._life = os.urandom(4).hex()
        self._forks = asyncio.Semaphore(_PARALLEL)
        self._pool = Pool(pool, self._make, self._discard)
        self._settled = False
        self._settling = asyncio.Lock()

    def available(self) -> str:
        if os.geteuid() != 0:
            return "functions need root: sandboxes are made of namespaces, mounts and control groups"
        return groups.why_not() or seccomp.why_not()

    # --- files

    async def prepare(self, function: Function) -> None:
        await self._settle()
        plan = await self._roots.plan(function)
        for kind in {PLAIN, plan.kind}:
            await self._zygote(kind).ready()
        self._pool.use()

    async def forget(self, functions: Sequence[str]) -> None:
        in_use = {path for bound in self._bound.values() for path in (bound.plan.task, *bound.plan.opt)}
        await self._roots.forget(set(functions), in_use)

    async def _settle(self) -> None:
        """What a former life left goes first. Raises Permanent, Temporary."""
        if self._settled:
            return
        if why := self.available():
            raise Permanent(f"functions cannot run on this machine: {why}")
        async with self._settling:
            await self._settle_once()

    async def _settle_once(self) -> None:
        if self._settled:
            return
        try:
            resolvers = list(self._network.resolver_for("")) if self._network is not None else []
            await asyncio.to_thread(self._clear_up, resolvers)
        except OSError as error:
            raise Temporary(f"sandboxes: {error}") from error
        self._settled = True

    def _clear_up(self, resolvers: list[str]) -> None:
        groups.sweep(self._groups)
        self._roots.settle(resolvers)

    # --- making

    def _zygote(self, kind: str) -> Zygote:
        if kind not in self._zygotes:
            root = self._roots.built(kind) if kind != PLAIN else None
            self._zygotes[kind] = Zygote(root, self._process_told, partial(self._zygote_ended, kind))
        return self._zygotes[kind]

    def _zygote_ended(self, kind: str) -> None:
        """Nobody would tell any more how processes end that were forked from it."""
        for bound in self._bound.values():
            if bound.plan.kind == kind:
                bound.box.kill()

    async def _make(self, *, networked: bool = True) -> Box:
        """One that is nobody's yet. Raises Permanent, Temporary."""
        zygote = self._zygote(PLAIN)
        await zygote.ready()
        async with self._forks:
            box = Box(f"{self._life}-{next(self._numbers)}", self._told, self._ended)
            try:
                files = _now(lambda: self._groups.make(box.id))
                box.cgroups = list(files)
                self._boxes[box.id] = box
                message = {"cgroups": box.cgroups, "hostname": box.id, "held": str(self._roots.held)}
                disks = await self._disk(_USUAL)
                try:
                    zygote.ask(message, [box.channel.theirs.fileno(), *disks])
                finally:
                    _close(disks)
                box.channel.handed()
                await box.made()
                if self._own is not None and networked:
                    interface = await self._own.attach(box.id, box.pid)
                    box.address, box.eni = interface.address, interface.eni
            except BaseException as error:
                await self._discard(box)
                if isinstance(error, Gone):
                    raise Temporary(f"the sandbox has ended while it was made: {error}") from error
                raise
        return box

    async def obtain(
        self, function: Function, interface: Interface | None = None, shares: Mapping[str, int] | None = None
    ) -> Sandbox:
        await self._settle()
        if function.network is not None and interface is None and self._network is not None:
            raise Permanent(f"{function.name} is in {function.network.vpc}, and has no interface there")
        plan = await self._roots.plan(function)
        box = self._pool.take() if interface is None else None
        pooled = box is not None
        if box is None:
            box = await self._make(networked=interface is None)
        try:
            if interface is not None and self._network is not None:
                box.address, box.eni = interface.address, interface.eni
                await self._network.attach(interface, box.pid)
            extensions = await self._bind(box, plan, function, shares or {})
        except BaseException:
            await self._discard(box)
            raise
        cpus = function.cpus or groups.cpus_of(function.memory)
        self._bound[box.id] = Bound(box, plan, cpus, groups.Needs(function.memory * MIB))
        api, box.api = box.api, -1
        endpoint = self._endpoint(interface)
        return Sandbox(box.id, box.pid, api, box.address, pooled, endpoint, extensions, plan.version)

    def _endpoint(self, interface: Interface | None) -> str:
        if self._network is None:
            return ""
        return self._network.endpoint_for(interface.vpc if interface is not None else "")

    async def _bind(self, box: Box, plan: Plan, function: Function, shares: Mapping[str, int]) -> tuple[str, ...]:
        """Gives the names of its extensions."""
        limits = groups.Limits(function.memory * MIB, groups.PROCESSES + _EACH * function.concurrency)
        _now(lambda: self._groups.limit(box.id, limits))
        held = self._disks and function.temporary == _USUAL
        fds = [] if held else await self._disk(function.temporary)
        message = {
            "stage": str(self._roots.stage),
            "empty": str(self._roots.empty),
            "store": str(self._roots.images.directory),
            "lower": [escaped(path) for path in plan.lower],
            "task": plan.task,
            "exact": function.code.kind == "directory",
            "opt": [escaped(path) for path in plan.opt] if len(plan.opt) > 1 else list(plan.opt),
            "temporary": function.temporary * MIB,
            "held": str(self._roots.held) if held else "",
            "shares": list(shares),
        }
        try:
            answer = await box.bind(message, [*fds, *shares.values()])
        finally:
            _close(fds)
        return tuple(str(name) for name in answer.get("extensions") or ())

    async def _disk(self, size: int) -> list[int]:
        """None where there are none."""
        return [await asyncio.to_thread(self._scratch.disk, size)] if self._disks else []

    # --- running

    async def run(self, id: str, process: Process) -> None:
        bound = self._of(id)
        if process.name in bound.box.running:
            raise Permanent(f"{process.name} runs already")
        environment = {**bound.plan.environment, **process.environment}
        warm = bound.plan.kind != PLAIN and process.name == RUNTIME and not process.arguments
        message = {"run": process.name, "warm": warm and warm_enough(environment), "cgroups": bound.box.cgroups}
        program = {
            "arguments": list(process.arguments or bound.plan.arguments),
            "environment": environment,
            "directory": bound.plan.directory,
        }
        zygote = self._zygote(bound.plan.kind)
        await zygote.ready()
        await bound.box.run(zygote, message, program)

    def _process_told(self, message: Mapping[str, Any]) -> None:
        if (box := self._boxes.get(str(message.get("box")))) is not None:
            box.told(message)

    def _of(self, id: str) -> Bound:
        if id not in self._bound:
            raise Gone(f"the sandbox {id} is gone")
        return self._bound[id]

    def lines(self, id: str) -> tuple[str, int]:
        box = self._of(id).box
        return LINES, _now(lambda: box.listener(LINES, (UID, GID)))

    def settle(self, id: str) -> None:
        if (bound := self._bound.get(id)) is not None and not bound.settled:
            _now(lambda: self._groups.share(id, bound.cpus))
            bound.settled = True

    def freeze(self, id: str) -> None:
        bound = self._of(id)
        if not bound.frozen:
            self.settle(id)
            _now(lambda: self._groups.freeze(id))
            bound.frozen = True

    def thaw(self, id: str) -> None:
        bound = self._of(id)
        if bound.frozen:
            _now(lambda: self._groups.thaw(id))
            bound.frozen = False

    def memory_peak(self, id: str) -> int:
        bound = self._bound.get(id)
        return bound.needs.look(self._groups, id) if bound is not None else 0

    def cpu_used(self, id: str) -> float:
        with suppress(OSError):
            return self._groups.cpu(id)
        return 0.0

    def enis(self) -> Collection[str]:
        own = self._own.taken if self._own is not None else ()
        return {*own, *(box.eni for box in self._boxes.values() if box.eni)}

    async def signal(self, id: str, name: str, number: int) -> None:
        if (bound := self._bound.get(id)) is not None:
            bound.box.signal(name, number)

    def _told(self, box: Box, name: str, data: bytes) -> None:
        self.on_output(box.id, name, data)

    def _ended(self, box: Box, name: str, code: int) -> None:
        killed = 0
        with suppress(OSError):
            killed = self._groups.killed(box.id)
        oom, box.kills = killed > box.kills, killed
        self.on_exit(box.id, name, code, oom and code in _KILLED)

    # --- the end

    async def clear(self, id: str) -> None:
        bound = self._of(id)
        box = bound.box
        self.thaw(id)
        if bound.settled:
            _now(lambda: self._groups.share(id, _ALL))
            bound.settled = False
        try:
            async with asyncio.timeout(_PATIENCE):
                while _now(lambda: groups.kill_others(self._groups, id, box.pid)) or box.running:  # noqa: ASYNC110
                    await asyncio.sleep(_RETRY)
        except TimeoutError:
            raise Temporary(f"not everything in the sandbox {id} ends") from None
        if box.gone.done():
            raise Gone(f"the sandbox {id} has ended")
        _now(lambda: bound.needs.begin(self._groups, id))

    async def remove(self, id: str) -> None:
        if (bound := self._bound.pop(id, None)) is not None:
            await self._discard(bound.box)

    async def _discard(self, box: Box) -> None:
        """It is waited for even when whoever asked is cancelled meanwhile."""
        task = asyncio.ensure_future(self._end(box))  # noqa: TID251
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        await asyncio.shield(task)

    async def _end(self, box: Box) -> None:
        box.kill()
        with suppress(OSError):
            self._groups.thaw(box.id)
        try:
            async with asyncio.timeout(_PATIENCE):
                await box.gone
                while not self._groups.remove(box.id):  # noqa: ASYNC110 (the kernel tells nobody)
                    await asyncio.sleep(_RETRY)
        except TimeoutError:
            log.warning("the sandbox %s does not end: the next life will try again", box.id)
        box.close()
        if box.eni and self._own is not None:
            with suppress(Temporary, Permanent):
                await self._own.detach(box.eni)
        self._boxes.pop(box.id, None)

    async def remove_all(self) -> None:
        await self._pool.drain()
        await asyncio.gather(*(self.remove(id) for id in list(self._bound)))
        try:
            await asyncio.to_thread(groups.sweep, self._groups)
        except OSError as error:
            raise Temporary(f"sandboxes: {error}") from error

    def zygotes(self) -> list[int]:
        """The processes that sandboxes are forked from."""
        return [zygote.pid for zygote in self._zygotes.values() if zygote.pid]

    @property
    def ready(self) -> int:
        """How many sandboxes wait in the pool."""
        return len(self._pool)

    async def keep_pool(self) -> None:
        await self._pool.keep()

    async def close(self) -> None:
        try:
            await self.remove_all()
        finally:
            for zygote in self._zygotes.values():
                zygote.close()


def _now(work: Callable[[], R]) -> R:
    """Raises Temporary for what the kernel refuses."""
    try:
        return work()
    except OSError as error:
        raise Temporary(f"sandboxes: {error}") from error


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def _nobody(*_: object) -> None:
    return None
