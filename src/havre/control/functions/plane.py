"""All functions of one node: what the server asks goes to environments, and what is decided about these is done.

Decisions are ``core.environments.Fleet``'s. Nothing on the way of a warm invocation waits or makes a task.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from havre.control.functions import messages as m
from havre.control.functions.environment import Environment
from havre.control.functions.life import boot, end, init_limit
from havre.control.functions.parts import InitFailed, Parts, describe
from havre.control.functions.readiness import Readiness
from havre.control.functions.ticket import Ticket
from havre.control.functions.wire import Frames
from havre.control.tasks import Tasks
from havre.core.environments.fleet import Fleet, Member, Rules, Step
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.function import Function

if TYPE_CHECKING:
    from havre.control.functions.managed import Managed

log = logging.getLogger("havre.functions")

_END_PATIENCE = 30.0


class Plane:
    """``stamp`` is the state of a function's files where they are a directory; ``pressure`` whether memory is short."""

    def __init__(
        self,
        parts: Parts,
        rules: Rules,
        *,
        stamp: Callable[[Function], str],
        pressure: Callable[[], bool] = lambda: False,
    ) -> None:
        self._parts = parts
        self._steady = parts.steady
        self._fleet = Fleet(rules)
        self._rest, self._settle = rules.rest, rules.settle
        self._stamp = stamp
        self._pressure = pressure
        self._functions: dict[str, Function] = {}
        self._environments: dict[str, Environment] = {}
        self._sandboxes: dict[str, Environment] = {}
        self._stamps: dict[str, str] = {}
        self._retiring: dict[str, str] = {}
        self._tickets: dict[int, Ticket] = {}
        self._frames: Frames | None = None
        self._tasks = Tasks()
        self._timer: asyncio.TimerHandle | None = None
        self._due = float("inf")
        self._readiness = Readiness(self._fleet, self._do, self._steady, self._retire)
        self._managed: Managed | None = None
        parts.engine.on_output = self._on_output
        parts.engine.on_exit = self._on_exit

    # --- the link's handler
    def connected(self, frames: Frames) -> None:
        self._frames = frames
        self._readiness.connected(frames)
        if self._managed is not None:
            self._managed.connected(frames)

    def disconnected(self) -> None:
        """Invocations under way come to their end; nobody hears of it. What waits is not begun any more."""
        self._frames = None
        self._readiness.disconnected()
        if self._managed is not None:
            self._managed.disconnected()
        tickets, self._tickets = self._tickets, {}
        for ticket in tickets.values():
            ticket.abandon()
            self._fleet.give_up(ticket.pool, ticket)

    def handle(self, message: m.AnyMessage) -> None:
        kind = type(message)
        if kind is m.Invoke:
            self._invoke(cast(m.Invoke, message))
        elif kind is m.Window:
            window = cast(m.Window, message)
            if ticket := self._tickets.get(window.id):
                ticket.taken(window.size)
        elif kind is m.Define:
            function = cast(m.Define, message).function
            self._functions[function.id] = function
            self._retiring.pop(function.id, None)
        elif kind is m.Cancel:
            self._cancel(cast(m.Cancel, message).id)
        elif kind is m.Prepare:
            self._tasks.spawn(self._prepare(cast(m.Prepare, message)), "prepare a function")
        elif kind is m.Provision:
            self._provision(cast(m.Provision, message))
        elif kind is m.Retire:
            self._retire(cast(m.Retire, message).function)

    # --- invocations
    def _invoke(self, asked: m.Invoke) -> None:
        frames = self._frames
        assert frames is not None
        function = self._functions.get(asked.function)
        if function is None:
            frames.send(m.Unknown(asked.id, asked.function))
            return
        pool = function.id if function.code.kind != "directory" else self._fresh_pool(function)
        now = self._steady()
        ticket = Ticket(asked, frames, pool)
        if asked.streaming:
            self._keep(ticket)
        if function.concurrency:
            self._open_managed().invoke(function, ticket)
            return
        if not self._fleet.knows(pool):
            self._fleet.know(pool, function.memory, function.snap_start)
        if function.snap_start and not self._readiness.parks(function.id):
            self._readiness.keep_parked(function)
        member = self._fleet.take(pool, now)
        if member is not None:
            self._environments[member.id].begin(ticket)
            return
        self._keep(ticket)
        if steps := self._fleet.wait(pool, ticket, now):
            self._do(steps)
        else:
            self._wake_by(now, now + self._settle)

    def _open_managed(self) -> Managed:
        """Most nodes never have such functions: what runs them is loaded with the first."""
        if self._managed is None:
            from havre.control.functions.managed import Managed

            self._managed = Managed(self._parts, self._fleet, self._do, self._sandboxes, self._retire)
            if self._frames is not None:
                self._managed.connected(self._frames)
        return self._managed

    def _keep(self, ticket: Ticket) -> None:
        """It may be cancelled, or told of room, until it is done."""
        self._tickets[ticket.asked.id] = ticket
        ticket.on_done = self._drop_ticket

    def _drop_ticket(self, ticket: Ticket) -> None:
        if self._tickets.get(ticket.asked.id) is ticket:
            del self._tickets[ticket.asked.id]

    def _cancel(self, id: int) -> None:
        """What waits for an environment is not begun; what runs, runs to its end, as in AWS."""
        ticket = self._tickets.pop(id, None)
        if ticket is not None:
            ticket.abandon()
            self._fleet.give_up(ticket.pool, ticket)

    def _pool_of(self, function: str) -> str:
        stamp = self._stamps.get(function)
        return f"{function}@{stamp}" if stamp is not None else function

    def _fresh_pool(self, function: Function) -> str:
        """Of a function whose files somebody is working on: environments of another state of them are not used again."""
        before, stamp = self._stamps.get(function.id), self._stamp(function)
        if stamp != before:
            if before is not None:
                self._do(self._fleet.retire(f"{function.id}@{before}"))
            self._stamps[function.id] = stamp
            if count := self._readiness.wants(function.id):
                self._readiness.provision(function, f"{function.id}@{stamp}", count)
        return f"{function.id}@{stamp}"

    # --- what environments say (Owner)
    def attach(self, environment: Environment) -> None:
        if environment.sandbox is not None:
            self._sandboxes[environment.sandbox.id] = environment

    def detach(self, environment: Environment) -> None:
        if environment.sandbox is not None:
            self._sandboxes.pop(environment.sandbox.id, None)

    def answered(self, environment: Environment) -> None:
        self._fleet.answered(environment.member, self._steady())

    def settled(self, environment: Environment) -> None:
        ticket = self._fleet.settled(environment.member, self._steady())
        if ticket is not None:
            environment.begin(cast(Ticket, ticket))
        elif self._fleet.urgent:
            self._tick()
        else:
            now = self._steady()
            self._wake_by(now, now + self._rest)

    def broken(self, environment: Environment, reason: str) -> None:
        member = environment.member
        if self._environments.pop(member.id, None) is None:
            return
        environment.ending = True
        self._tasks.spawn(self._end(environment, reason), "end an environment")
        self._do(self._fleet.gone(member, self._steady()))
        if member.kept:
            self._readiness.tell(member.pool)

    def _on_output(self, sandbox: str, process: str, data: bytes) -> None:
        if environment := self._sandboxes.get(sandbox):
            environment.output(process, data)

    def _on_exit(self, sandbox: str, process: str, code: int, out_of_memory: bool) -> None:
        if environment := self._sandboxes.get(sandbox):
            environment.exited(process, code, out_of_memory)

    # --- steps
    def _do(self, steps: Iterable[Step]) -> None:
        for step in steps:
            member = step.member
            if step.what == "refuse":
                cast(Ticket, step.ticket).refuse("this node has no memory left for another environment", 1.0)
            elif member is None:
                continue
            elif step.what == "start":
                self._tasks.spawn(self._start(member), "start an environment")
            elif step.what == "end":
                if environment := self._environments.pop(member.id, None):
                    environment.ending = True
                    self._tasks.spawn(self._end(environment, "spindown"), "end an environment")
            elif environment := self._environments.get(member.id):
                if step.what == "freeze":
                    environment.freeze()
                elif step.what == "give":
                    environment.begin(cast(Ticket, step.ticket))
                elif step.what == "restore":
                    environment.restore(cast(Ticket, step.ticket))
        self._wake()

    def _function_of(self, pool: str) -> Function | None:
        return self._functions.get(pool.partition("@")[0])

    async def _start(self, member: Member) -> None:
        function = self._function_of(member.pool)
        if function is None:
            self._do(self._fleet.gone(member, self._steady()))
            return
        kind = "provisioned-concurrency" if member.kept else "snap-start" if function.snap_start else "on-demand"
        environment = Environment(self._parts, self, member, function, kind)
        self._environments[member.id] = environment
        try:
            await self._parts.engine.prepare(function)
            await boot(environment, init_limit(environment))
        except InitFailed as failure:
            await self._again(environment, failure)
        except (Permanent, Temporary, Gone) as error:
            await self._refused(environment, error)
        else:
            self._started(environment)

    def _started(self, environment: Environment) -> None:
        member, now = environment.member, self._steady()
        if self._environments.get(member.id) is not environment:  # it was ended meanwhile
            return
        if environment.parked:
            self._do(self._fleet.parked_now(member, now))
        else:
            self.settled(environment)
        self._readiness.well(member.pool)

    async def _again(self, environment: Environment, first: InitFailed) -> None:
        """Its init phase has failed: once more, within an invocation and with that one's time; without any, it ends."""
        member, function = environment.member, environment.function
        here = self._environments.get(member.id) is environment
        ticket = self._fleet.claim(member, self._steady()) if here and not member.kept else None
        if ticket is None:
            await self._failed(environment, first)
            return
        asked = cast(Ticket, ticket)
        try:
            await end(environment, "")
            environment.ending = False
            environment.reset()
            environment.kind = "on-demand"
            environment.start_invocation(asked)
            await boot(environment, function.timeout + 1.0, phase="invoke")
        except InitFailed as failure:
            environment.announce()
            environment.fail(failure.failure, failure.status)
        except (Permanent, Temporary, Gone) as error:
            asked.refuse(*_words(error))
            environment.run = None
            self.broken(environment, "")
        else:
            environment.announce()
            environment.deliver()

    async def _failed(self, environment: Environment, failure: InitFailed) -> None:
        """Nobody waits for it."""
        member = environment.member
        self._environments.pop(member.id, None)
        await self._end(environment, "failure")
        self._do(self._fleet.gone(member, self._steady(), failed=True))
        why = describe(failure.failure)
        self._readiness.failed(member.pool, why, Permanent(why))

    async def _refused(self, environment: Environment, error: Exception) -> None:
        """The engine cannot have it: who waits hears why, unless others of its kind are at work."""
        member = environment.member
        log.warning("no environment for %s: %s", environment.function.arn, error)
        self._environments.pop(member.id, None)
        await self._end(environment, "")
        self._fleet.drop(member)
        if isinstance(error, Permanent) or not self._fleet.members(member.pool):
            for ticket in self._fleet.refuse(member.pool):
                cast(Ticket, ticket).refuse(*_words(error))
        self._do(self._fleet.gone(member, self._steady(), failed=True))
        self._readiness.failed(member.pool, str(error), error)

    async def _end(self, environment: Environment, reason: str) -> None:
        try:
            await end(environment, reason)
        except (Permanent, Temporary, Gone) as error:
            log.error("a sandbox of %s could not be removed: %s", environment.function.arn, error)

    # --- in advance
    async def _prepare(self, asked: m.Prepare) -> None:
        frames = self._frames
        function = self._functions.get(asked.function)
        if frames is None:
            return
        if function is None:
            frames.send(m.Unknown(asked.id, asked.function))
            return
        try:
            await self._parts.engine.prepare(function)
            with suppress(Permanent, Temporary, Gone):  # the first environment finds them; or says why not
                await self._parts.credentials(function)
            if function.snap_start:
                await self._readiness.until_parked(function)
        except (Permanent, Temporary, Gone) as error:
            frames.send(m.Refused(asked.id, *_words(error)))
        else:
            frames.send(m.Prepared(asked.id))

    def _provision(self, asked: m.Provision) -> None:
        function = self._functions.get(asked.function)
        if function is not None and function.concurrency:
            self._open_managed().provision(function, asked.count)
        elif function is not None:
            pool = self._fresh_pool(function) if function.code.kind == "directory" else function.id
            self._readiness.provision(function, pool, asked.count)

    def _retire(self, id: str) -> None:
        self._readiness.forget(id)
        if self._managed is not None:
            self._managed.retire(id)
        self._retiring[id] = self._pool_of(id)
        self._do(self._fleet.retire(self._retiring[id]))

    def _forget_retired(self) -> None:
        """What has no environment any more."""
        managed = self._managed
        over = [
            id
            for id, pool in self._retiring.items()
            if not self._fleet.knows(pool) and not (managed is not None and managed.knows(id))
        ]
        for id in over:
            for known in (self._retiring, self._functions, self._stamps):
                known.pop(id, None)
        if over:
            self._tasks.spawn(self._parts.engine.forget(over), "forget functions")

    # --- time
    def _wake(self) -> None:
        """Sees to it that the fleet's next moment is not missed."""
        if self._retiring:
            self._forget_retired()
        now = self._steady()
        self._wake_by(now, self._fleet.wake_at(now))

    def _wake_by(self, now: float, due: float) -> None:
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._timer = None
        if due < float("inf"):
            self._due = due
            self._timer = asyncio.get_running_loop().call_later(max(0.001, due - now), self._tick)

    def _tick(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._do(self._fleet.tick(self._steady(), pressure=self._pressure()))

    async def close(self) -> None:
        """Everything ends, extensions hear of it."""
        if self._timer is not None:
            self._timer.cancel()
        environments = list(self._environments.values())
        self._environments.clear()
        ends = [self._tasks.spawn(self._end(e, "spindown"), "end an environment") for e in environments]
        if self._managed is not None:
            ends += self._managed.ends()
        if ends:
            await asyncio.wait(ends, timeout=_END_PATIENCE)
        if self._managed is not None:
            await self._managed.close()
        await self._tasks.close()
        if self._timer is not None:
            self._timer.cancel()
        self._parts.spool.close()


def _words(error: Exception) -> tuple[str, float]:
    """The reason, and after how long it may be gone; -1: never."""
    return (str(error), error.after if isinstance(error, Temporary) else -1.0)
