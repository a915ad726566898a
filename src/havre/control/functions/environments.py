"""All environments of the usual kind of one node: what the fleet decides about them is done here, and what becomes of them
is told to it.

One whose process has ended, or the time of its invocation, is renewed: everything in it ends, its sandbox stays and so does
/tmp, and its init phase is begun anew within the next invocation (in AWS's words, a suppressed init).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol, cast

from havre.control.functions.alarm import Alarm
from havre.control.functions.environment import Environment
from havre.control.functions.keeper import Keeper
from havre.control.functions.life import boot, clear, init_limit, obtain
from havre.control.functions.parts import InitFailed, Parts, describe
from havre.control.functions.readiness import NO_ROOM, Readiness
from havre.control.functions.ticket import Ticket
from havre.core.environments import Fleet, Member, Phase, Rules, Step
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.function import Function

log = logging.getLogger("havre.functions")

_END_PATIENCE = 30.0
_AT_ONCE = 16
"""Sandboxes that are being made: what those before them take of memory can be seen meanwhile."""


class Memory(Protocol):
    """The machine's. Asked often."""

    def short(self) -> bool:
        """What is idle should not stay for long."""
        ...

    def scarce(self) -> bool:
        """Nothing more should begin."""
        ...


class Plenty:
    """Memory that is never short."""

    def short(self) -> bool:
        return False

    scarce = short


class Functions(Protocol):
    """Who knows the functions of the node."""

    def function_of(self, pool: str) -> Function | None: ...

    def retire(self, id: str) -> None:
        """No server wants it any more."""
        ...

    def forget_retired(self) -> None:
        """What has no environment any more may be forgotten."""
        ...


