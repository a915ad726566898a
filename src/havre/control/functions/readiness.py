"""What is kept ready before anybody invokes: provisioned environments, and those that wait to be restored (SnapStart)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from havre.control.functions import messages as m
from havre.control.functions.alarm import Confirming
from havre.control.functions.wire import Frames
from havre.core.environments import Fleet, Step
from havre.core.environments.pools import function_in
from havre.kernel.errors import Permanent
from havre.kernel.function import Function, Provisioned

NO_ROOM = "this node has no memory, or files that it may open, for another environment"
_PARKED = 1
"""Environments that wait, initialised, of each function with SnapStart."""


class Readiness:
    """``do`` carries out the fleet's steps; ``retire`` is told of functions that no server wants any more."""

    def __init__(
        self,
        fleet: Fleet,
        do: Callable[[Iterable[Step]], None],
        steady: Callable[[], float],
        retire: Callable[[str], None],
    ) -> None:
        self._fleet = fleet
        self._do = do
        self._steady = steady
        self._wanted: dict[str, int] = {}
        self._parked: set[str] = set()
        self._errors: dict[str, str] = {}
        self._told: dict[str, Provisioned] = {}
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self.confirming = Confirming(retire)
        self._frames: Frames | None = None

    # --- the link
    def connected(self, frames: Frames) -> None:
        self._frames = frames
        self._told.clear()
        self.confirming.begin({*self._wanted, *self._parked})

    def disconnected(self) -> None:
        """What is kept ready stays so: the server tells again what it wants."""
        self._frames = None
        self.confirming.stop()

    # --- what is wanted
    def wants(self, id: str) -> int:
        """Provisioned ones of this function."""
        return self._wanted.get(id, 0)

    def provision(self, function: Function, pool: str, count: int) -> None:
        self.confirming.confirm(function.id)
        if count:
            self._wanted[function.id] = count
            self._fleet.know(pool, function.memory, function.snap_start)
            self._fleet.revive(pool)
        else:
            self._wanted.pop(function.id, None)
        if self._fleet.knows(pool):
            self._do(self._fleet.keep(pool, count, self._steady()))
        self.tell(pool)

    def parks(self, id: str) -> bool:
        return id in self._parked

    def keep_parked(self, function: Function) -> None:
        self._parked.add(function.id)
        self.confirming.confirm(function.id)
        self._fleet.know(function.id, function.memory, True)
        self._fleet.revive(function.id)
        self._do(self._fleet.park(function.id, _PARKED, self._steady()))

    async def until_parked(self, function: Function) -> None:
        """Returns when one is initialised and waits to be restored. Raises Permanent with the function's error, and what
        the engine raises."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(function.id, []).append(waiter)
        self.keep_parked(function)
        self.tell(function.id)
        await waiter

    def forget(self, id: str) -> None:
        """Nothing of it is wanted any more."""
        self._wanted.pop(id, None)
        self._parked.discard(id)
        self._errors.pop(id, None)
        self._fail_waiters(id, Permanent("the function is not wanted any more"))

    # --- what came of it
    def well(self, pool: str) -> None:
        """One has begun."""
        self._errors.pop(function_in(pool), None)
        if self._fleet.parked(pool):
            for waiter in self._waiters.pop(function_in(pool), ()):
                if not waiter.done():
                    waiter.set_result(None)
        self.tell(pool)

    def failed(self, pool: str, why: str, error: Exception) -> None:
        """One could not begin. Who asked for a parked one hears of it, and asks again or not."""
        id = function_in(pool)
        self._errors[id] = why
        if id in self._waiters:
            self._parked.discard(id)
            if self._fleet.knows(id):
                self._do(self._fleet.park(id, 0, self._steady()))
        self._fail_waiters(id, error)
        self.tell(pool)

    def _fail_waiters(self, id: str, error: Exception) -> None:
        for waiter in self._waiters.pop(id, ()):
            if not waiter.done():
                waiter.set_exception(error)

    def tell(self, pool: str) -> None:
        """The server, how far it is."""
        id = function_in(pool)
        wanted = self._wanted.get(id)
        if self._fleet.parked(pool) and id in self._waiters:
            self.well(pool)
        if wanted is None or self._frames is None:
            self._told.pop(id, None)
            return
        ready = self._fleet.ready(pool)
        error = self._errors.get(id) or (NO_ROOM if self._fleet.lacks(pool) else "")
        state = Provisioned(wanted, ready, error if ready < wanted else "")
        if self._told.get(id) != state:
            self._told[id] = state
            self._frames.send(m.State(id, state))
