"""All functions of one node: what the server asks goes to environments, and what is decided about these is done.

Decisions are ``core.environments.Fleet``'s. Nothing on the way of a warm invocation waits or makes a task.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from havre.control.functions import messages as m
from havre.control.functions.environments import Environments, Memory, Plenty, words
from havre.control.functions.parts import Parts
from havre.control.functions.ticket import Ticket
from havre.control.functions.wire import Frames
from havre.control.tasks import Tasks
from havre.core.environments import Rules, pools
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.function import Function

if TYPE_CHECKING:
    from havre.control.functions.managed import Managed


class Plane:
    """``stamp`` is the state of a function's files where they are a directory; ``memory`` the machine's."""

    def __init__(
        self,
        parts: Parts,
        rules: Rules,
        *,
        stamp: Callable[[Function], str],
        memory: Memory | None = None,
    ) -> None:
        self._parts = parts
        self._steady = parts.steady
        self._stamp = stamp
        self._functions: dict[str, Function] = {}
        self._stamps: dict[str, str] = {}
        self._retiring: set[str] = set()
        self._tickets: dict[int, Ticket] = {}
        self._frames: Frames | None = None
        self._tasks = Tasks()
        self._environments = Environments(parts, rules, self, memory or Plenty())
        self._by_member = self._environments.by_member
        self._fleet = self._environments.fleet
        self._readiness = self._environments.readiness
        self._managed: Managed | None = None

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
            self._retiring.discard(function.id)
        elif kind is m.Cancel:
            self._cancel(cast(m.Cancel, message).id)
        elif kind is m.Prepare:
            self._tasks.spawn(self._prepare(cast(m.Prepare, message)), "prepare a function")
        elif kind is m.Provision:
            self._provision(cast(m.Provision, message))
        elif kind is m.Retire:
            self.retire(cast(m.Retire, message).function)

    # --- invocations
    def _invoke(self, asked: m.Invoke) -> None:
        frames = self._frames
        assert frames is not None
        function = self._functions.get(asked.function)
        if function is None:
            frames.send(m.Unknown(asked.id, asked.function))
            return
        pool = function.id if function.code.kind != "directory" else self._fresh_pool(function)
        tenant = asked.invocation.tenant
        if tenant:
            pool = pools.name(pool, tenant=tenant)
        now = self._steady()
        ticket = Ticket(asked, frames, pool)
        if ticket.asked.streaming:
            self._keep(ticket)
        if function.concurrency:
            self._open_managed().invoke(function, ticket)
            return
        if not self._fleet.knows(pool):
            self._fleet.know(pool, function.memory, function.snap_start, passing=bool(tenant))
        if function.snap_start and not self._readiness.parks(function.id):
            self._readiness.keep_parked(function)
        member = self._fleet.take(pool, now)
        if member is not None:
            self._environments.give(self._by_member[member.id], ticket)
            return
        self._keep(ticket)
        self._environments.wait(ticket, now)

    def _open_managed(self) -> Managed:
        """Most nodes never have such functions: what runs them is loaded with the first."""
        if self._managed is None:
            from havre.control.functions.managed import Managed

            self._managed = Managed(
                self._parts, self._fleet, self._environments.do, self._environments.sandboxes, self.retire
            )
            if self._frames is not None:
                self._managed.connected(self._frames)
        return self._managed

    def _keep(self, ticket: Ticket) -> None:
        """It may be cancelled, or told of room, until it is done."""
        self._tickets[ticket.id] = ticket
        ticket.on_done = self._drop_ticket

    def _drop_ticket(self, ticket: Ticket) -> None:
        if self._tickets.get(ticket.id) is ticket:
            del self._tickets[ticket.id]

    def _cancel(self, id: int) -> None:
        """What waits for an environment is not begun; what runs, runs to its end, as in AWS."""
        ticket = self._tickets.pop(id, None)
        if ticket is not None:
            ticket.abandon()
            self._fleet.give_up(ticket.pool, ticket)

    def _fresh_pool(self, function: Function) -> str:
        """Of a function whose files somebody is working on: environments of another state of them are not used again."""
        before, stamp = self._stamps.get(function.id), self._stamp(function)
        if stamp != before:
            if before is not None:
                self._retire_within(pools.name(function.id, before))
            self._stamps[function.id] = stamp
            if count := self._readiness.wants(function.id):
                self._readiness.provision(function, pools.name(function.id, stamp), count)
        return pools.name(function.id, stamp)

    def function_of(self, pool: str) -> Function | None:
        return self._functions.get(pools.function_in(pool))

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
            frames.send(m.Refused(asked.id, *words(error)))
        else:
            frames.send(m.Prepared(asked.id))

    def _provision(self, asked: m.Provision) -> None:
        function = self._functions.get(asked.function)
        if function is not None and function.concurrency:
            self._open_managed().provision(function, asked.count)
        elif function is not None:
            pool = self._fresh_pool(function) if function.code.kind == "directory" else function.id
            self._readiness.provision(function, pool, asked.count)

    def retire(self, id: str) -> None:
        self._readiness.forget(id)
        if self._managed is not None:
            self._managed.retire(id)
        self._retiring.add(id)
        self._retire_within(id)

    def _retire_within(self, of: str) -> None:
        """All pools of a function, or of one state of its files."""
        for pool in self._fleet.within(of):
            self._environments.do(self._fleet.retire(pool))
        self.forget_retired()

    def forget_retired(self) -> None:
        """What has no environment any more."""
        if not self._retiring:
            return
        managed = self._managed
        over = [
            id
            for id in self._retiring
            if not self._fleet.within(id) and not (managed is not None and managed.knows(id))
        ]
        for id in over:
            self._retiring.discard(id)
            for known in (self._functions, self._stamps):
                known.pop(id, None)
        if over:
            self._tasks.spawn(self._parts.engine.forget(over), "forget functions")

    async def close(self) -> None:
        """Everything ends, extensions hear of it."""
        await self._environments.close(self._managed.ends() if self._managed is not None else ())
        if self._managed is not None:
            await self._managed.close()
        await self._tasks.close()
        self._parts.spool.close()
