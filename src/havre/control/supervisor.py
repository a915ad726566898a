"""The loops of a process, declared once: started in order, started again when they may be, stopped in reverse.

A loop that returns is a fault. The fault of an essential loop ends the process, so that its parent starts it anew; a
restartable one is started again with back-off. A loop that does not stop within the deadline is given up, by name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from havre.kernel.world import World

log = logging.getLogger("havre.control")

_ASK_AGAIN = 2.0
STEADY = 60.0
"""Seconds after which a loop that runs is taken to be well: its next fault is the first one again."""


@dataclass(frozen=True)
class Loop:
    """``run`` runs until it is cancelled. ``progress`` gives when it last got something done (seconds since the epoch)."""

    name: str
    run: Callable[[], Awaitable[None]]
    essential: bool = True
    back_off: float = 0.5
    longest_back_off: float = 30.0
    progress: Callable[[], float | None] | None = None


class LoopState(msgspec.Struct):
    """``state``: starting, running, restarting, failed, stopped. Times are seconds since the epoch."""

    state: str = "starting"
    since: float = 0.0
    restarts: int = 0
    error: str = ""
    last_progress: float | None = None


class LoopFault(Exception):
    """An essential loop has ended."""


class Supervisor:
    def __init__(self, loops: Sequence[Loop], world: World, patience: float = 10.0) -> None:
        names = [loop.name for loop in loops]
        if len(set(names)) != len(names):
            raise ValueError(f"loops of the same name: {names}")
        self._loops = loops
        self._world = world
        self._patience = patience
        self._states = {loop.name: LoopState() for loop in loops}
        self._ending = asyncio.Event()
        self._fault: LoopFault | None = None

    async def run(self) -> None:
        """Until ``stop`` is called. Raises LoopFault, after all loops have been stopped, when an essential one has ended."""
        tasks: list[tuple[Loop, asyncio.Task[None]]] = []
        try:
            for loop in self._loops:
                guard = self._guard(loop)
                tasks.append((loop, asyncio.get_running_loop().create_task(guard, name=loop.name)))
            await self._ending.wait()
        finally:
            await self._stop_all(tasks)
        if self._fault is not None:
            raise self._fault

    def stop(self) -> None:
        self._ending.set()

    def health(self) -> Mapping[str, LoopState]:
        for loop in self._loops:
            if loop.progress is not None:
                self._states[loop.name].last_progress = loop.progress()
        return self._states

    @property
    def healthy(self) -> bool:
        return all(s.state == "running" for s in self._states.values())

    def _enter(self, loop: Loop, state: str, error: str = "") -> None:
        entry = self._states[loop.name]
        entry.state = state
        entry.since = self._world.now()
        entry.error = error or entry.error

    async def _guard(self, loop: Loop) -> None:
        faults = 0
        while True:
            self._enter(loop, "running")
            began = self._world.now()
            try:
                await loop.run()
                error: Exception = RuntimeError("the loop has returned")
            except asyncio.CancelledError:
                self._enter(loop, "stopped")
                raise
            except Exception as failure:
                error = failure
            if self._ending.is_set():  # it was told to stop, and answered with an error of its own
                self._enter(loop, "stopped")
                return
            log.error("loop %s: %s", loop.name, error, exc_info=error)
            if loop.essential:
                self._enter(loop, "failed", str(error) or type(error).__name__)
                self._fault = self._fault or LoopFault(f"{loop.name}: {error}")
                self._ending.set()
                return
            faults = 1 if self._world.now() - began > STEADY else faults + 1
            self._enter(loop, "restarting", str(error) or type(error).__name__)
            self._states[loop.name].restarts += 1
            await asyncio.sleep(min(loop.longest_back_off, loop.back_off * 2.0 ** (faults - 1)))

    async def _stop_all(self, tasks: Sequence[tuple[Loop, asyncio.Task[Any]]]) -> None:
        """One after the other, last started first: what a loop uses was started before it."""
        clock = asyncio.get_running_loop()
        deadline = clock.time() + self._patience
        for loop, task in reversed(tasks):
            if not await _stopped(task, deadline):
                log.error("loop %s did not stop within %s s", loop.name, self._patience)
                self._enter(loop, "failed", "did not stop")


async def _stopped(task: asyncio.Task[Any], deadline: float) -> bool:
    """Asks again while there is time: a cancellation can be swallowed on its way (by a TaskGroup that is ending)."""
    clock = asyncio.get_running_loop()
    while True:
        task.cancel()
        left = max(0.05, deadline - clock.time())
        _, pending = await asyncio.wait([task], timeout=min(_ASK_AGAIN, left))
        if not pending:
            return True
        if left <= _ASK_AGAIN:
            return False
