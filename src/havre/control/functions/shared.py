"""An environment that works on several invocations at once (functions on capacity providers).

What differs from one that works on one: each of the runtime's workers asks for work on a connection of its own, be it when
it is done with what it had (Python's), be it at once (Node.js's). An invocation whose time is up has failed, but its worker
goes on, and so do the others; a worker that is seen to go fails its invocations alone. Nothing is frozen. Extensions hear
of the end only.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Protocol, cast

from havre.control.functions.api import OK, USUAL_CONNECTIONS, Exchange
from havre.control.functions.environment import WRONG_ID, Environment
from havre.control.functions.extensions import Extensions, refuse
from havre.control.functions.parts import Owner, Parts
from havre.control.functions.run import Run
from havre.control.functions.ticket import Ticket
from havre.core.environments import failures
from havre.core.environments import report as words
from havre.core.environments.crowd import Shared
from havre.core.environments.failures import Failure
from havre.core.environments.report import Report
from havre.engines.sandbox import RUNTIME
from havre.kernel.function import Function

KIND = "lambda-managed-instances"
_GRACE = 1.0
"""Seconds in which an answer may come although the connection is gone on which the invocation was given."""
_WRITERS = 8
"""Outputs for each invocation at once: workers have two."""
_LATE = 1000
"""Invocations whose time was up that are remembered, so that their answers can be told from wrong ones."""


class SharedOwner(Owner, Protocol):
    """Who has all such environments of the node."""

    def offered(self, environment: SharedEnvironment) -> None:
        """A worker of it asks for work."""
        ...

    def withdrawn(self, environment: SharedEnvironment, waited: bool) -> None:
        """A worker has gone: one that ``waited``, or one whose invocation has ended."""
        ...

    def done(self, environment: SharedEnvironment) -> None:
        """One of its invocations has ended."""
        ...


class SharedRun(Run):
    """``exchange`` is the connection on which it was given; ``timer`` ends its time."""

    __slots__ = ("exchange", "timer")

    def __init__(self, ticket: Ticket, function: Function, began: float, exchange: Exchange) -> None:
        super().__init__(ticket, function, began)
        self.exchange = exchange
        self.timer: asyncio.TimerHandle | None = None

    def _record(self, report: Report) -> dict[str, Any]:
        return words.shared_record(report)


class SharedEnvironment(Environment):
    def __init__(self, parts: Parts, owner: SharedOwner, member: Shared, function: Function) -> None:
        super().__init__(parts, owner, member, function, KIND)
        self._shared_owner = owner
        self._offered: deque[Exchange] = deque()
        self._runs: dict[str, SharedRun] = {}
        self._late: OrderedDict[str, None] = OrderedDict()
        self._faithful: bool | None = None
        """Whether workers answer on the connection on which they were given their invocation (Python's do): only then does
        the end of that connection tell of the worker's."""
        self.extensions = self._no_invoke()
        self.writers = itertools.count(1)
        self.writing = 0
        self._lines: asyncio.Server | None = None
        self.connections = USUAL_CONNECTIONS + 2 * function.concurrency

    def _no_invoke(self) -> Extensions:
        made = Extensions(self.function, self.parts.world.uuid, self._extension_changed, self._extension_failed)
        made.hear_invocations = False
        return made

    @property
    def shared(self) -> Shared:
        return cast(Shared, self.member)

    # --- an invocation
    def begin(self, ticket: Ticket) -> None:
        """In a slot that is free."""
        exchange = self._offered.popleft()
        began, timeout = self.parts.steady(), self.function.timeout
        run = self._runs[ticket.asked.request_id] = SharedRun(ticket, self.function, began, exchange)
        run.timer = asyncio.get_running_loop().call_later(timeout, self._too_late, run)
        run.announce(self.log, self.parts.world.now())
        deadline = int((self.parts.world.now() + timeout) * 1000)
        exchange.answer(200, ticket.asked.payload, run.head(deadline))

    def _too_late(self, run: SharedRun) -> None:
        """It has failed; its worker goes on and asks for more when it is done."""
        if self._runs.get(run.id) is not run:
            return
        self._late[run.id] = None
        if len(self._late) > _LATE:
            self._late.popitem(last=False)
        timeout = self.function.timeout
        run.fail(timeout * 1000, 0, failures.timed_out(run.id, timeout), "timeout")
        self._close(run)

    def _close(self, run: SharedRun) -> None:
        """It was answered, or has failed."""
        self._runs.pop(run.id, None)
        if run.timer is not None:
            run.timer.cancel()
        run.close(self.log, 0)
        if not self.ending:
            self._shared_owner.done(self)

    def _lost(self, exchange: Exchange) -> None:
        """The connection of a worker is gone: a worker that waited has gone with it."""
        waited = exchange in self._offered
        if waited:
            self._offered.remove(exchange)
        elif not self._faithful:
            return
        runs = [run for run in self._runs.values() if run.exchange is exchange]
        for run in runs:
            asyncio.get_running_loop().call_later(_GRACE, self._worker_gone, run)
        if waited or not runs:
            self._shared_owner.withdrawn(self, waited)

    def _worker_gone(self, run: SharedRun) -> None:
        if self._runs.get(run.id) is run and not self.ending:
            run.fail(self._took(run), 0, failures.failure(failures.EXIT, f"RequestId: {run.id} Error: {_GONE}"))
            self._close(run)
            self._shared_owner.withdrawn(self, False)

    # --- the runtime, over HTTP
    def next(self, exchange: Exchange) -> None:
        exchange.on_lost = self._lost
        self._offered.append(exchange)
        self._shared_owner.offered(self)
        if self.ready is not None:
            self._waiting = exchange
            self._check_ready()

    def _answering(self, exchange: Exchange, request_id: str) -> SharedRun | None:
        run = self._runs.get(request_id)
        if run is not None:
            self._faithful = self._faithful is not False and run.exchange is exchange
        elif request_id in self._late:
            del self._late[request_id]
            exchange.answer(202, OK)
        else:
            exchange.answer(400, WRONG_ID)
        return run

    def _run_of(self, ticket: Ticket) -> SharedRun | None:
        run = self._runs.get(ticket.asked.request_id)
        return run if run is not None and run.ticket is ticket else None

    def _answered(self, run: Run) -> None:
        self._close(cast(SharedRun, run))

    def subscribe(self, exchange: Exchange, version: str) -> None:
        if version == "2020-08-15":
            refuse(exchange, "Logs.NotSupported", "The Logs API is not supported on capacity providers", 404)
            return
        super().subscribe(exchange, version)

    # --- what workers write, each by itself: pieces of lines of several processes would get mixed up in one pipe
    async def open_lines(self) -> str:
        """Python's workers are processes. Those of Node.js write whole lines, and would fail where a socket is full."""
        if self.sandbox is None or not self.function.runtime.startswith("python"):
            return ""
        path, descriptor = self.parts.engine.lines(self.sandbox.id)
        listener = socket.socket(fileno=descriptor)
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        self._lines = await loop.create_unix_server(lambda: _Lines(self), sock=listener)
        return path

    def close_lines(self) -> None:
        """What is connected ends with its worker."""
        if self._lines is not None:
            self._lines.close()
            self._lines = None

    # --- how it ends
    def fail(self, failure: Failure, status: str = "error") -> None:
        self._break(lambda id: failure)

    def _break(self, of: Callable[[str], Failure]) -> None:
        if self.ready is not None:
            self.break_init(of(""))
            return
        self.ending = True
        for run in tuple(self._runs.values()):
            run.fail(self._took(run), 0, of(run.id))
            self._close(run)
        self._shared_owner.broken(self, "failure")

    def disarm(self) -> None:
        for run in self._runs.values():
            if run.timer is not None:
                run.timer.cancel()

    def _check_settled(self) -> None:
        """Nothing waits for the runtime: an answer is the end of an invocation."""


class _Lines(asyncio.Protocol):
    """What one worker writes to one of its outputs. Of each the beginning of a line is kept until its end comes: a function
    may not have as many as it likes."""

    def __init__(self, environment: SharedEnvironment) -> None:
        self._environment = environment
        self._log = environment.log
        self._name = f"{RUNTIME} {next(environment.writers)}"

    def connection_made(self, transport: Any) -> None:
        self._environment.writing += 1
        if self._environment.writing > _WRITERS * self._environment.function.concurrency:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self._log.output(self._name, data, extension=False)

    def connection_lost(self, error: Exception | None) -> None:
        self._environment.writing -= 1
        self._log.ended(self._name, extension=False)


_GONE = "Runtime worker exited without providing a reason"
