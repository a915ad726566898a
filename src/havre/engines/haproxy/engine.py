"""The engine: brings the proxy to what was asked for, and says how that goes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from havre.engines.haproxy import counts
from havre.engines.haproxy.adopt import bound_by, found_healthy
from havre.engines.haproxy.bundles import unpresentable
from havre.engines.haproxy.checker import Checker, Key, Probe
from havre.engines.haproxy.checks import probe
from havre.engines.haproxy.config import render
from havre.engines.haproxy.health import Health
from havre.engines.haproxy.layout import Bind, all_binds, frontends
from havre.engines.haproxy.namespaces import inode, why_not_bindable
from havre.engines.haproxy.plan import Plan, Rendered
from havre.engines.haproxy.process import CONFIG, Proxy
from havre.engines.haproxy.report import report, why_unsafe
from havre.engines.haproxy.slots import Slots
from havre.engines.haproxy.targets import room, routes, watched
from havre.kernel.balancer import Balancer, BalancerStatus, PoolTraffic
from havre.kernel.errors import Permanent, Temporary

FIRST_RETRY, RETRY = 0.05, 2.0
"""Seconds until a proxy that failed, or a port that was taken, is tried again: the first time, and at most."""


class HaproxyEngine:
    """``directory`` is this instance's own (sockets, configuration); it is made when the first balancer comes.
    ``functions`` is the Unix socket of the server behind which functions answer.

    ``run`` has to run for health checks and for the proxy to be started again when it dies.
    """

    def __init__(
        self,
        directory: Path,
        *,
        functions: Path | None = None,
        binary: str = "haproxy",
        clock: Callable[[], float] = time.monotonic,
        check: Probe = probe,
    ) -> None:
        self._proxy = Proxy(directory, binary)
        self._functions = str(functions or directory / "functions.sock")
        self._checker = Checker(self._health_changed, clock, check)
        self._balancers: tuple[Balancer, ...] = ()
        self._refused: dict[str, str] = {}
        self._namespaces: dict[str, str] = {}
        self._slots: dict[str, Slots] = {}
        self._told: dict[Key, Health] = {}
        """Health as the proxy knows it: a target is not called healthy before it gets work."""
        self._bound: set[Bind] = set()
        self._unbound: dict[Bind, str] = {}
        self._structure = ""
        self._used: dict[str, tuple[str, int]] = {}
        self._failure = ""
        self._looked = False
        self._lock = asyncio.Lock()
        self._work = asyncio.Event()
        self._up = asyncio.Event()
        self._listeners: set[asyncio.Event] = set()

    async def apply(self, balancers: Sequence[Balancer], namespaces: Mapping[str, str]) -> None:
        """As the port says. What cannot be done is in ``status``, and is tried again by ``run``."""
        async with self._lock:
            self._refused = {b.id: reason for b in balancers if (reason := why_unsafe(b) or unpresentable(b))}
            self._balancers = tuple(b for b in balancers if b.id not in self._refused)
            self._namespaces = dict(namespaces)
            seeds = await self._find_leftover()
            self._checker.watch(watched(self._balancers, self._spaces()), seeds)
            await self._converge()

    async def status(self) -> Sequence[BalancerStatus]:
        refused = [BalancerStatus(id, "failed", reason) for id, reason in self._refused.items()]
        spaces = self._spaces()
        return refused + [
            report(b, spaces, (self._bound, self._unbound), self._failure, self._told) for b in self._balancers
        ]

    async def traffic(self) -> Mapping[str, PoolTraffic]:
        if not self._proxy.running:
            return {}
        said = await self._proxy.command([counts.COMMAND])
        return counts.traffic(said, {pool.id for balancer in self._balancers for pool in balancer.pools})

    async def changes(self) -> AsyncIterator[None]:
        event = asyncio.Event()
        event.set()
        self._listeners.add(event)
        try:
            while True:
                await event.wait()
                event.clear()
                yield
        finally:
            self._listeners.discard(event)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._checker.run())
            group.create_task(self._follow())
            group.create_task(self._supervise())

    async def stop(self) -> None:
        async with self._lock:
            self._balancers = ()
            self._checker.watch({})
            await self._find_leftover()
            await self._end()

    async def _follow(self) -> None:
        """Health that changed, failures to be tried again: soon at first, for a process that died lets go in a moment."""
        delay = FIRST_RETRY
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay if self._troubled else None):
                    await self._work.wait()
            self._work.clear()
            async with self._lock:
                await self._converge()
            delay = min(2 * delay, RETRY) if self._troubled else FIRST_RETRY

    async def _supervise(self) -> None:
        """A proxy that dies is started again at once, with what it was to do."""
        while True:
            await self._up.wait()
            await self._proxy.ended()
            async with self._lock:
                if self._proxy.running:
                    continue
                await self._proxy.sweep()
                self._up.clear()
                self._bound, self._structure = set(), ""
                await self._converge()

    def _health_changed(self, key: Key) -> None:
        del key
        self._work.set()

    def _notify(self) -> None:
        for event in self._listeners:
            event.set()

    def _spaces(self) -> dict[str, tuple[str, int]]:
        """Those VPCs whose namespace is there."""
        found = {vpc: (name, inode(name)) for vpc, name in self._namespaces.items()}
        return {vpc: space for vpc, space in found.items() if space[1]}

    async def _find_leftover(self) -> set[Key]:
        """Once, before the first work: the proxy that an earlier process left. Gives the targets that it sends work to."""
        looked, self._looked = self._looked, True
        if looked or not await self._proxy.adopt():
            return set()
        self._up.set()
        held = bound_by((self._proxy.directory / CONFIG).read_text())
        self._used = self._spaces()
        self._bound = {b for b in all_binds(self._balancers, self._used) if (b.address, b.port, b.namespace) in held}
        return found_healthy(await self._proxy.command(["show servers state"]), self._balancers)

    async def _converge(self) -> None:
        """Bring the proxy to what is wanted, by the least: nothing, runtime commands, a reload, a start."""
        troubled = self._troubled
        failure, self._failure = self._failure, ""
        try:
            if self._balancers:
                await self._bring_up()
            else:
                await self._end()
        except (Permanent, Temporary) as error:
            self._failure, self._structure = error.reason, ""
        if failure != self._failure or not self._balancers:
            self._notify()
        if self._troubled and not troubled:
            self._work.set()

    @property
    def _troubled(self) -> bool:
        return bool(self._failure or self._unbound)

    async def _end(self) -> None:
        if self._proxy.running:
            await self._proxy.stop()
        self._proxy.clear()
        self._slots, self._structure, self._bound, self._unbound, self._told = {}, "", set(), {}, {}

    async def _bring_up(self) -> None:
        health = dict(self._checker.health)
        spaces = self._spaces()
        pools = {p.id: p for b in self._balancers for p in b.pools}
        wanted = {id: routes(pool, health) for id, pool in pools.items()}
        places = {p.id: room(b, p, spaces) for b in self._balancers for p in b.pools}
        self._slots = {id: self._slots.get(id) or Slots(id) for id in wanted}
        commands: list[str] = []
        for id, slots in self._slots.items():
            slots.grow(places[id])
            commands += slots.assign(wanted[id], {target.id for target in pools[id].targets})
        if any(self._used.get(vpc, space) != space for vpc, space in spaces.items()):
            await self._proxy.stop(grace=1)  # a namespace was made anew: a reload would keep the sockets in the old one
        usable = self._usable(spaces)
        plan = Plan(
            balancers=self._balancers,
            frontends=frontends(self._balancers, spaces, usable),
            slots=self._slots,
            spaces=spaces,
            directory=self._proxy.files,
            threads=min(4, os.cpu_count() or 1),
            functions=self._functions,
        )
        rendered = render(plan)
        if rendered.structure != self._structure or not self._proxy.running:
            await self._restructure(rendered, usable)
        elif commands:
            await self._tell(commands, rendered)
        if health != self._told:
            self._told = health
            self._notify()

    def _usable(self, spaces: Mapping[str, tuple[str, int]]) -> set[Bind]:
        """Addresses that the proxy listens on or could; the reasons of the others are kept for ``status``."""
        running = self._proxy.running
        usable, unbound = set(), {}
        for bind in all_binds(self._balancers, spaces):
            held = (running and bind in self._bound) or not bind.port
            reason = "" if held else why_not_bindable(bind.address, bind.port, bind.namespace)
            if reason:
                unbound[bind] = reason
            else:
                usable.add(bind)
        if unbound != self._unbound:
            self._unbound = unbound
            self._notify()
        return usable

    async def _restructure(self, rendered: Rendered, usable: set[Bind]) -> None:
        self._proxy.write(rendered.text, rendered.files)
        try:
            if self._proxy.running:
                await self._proxy.reload()
            else:
                await self._proxy.start()
        except Permanent as error:  # "cannot bind socket (…) [127.0.0.1:80]": look at that address again next time
            self._bound = {b for b in self._bound if f"[{b.address}:{b.port}]" not in error.reason}
            raise
        self._structure, self._bound, self._used = rendered.structure, usable, self._spaces()
        self._up.set()
        self._notify()

    async def _tell(self, commands: list[str], rendered: Rendered) -> None:
        """Runtime commands; where the proxy does not take one, a reload says it all again."""
        said = await self._proxy.command(commands)
        self._proxy.write(rendered.text, rendered.files)
        complaints = [line for line in said.splitlines() if line and "chang" not in line and line != "\n"]
        if complaints:
            await self._restructure(rendered, self._bound)
