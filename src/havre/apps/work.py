"""What services do unasked: their reconcilers and loops, each service's from when there is anything of it.

An installation in which nobody has a function or a cluster loads nothing of what cares for them. The store says when that
changes: reconcilers look at all that is there when they begin, so whoever begins late misses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from havre.control.reconciler import Reconciler
from havre.control.runner import Progress, Runner
from havre.control.supervisor import Loop, LoopState, Supervisor
from havre.kernel.world import World
from havre.store.ports import Store


class Work(msgspec.Struct, frozen=True):
    """Of one service."""

    reconcilers: list[Reconciler[Any]]
    loops: list[Loop]


class Workers:
    """``of`` is kind → service, ``make`` makes the work of a service; ``companion`` begins with the first of the others.
    ``begun`` is called when what there is to begin with has begun, and after each that follows."""

    def __init__(
        self,
        store: Store,
        world: World,
        make: Callable[[str], Work],
        of: Mapping[str, str],
        *,
        companion: str = "",
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._world = world
        self._make = make
        self._of = of
        self._companion = companion
        self._begun = begun
        self._runners: dict[str, Runner] = {}
        self._supervisors: dict[str, Supervisor] = {}
        self._wanted: asyncio.Queue[str] = asyncio.Queue()
        self._open = False

    def use(self, name: str) -> None:
        """There is something of this service that the store does not tell of."""
        self._wanted.put_nowait(name)

    async def run(self, first: Iterable[str] = ()) -> None:
        """For ever. Raises what an essential loop of a service has ended with."""
        changes = self._store.subscribe(self._of)
        try:
            async with asyncio.TaskGroup() as group:
                there = (name for kind, name in self._of.items() if self._store.list(self._store.kind(kind)))
                for name in dict.fromkeys((*first, *there)):
                    await self._begin(name, group)
                self._open = True
                self._begun()
                group.create_task(self._hear(group), name="services that are used")
                async for batch in changes:
                    for name in {self._of[change.key.kind] for change in batch} - self._supervisors.keys():
                        self.use(name)
                raise RuntimeError("the change feed has ended")
        finally:
            changes.close()

    async def _hear(self, group: asyncio.TaskGroup) -> None:
        while True:
            name = await self._wanted.get()
            if name not in self._supervisors:
                await self._begin(name, group)
                self._begun()

    async def _begin(self, name: str, group: asyncio.TaskGroup) -> None:
        """Once. Others get their turn afterwards: it takes a while to load."""
        if name in self._supervisors:
            return
        work = self._make(name)
        runner = self._runners[name] = Runner(work.reconcilers, self._store, self._world)
        reconciling = [Loop(f"reconcilers of {name}", runner.run)] if work.reconcilers else []
        supervisor = self._supervisors[name] = Supervisor([*reconciling, *work.loops], self._world)
        group.create_task(supervisor.run(), name=name)
        await asyncio.sleep(0)
        if self._companion:
            await self._begin(self._companion, group)

    # --- for people

    def health(self) -> dict[str, LoopState | Progress]:
        """Of each loop and each reconciler that there is."""
        found: dict[str, LoopState | Progress] = {}
        for supervisor in self._supervisors.values():
            found |= supervisor.health()
        for runner in self._runners.values():
            found |= runner.progress()
        return found

    def last(self) -> float | None:
        """When a reconciler last ended a run."""
        every = [each.last for runner in self._runners.values() for each in runner.progress().values()]
        return max((last for last in every if last is not None), default=None)

    async def explain(self, arn: str) -> list[str]:
        """Why things are as they are, in words."""
        if not self._open:
            return ["Havre is starting."]
        reasons = [reason for runner in self._runners.values() for reason in await runner.explain(arn)]
        return list(dict.fromkeys(reasons))
