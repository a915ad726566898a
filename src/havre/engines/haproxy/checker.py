"""Health checks of all targets: one small loop each, and what they found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec

from havre.engines.haproxy.checks import Place, probe
from havre.engines.haproxy.health import HEALTHY, Health, Outcome, observe, pause, remembered
from havre.kernel.balancer import BalancerHealthCheck

Key = tuple[str, str]
"""(pool, target)"""
Probe = Callable[[Place, BalancerHealthCheck], Awaitable[Outcome]]


class Watched(msgspec.Struct, frozen=True):
    """A target to check. A change of any of this starts its checks anew; a change of the place its health too."""

    place: Place
    check: BalancerHealthCheck


class Checker:
    """``watch`` says what to check; ``run`` does it; ``found`` is called with the key when a state has changed."""

    def __init__(self, found: Callable[[Key], None], clock: Callable[[], float], probe: Probe = probe) -> None:
        self.health: dict[Key, Health] = {}
        self._found = found
        self._clock = clock
        self._probe = probe
        self._wanted: dict[Key, Watched] = {}
        self._tasks: dict[Key, tuple[Watched, asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()

    def watch(self, wanted: Mapping[Key, Watched], known_healthy: Iterable[Key] = ()) -> None:
        """Check exactly these from now on. ``known_healthy`` are new here but known to have passed before."""
        seeds = set(known_healthy)
        for key in [k for k in self.health if k not in wanted]:
            del self.health[key]
        for key, watched in wanted.items():
            before = self._wanted.get(key)
            moved = before is not None and (before.place.address, before.place.port) != _where(watched)
            if not watched.check.enabled:
                self.health[key] = HEALTHY
            elif key not in self.health or moved:
                self.health[key] = remembered(watched.check) if key in seeds else Health()
        self._wanted = dict(wanted)
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._changed.clear()
                    self._sync(group)
                    await self._changed.wait()
        finally:
            self._tasks.clear()

    def _sync(self, group: asyncio.TaskGroup) -> None:
        for key, (watched, task) in list(self._tasks.items()):
            if self._wanted.get(key) != watched:
                task.cancel()
                del self._tasks[key]
        for key, watched in self._wanted.items():
            if key not in self._tasks and watched.check.enabled:
                self._tasks[key] = (watched, group.create_task(self._keep_checking(key, watched)))

    async def _keep_checking(self, key: Key, watched: Watched) -> None:
        while True:
            outcome = await self._probe(watched.place, watched.check)
            before = self.health.get(key)
            if before is None:
                return
            after = observe(before, watched.check, outcome, self._clock())
            self.health[key] = after
            if (after.state, after.description) != (before.state, before.description):
                self._found(key)
            await asyncio.sleep(pause(after, watched.check))


def _where(watched: Watched) -> tuple[str, int]:
    return (watched.place.address, watched.place.port)