class Environments(Keeper):
    def __init__(self, parts: Parts, rules: Rules, functions: Functions, memory: Memory) -> None:
        super().__init__({})
        self._parts = parts
        self._steady = parts.steady
        self._functions = functions
        self._memory = memory
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._rest = rules.rest
        self._alarm = Alarm(parts.steady, self.tick)
        self.fleet = Fleet(rules)
        self.by_member: dict[str, Environment] = {}
        self.readiness = Readiness(self.fleet, self.do, parts.steady, functions.retire)
        parts.engine.on_output = self._on_output
        parts.engine.on_exit = self._on_exit

    @property
    def sandboxes(self) -> dict[str, Environment]:
        return self._sandboxes

    def wait(self, ticket: Ticket, now: float) -> None:
        """For one that is free, or begins."""
        self.fleet.scarce = self._memory.scarce()
        if steps := self.fleet.wait(ticket.pool, ticket, now):
            self.do(steps)
        else:
            self._alarm.by(self.fleet.wake_at(now) if self.fleet.scarce else now + self.fleet.rules.settle)

    def give(self, environment: Environment, ticket: Ticket) -> None:
        """To one that is free."""
        if environment.cold:
            self._tasks.spawn(self._anew(environment, ticket), "begin an environment anew")
        else:
            environment.begin(ticket)

    # --- what environments say (Owner)
    def answered(self, environment: Environment) -> None:
        self.fleet.answered(environment.member, self._steady())

    def settled(self, environment: Environment) -> None:
        ticket = self.fleet.settled(environment.member, self._steady())
        if ticket is not None:
            self.give(environment, cast(Ticket, ticket))
        elif self.fleet.urgent:
            self.tick()
        else:
            self._alarm.by(self._steady() + self._rest)

    def failed(self, environment: Environment, reason: str) -> None:
        member, now = environment.member, self._steady()
        idle = member.phase is Phase.IDLE
        hasty = idle and member.kept and now < member.since + self.fleet.rules.retry
        if hasty or member.stale or environment.kind == "snap-start" or member.phase is Phase.PARKED:
            self._give_up(environment, reason, failed=hasty)
        elif self.by_member.get(member.id) is environment:
            self.fleet.spoilt(member, now)  # it is free in a moment: who waits need not begin another one
            self._tasks.spawn(self._renew(environment, reason), "renew an environment")
            self.readiness.tell(member.pool)

    def broken(self, environment: Environment, reason: str) -> None:
        self._give_up(environment, reason)

    def _give_up(self, environment: Environment, reason: str, *, failed: bool = False) -> None:
        """``failed``: another one like it would be in vain at this time."""
        member = environment.member
        if self.by_member.pop(member.id, None) is None:
            return
        self._let_end(environment, reason)
        self.do(self.fleet.gone(member, self._steady(), failed=failed))
        if member.kept:
            self.readiness.tell(member.pool)

    def _on_output(self, sandbox: str, process: str, data: bytes) -> None:
        if environment := self._sandboxes.get(sandbox):
            environment.output(process, data)

    def _on_exit(self, sandbox: str, process: str, code: int, out_of_memory: bool) -> None:
        if environment := self._sandboxes.get(sandbox):
            environment.exited(process, code, out_of_memory)

    # --- steps
    def do(self, steps: Iterable[Step]) -> None:
        for step in steps:
            member = step.member
            if step.what == "refuse":
                cast(Ticket, step.ticket).refuse(NO_ROOM, 1.0)
            elif member is None:
                continue
            elif step.what == "start":
                self._tasks.spawn(self._start(member), "start an environment")
            elif step.what == "end":
                if environment := self.by_member.pop(member.id, None):
                    self._let_end(environment, "spindown")
            elif environment := self.by_member.get(member.id):
                if step.what == "freeze":
                    environment.freeze()
                elif step.what == "give":
                    self.give(environment, cast(Ticket, step.ticket))
                elif step.what == "restore":
                    environment.restore(cast(Ticket, step.ticket))
        self._wake()

    async def _start(self, member: Member) -> None:
        function = self._functions.function_of(member.pool)
        if function is None:
            self.do(self.fleet.gone(member, self._steady()))
            return
        kind = "provisioned-concurrency" if member.kept else "snap-start" if function.snap_start else "on-demand"
        environment = Environment(self._parts, self, member, function, kind)
        self.by_member[member.id] = environment
        try:
            await self._parts.engine.prepare(function)
            async with self._turns:
                if self._crowded(member):
                    return
                await obtain(environment)
            await boot(environment, init_limit(environment))
        except InitFailed as failure:
            await self._again(environment, failure)
        except (Permanent, Temporary, Gone) as error:
            await self._refused(environment, error)
        else:
            self._started(environment)

    def _crowded(self, member: Member) -> bool:
        """Whether memory has become scarce since it was decided that it begins, as in a burst of many: then it does not."""
        self.fleet.scarce = self._memory.scarce()
        if not self.fleet.scarce or len(self.by_member) == 1:
            return False
        self.by_member.pop(member.id, None)
        self.do(self.fleet.gone(member, self._steady()))
        if member.kept:
            self.readiness.tell(member.pool)
        return True

    def _started(self, environment: Environment) -> None:
        member, now = environment.member, self._steady()
        if self.by_member.get(member.id) is not environment:  # it was ended meanwhile
            return
        if environment.restoring.parked:
            self.do(self.fleet.parked_now(member, now))
        else:
            self.settled(environment)
        self.readiness.well(member.pool)

    async def _again(self, environment: Environment, first: InitFailed) -> None:
        """Its init phase has failed: once more, within an invocation and with that one's time; without any, it ends."""
        member = environment.member
        here = self.by_member.get(member.id) is environment
        ticket = self.fleet.claim(member, self._steady()) if here and not member.kept else None
        if ticket is None:
            await self._failed(environment, first)
            return
        try:
            await clear(environment, "")
        except (Permanent, Temporary, Gone) as error:
            cast(Ticket, ticket).refuse(*words(error))
            self.broken(environment, "")
        else:
            await self._anew(environment, cast(Ticket, ticket))

    async def _anew(self, environment: Environment, ticket: Ticket) -> None:
        """Its init phase in the sandbox that it has, within an invocation and with that one's time."""
        environment.kind = "on-demand"
        if not environment.take(ticket):
            return
        try:
            await boot(environment, environment.function.timeout + 1.0, phase="invoke")
        except InitFailed as failure:
            environment.announce()
            environment.fail(failure.failure, failure.status)
        except (Permanent, Temporary, Gone) as error:
            ticket.refuse(*words(error))
            environment.run = None
            self.broken(environment, "")
        else:
            environment.announce()
            environment.deliver(self._parts.world.now())

    async def _renew(self, environment: Environment, reason: str) -> None:
        """What ran in it has ended, or is not to be trusted any more. One that is kept ready is initialised at once, others
        within their next invocation."""
        try:
            await clear(environment, reason)
        except (Permanent, Temporary, Gone) as error:
            log.warning("an environment of %s cannot be used again: %s", environment.function.arn, error)
            self.broken(environment, "")
            return
        if self.by_member.get(environment.member.id) is not environment:
            return
        if environment.member.phase is Phase.STARTING:
            await self._ready_again(environment)
        else:
            self.settled(environment)

    async def _ready_again(self, environment: Environment) -> None:
        try:
            await boot(environment, init_limit(environment))
        except InitFailed as failure:
            await self._failed(environment, failure)
        except (Permanent, Temporary, Gone) as error:
            await self._refused(environment, error)
        else:
            self._started(environment)

    async def _failed(self, environment: Environment, failure: InitFailed) -> None:
        """Nobody waits for it."""
        member = environment.member
        self.by_member.pop(member.id, None)
        await self._end(environment, "failure")
        self.do(self.fleet.gone(member, self._steady(), failed=True))
        why = describe(failure.failure)
        self.readiness.failed(member.pool, why, Permanent(why))

    async def _refused(self, environment: Environment, error: Exception) -> None:
        """The engine cannot have it: who waits hears why, unless others of its kind are at work."""
        member = environment.member
        log.warning("no environment for %s: %s", environment.function.arn, error)
        self.by_member.pop(member.id, None)
        await self._end(environment, "")
        self.fleet.drop(member)
        for ticket in self.fleet.refuse(member.pool, self._steady(), for_good=isinstance(error, Permanent)):
            cast(Ticket, ticket).refuse(*words(error))
        self.do(self.fleet.gone(member, self._steady(), failed=True))
        self.readiness.failed(member.pool, str(error), error)

    # --- time
    def _wake(self) -> None:
        """Sees to it that the fleet's next moment is not missed."""
        self._functions.forget_retired()
        self._alarm.by(self.fleet.wake_at(self._steady()))

    def tick(self) -> None:
        self._alarm.off()
        self.fleet.scarce = self._memory.scarce()
        self.do(self.fleet.tick(self._steady(), pressure=self._memory.short()))

    async def close(self, others: Iterable[asyncio.Task[None]]) -> None:
        """Everything ends, extensions hear of it. ``others``: ends that are waited for, too."""
        self._alarm.off()
        environments = list(self.by_member.values())
        self.by_member.clear()
        ends = [*others, *(self._tasks.spawn(self._end(e, "spindown"), "end an environment") for e in environments)]
        if ends:
            await asyncio.wait(ends, timeout=_END_PATIENCE)
        await self._tasks.close()
        self._alarm.off()


def words(error: Exception) -> tuple[str, float]:
    """The reason, and after how long it may be gone; -1: never."""
    return (str(error), error.after if isinstance(error, Temporary) else -1.0)
