"""All environments of one node that work on several invocations at once. Decisions are ``core.environments.Crowd``'s."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import cast

from havre.control.functions import messages as m
from havre.control.functions.alarm import Alarm, Confirming
from havre.control.functions.environment import Environment
from havre.control.functions.keeper import Keeper
from havre.control.functions.life import boot, init_limit
from havre.control.functions.parts import InitFailed, Parts, describe
from havre.control.functions.readiness import NO_ROOM
from havre.control.functions.shared import SharedEnvironment
from havre.control.functions.ticket import Ticket
from havre.control.functions.wire import Frames
from havre.core.environments import Fleet, Step, failures
from havre.core.environments.crowd import Crowd, CrowdRules, Shared
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.function import Function, Provisioned

log = logging.getLogger("havre.functions")

_LOOK = 1.0
"""Seconds between two looks at how busy environments are."""
_FINE = 20
"""Parts of a whole in which shares are told: what changes by less is not worth a message."""
_ALL_AT_WORK = "all environments of the function are at work"


class _Use:
    """Of one pool since the last look: processor time by sandbox, the most invocations at once, how many were refused."""

    __slots__ = ("cpu", "error", "peak", "refused", "seen")

    def __init__(self) -> None:
        self.seen: dict[str, float] = {}
        self.cpu = 0.0
        self.peak = 0
        self.refused = 0
        self.error = ""


class Managed(Keeper):
    """``others`` carries out steps about environments of the usual kind, which share the node's memory; ``sandboxes`` tells
    whose output is whose."""

    def __init__(
        self,
        parts: Parts,
        fleet: Fleet,
        others: Callable[[Iterable[Step]], None],
        sandboxes: dict[str, Environment],
        retire: Callable[[str], None],
    ) -> None:
        super().__init__(sandboxes)
        self._parts = parts
        self._steady = parts.steady
        self._crowd = Crowd(fleet, CrowdRules())
        self._others = others
        self._functions: dict[str, Function] = {}
        self._environments: dict[str, SharedEnvironment] = {}
        self._booting: set[str] = set()
        self._uses: dict[str, _Use] = {}
        self._told: dict[str, Provisioned] = {}
        self.confirming = Confirming(retire)
        self._frames: Frames | None = None
        self._alarm = Alarm(parts.steady, self._tick)
        self._looked = 0.0
        self._look: asyncio.TimerHandle | None = None

    # --- the link
    def connected(self, frames: Frames) -> None:
        """What a server does not speak of within a while is not wanted any more."""
        self._frames = frames
        self._told.clear()
        self.confirming.begin(pool for pool in self._crowd.pools() if self._crowd.counts(pool).wanted)

    def disconnected(self) -> None:
        self._frames = None
        self.confirming.stop()

    # --- what is wanted
    def knows(self, id: str) -> bool:
        return self._crowd.knows(id)

    def provision(self, function: Function, count: int) -> None:
        id = function.id
        self.confirming.confirm(id)
        self._functions[id] = function
        use = self._uses.setdefault(id, _Use())
        use.error = ""
        self._crowd.know(id, function.memory, function.concurrency)
        self._do(self._crowd.keep(id, count, self._steady()))
        self._told.pop(id, None)
        self._tell(id)
        if self._look is None:
            self._look_later()

    def retire(self, id: str) -> None:
        self._do(self._crowd.retire(id, self._steady()))
        self._uses.pop(id, None)
        self._told.pop(id, None)

    # --- invocations
    def invoke(self, function: Function, ticket: Ticket) -> None:
        pool = function.id
        member = self._crowd.take(pool)
        if member is not None:
            self._begun(pool)
            self._environments[member.id].begin(ticket)
            return
        now = self._steady()
        if self._crowd.wait(pool, ticket, now):
            self._alarm.by(now + self._crowd.rules.patience)
        else:
            self._refuse(pool, ticket)

    def _begun(self, pool: str) -> None:
        use = self._uses.get(pool)
        if use is not None:
            use.peak = max(use.peak, self._crowd.counts(pool).running)

    def _refuse(self, pool: str, ticket: Ticket) -> None:
        if (use := self._uses.get(pool)) is not None:
            use.refused += 1
        ticket.refuse(_ALL_AT_WORK, 1.0)

    # --- what environments say
    def answered(self, environment: Environment) -> None:
        """See ``done``."""

    def settled(self, environment: Environment) -> None:
        """See ``offered``."""

    def offered(self, environment: SharedEnvironment) -> None:
        ticket = self._crowd.offered(environment.shared)
        if ticket is not None:
            self._begun(environment.function.id)
            environment.begin(cast(Ticket, ticket))

    def withdrawn(self, environment: SharedEnvironment, waited: bool) -> None:
        self._crowd.withdrawn(environment.shared, waited=waited)

    def done(self, environment: SharedEnvironment) -> None:
        if steps := self._crowd.done(environment.shared, self._steady()):
            self._do(steps)

    def failed(self, environment: Environment, reason: str) -> None:
        self.broken(environment, reason)

    def broken(self, environment: Environment, reason: str) -> None:
        member = environment.member
        if self._environments.pop(member.id, None) is None:
            return
        self._let_end(environment, reason)
        self._do(self._crowd.gone(cast(Shared, member), self._steady()))
        self._tell(member.pool)

    # --- steps
    def _do(self, steps: Iterable[Step]) -> None:
        others: list[Step] = []
        for step in steps:
            member = step.member
            if step.what == "refuse" and self._crowd.knows(step.pool):
                self._refuse(step.pool, cast(Ticket, step.ticket))
            elif not isinstance(member, Shared):
                others.append(step)
            elif step.what == "start":
                self._tasks.spawn(self._start(member), "start an environment")
            elif step.what == "give":
                self._begun(step.pool)
                self._environments[member.id].begin(cast(Ticket, step.ticket))
            elif environment := self._environments.pop(member.id, None):
                self._let_go(environment)
        if others:
            self._others(others)
        self._wake()

    def _let_go(self, environment: SharedEnvironment) -> None:
        """It ends; one that is about to begin as soon as it is seen by who begins it."""
        if environment.member.id in self._booting:
            environment.break_init(failures.failure(failures.EXIT, "the environment is not wanted any more"))
            return
        self._let_end(environment, "spindown")

    async def _start(self, member: Shared) -> None:
        if not self._crowd.holds(member):
            return
        function = self._functions[member.pool]
        environment = self._environments[member.id] = SharedEnvironment(self._parts, self, member, function)
        why = ""
        self._booting.add(member.id)
        try:
            await self._parts.engine.prepare(function)
            if self._environments.get(member.id) is environment:
                await boot(environment, init_limit(environment))
        except InitFailed as failed:
            why = describe(failed.failure)
        except (Permanent, Temporary, Gone) as error:
            log.warning("no environment for %s: %s", function.arn, error)
            why = str(error)
        self._booting.discard(member.id)
        if self._environments.get(member.id) is not environment:  # it was let go meanwhile
            await self._end(environment, "spindown")
        elif why:
            await self._failed(environment, why)
        else:
            self._started(environment)

    def _started(self, environment: SharedEnvironment) -> None:
        member = environment.shared
        if (use := self._uses.get(member.pool)) is not None:
            use.error = ""
        self._do(self._crowd.started(member, self._steady()))
        self._tell(member.pool)

    async def _failed(self, environment: SharedEnvironment, why: str) -> None:
        member = environment.shared
        self._environments.pop(member.id, None)
        await self._end(environment, "failure")
        if (use := self._uses.get(member.pool)) is not None:
            use.error = why
        self._do(self._crowd.gone(member, self._steady(), failed=True))
        self._tell(member.pool)

    # --- how they do
    def _look_later(self) -> None:
        self._looked = self._steady()
        self._look = asyncio.get_running_loop().call_later(_LOOK, self._look_now)

    def _look_now(self) -> None:
        self._look = None
        took = max(self._steady() - self._looked, 1e-3)
        for pool in self._crowd.pools():
            if (use := self._uses.get(pool)) is not None:
                use.cpu = self._cpu(pool, use, took)
                self._tell(pool)
                use.peak = self._crowd.counts(pool).running
        for id in [id for id in self._functions if not self._crowd.knows(id)]:
            del self._functions[id]
        if self._crowd.pools():
            self._look_later()

    def _cpu(self, pool: str, use: _Use, took: float) -> float:
        """The share of their processors that the environments of a pool used since the last look."""
        before, use.seen = use.seen, {}
        spent = 0.0
        for member in self._crowd.members(pool):
            environment = self._environments.get(member.id)
            if environment is not None and environment.sandbox is not None:
                id = environment.sandbox.id
                use.seen[id] = self._parts.engine.cpu_used(id)
                spent += max(0.0, use.seen[id] - before.get(id, use.seen[id]))
        have = self._functions[pool].cpus * len(use.seen) * took
        return spent / have if have else 0.0

    def _tell(self, pool: str) -> None:
        """The server, how far it is and how busy."""
        use = self._uses.get(pool)
        if self._frames is None or use is None:
            return
        counts = self._crowd.counts(pool)
        busy = min(1.0, use.peak / counts.slots) if counts.slots else 0.0
        error = use.error or (NO_ROOM if counts.short else "")
        state = Provisioned(
            counts.wanted,
            counts.ready,
            error if counts.ready < counts.wanted else "",
            counts.short and counts.ready < counts.wanted,
            _rounded(use.cpu),
            _rounded(busy),
            use.refused,
        )
        if self._told.get(pool) != state:
            self._told[pool] = state
            self._frames.send(m.State(pool, state))

    # --- time
    def _wake(self) -> None:
        self._alarm.by(self._crowd.wake_at(self._steady()))

    def _tick(self) -> None:
        self._do(self._crowd.tick(self._steady()))

    def ends(self) -> list[asyncio.Task[None]]:
        """All of them begin to end."""
        self._quiet()
        self.confirming.stop()
        environments = list(self._environments.values())
        self._environments.clear()
        return [self._tasks.spawn(self._end(e, "spindown"), "end an environment") for e in environments]

    async def close(self) -> None:
        await self._tasks.close()
        self._quiet()

    def _quiet(self) -> None:
        self._alarm.off()
        if self._look is not None:
            self._look.cancel()


def _rounded(share: float) -> float:
    return round(share * _FINE) / _FINE
