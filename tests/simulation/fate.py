"""What happens at each effect of a run: counted, so that a run can be repeated with something going wrong at each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any, TypeVar

from havre.kernel.errors import Permanent, Temporary

T = TypeVar("T")
TROUBLES = ("temporary", "lost", "slow", "crash before", "crash after")
"""What every component has to bear without anybody seeing more of it than a delay."""
STORE = "store."
"""Effects of the store never fail for good, and an answer of it is never lost: the process is, then."""

LINES = "logs."
"""What refuses lines for good may drop them."""


class Fate:
    """``script``: index of an effect → what happens there. ``rates``: how often each trouble comes by chance.

    ``over`` ends all trouble: then everything has to come to rest.
    """

    def __init__(
        self, chance: Random, script: Mapping[int, str] | None = None, rates: Mapping[str, float] | None = None
    ) -> None:
        self.chance = chance
        self.script = dict(script or {})
        self.rates = dict(rates or {})
        self.over = False
        self.effects: list[str] = []
        self.happened: list[tuple[int, str, str]] = []

    def next(self, process: str, name: str) -> str:
        index = len(self.effects)
        self.effects.append(f"{process}: {name}")
        what = "" if self.over else self.script.get(index) or self._by_chance()
        if (name.startswith(STORE) and what in ("permanent", "lost")) or (
            name.startswith(LINES) and what == "permanent"
        ):
            what = "temporary"
        if what:
            self.happened.append((index, self.effects[-1], what))
        return what

    def _by_chance(self) -> str:
        if not self.rates:
            return ""
        drawn = self.chance.random()
        for what, rate in self.rates.items():
            if drawn < rate:
                return what
            drawn -= rate
        return ""

    def delay(self) -> float:
        """How long an effect takes: this is what makes the parts meet in another order with each seed."""
        return self.chance.choice((0.0, 0.0, 0.001, 0.01, 0.05))


LIFE: ContextVar[Life] = ContextVar("LIFE")
"""Whose task this is: what a task starts belongs to the same process."""


class Life:
    """One life of a process: its tasks, and what it does to the world outside of it. Dead, it does nothing any more."""

    def __init__(self, process: str, fate: Fate) -> None:
        self.process = process
        self.fate = fate
        self.dead = False
        self.at_end: list[Callable[[], Any]] = []
        self.context = copy_context()
        self.context.run(LIFE.set, self)
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task of this process."""
        return asyncio.get_running_loop().create_task(work, context=self.context.copy())

    def own(self, task: asyncio.Task[Any]) -> None:
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        if self.dead:
            task.cancel()

    def kill(self) -> None:
        """``kill -9``."""
        if self.dead:
            return
        self.dead = True
        for task in tuple(self._tasks):
            task.cancel()
        for call in self.at_end:
            call()

    def check(self) -> None:
        """A dead process goes no further."""
        if self.dead:
            raise asyncio.CancelledError

    async def effect(self, name: str, call: Callable[..., Awaitable[T]], *args: Any, **more: Any) -> T:
        self.check()
        what = self.fate.next(self.process, name)
        await asyncio.sleep(self.fate.chance.uniform(0.5, 8) if what == "slow" else self.fate.delay())
        self.check()
        if what == "crash before":
            self.kill()
            self.check()
        if what == "temporary":
            raise Temporary(f"{name} does not answer")
        if what == "permanent":
            raise Permanent(f"{name} refuses")
        answer = await call(*args, **more)
        if what == "crash after":
            self.kill()
        self.check()
        if what == "lost":
            raise Temporary(f"the answer of {name} was lost")
        return answer


class Port:
    """Stands between a process and what outlives it. ``effects`` are the methods that count as such; others pass."""

    def __init__(self, life: Life, name: str, target: Any, effects: Collection[str]) -> None:
        self._life = life
        self._name = name
        self._target = target
        self._effects = frozenset(effects)

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._target, method)
        if method not in self._effects:
            return found

        async def call(*args: Any, **more: Any) -> Any:
            return await self._life.effect(f"{self._name}{method}", found, *args, **more)

        return call


def belonging(loop: asyncio.AbstractEventLoop, work: Any, context: Context | None = None, **more: Any) -> Any:
    """A loop's task factory: each task belongs to the process whose task started it."""
    task = asyncio.Task(work, loop=loop, context=context, **more)
    life = LIFE.get(None) if context is None else context.get(LIFE)
    if life is not None:
        life.own(task)
    return task
