"""One execution environment: its sandbox, what its processes ask over the Runtime API, and the invocation that it works on.

Nothing waits here; beginning and ending, which do, are in ``life.py``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from havre.control.functions import container_credentials
from havre.control.functions.alarm import Deadline
from havre.control.functions.api import OK, USUAL_CONNECTIONS, ApiServer, Exchange, Sink
from havre.control.functions.extensions import Extensions, extension_record, extension_text, refuse
from havre.control.functions.lines import EventLog, stream_of
from havre.control.functions.parts import InitFailed, Owner, Parts
from havre.control.functions.restoring import NOTHING_TO_RESTORE, Restoring
from havre.control.functions.run import Run
from havre.control.functions.streams import StreamSink
from havre.control.functions.telemetry import Telemetry
from havre.control.functions.ticket import Ticket
from havre.core.environments import Member, failures
from havre.core.environments.failures import Failure
from havre.core.environments.variables import log_stream
from havre.engines.sandbox import RUNTIME, Sandbox
from havre.kernel.errors import Gone, Temporary
from havre.kernel.function import Function
from havre.kernel.workload import Interface

log = logging.getLogger("havre.functions")

WRONG_ID = b'{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}\n'
_MIB = 1 << 20


class Environment:
    def __init__(self, parts: Parts, owner: Owner, member: Member, function: Function, kind: str) -> None:
        self.parts, world = parts, parts.world
        self.owner = owner
        self.member = member
        self.function = function
        self.kind = kind
        self.stream_name = log_stream(function.version, _day(world.now()), world.hex(32))
        self.log = EventLog(function.logs, stream_of(function, self.stream_name), parts.spool, world)
        self.extensions = Extensions(function, world.uuid, self._extension_changed, self._extension_failed)
        self.telemetry = Telemetry(self.log)
        self.variables = function.environment
        """The function's own, as its processes get them."""
        self.connections = USUAL_CONNECTIONS
        self.sandbox: Sandbox | None = None
        self.api: ApiServer | None = None
        self.interface: Interface | None = None
        self.ready: asyncio.Future[None] | None = None
        self.exits: dict[str, asyncio.Future[None]] = {}
        self._registered: asyncio.Future[None] | None = None
        self.ending = False
        self.cold = False
        """It has a sandbox in which nothing runs: its init phase is part of the next invocation."""
        self.run: Run | None = None
        self.init: float | None = None
        """Milliseconds of the init phase, until an invocation has told of it."""
        self.restored: float | None = None
        self.restoring = Restoring(self)
        self.token = ""  # its processes ask for credentials by it, "" where they were given some
        self._waiting: Exchange | None = None
        self._used = 0
        """MiB, when it was last looked."""
        self._deadline = Deadline(parts.steady, self._time_out)

    # --- an invocation
    def begin(self, ticket: Ticket) -> None:
        """Of an environment that is initialised and idle."""
        if not self.take(ticket):
            return
        run = self.run
        assert run is not None
        now = self.parts.world.now()
        if self.log.plain:  # what the function writes is read later: START is before it, and nobody waits for that
            self.deliver(now)
            run.announce(self.log, now)
        else:
            run.announce(self.log, now)
            self.deliver(now)

    def announce(self) -> None:
        """START, of an invocation whose init phase went before it."""
        if self.run is not None:
            self.run.announce(self.log, self.parts.world.now())

    def take(self, ticket: Ticket) -> bool:
        """The clock runs; it is announced and delivered after that. False when it cannot be: the ticket is refused, the
        environment broken."""
        if not self._wake(ticket):
            return False
        began = self.parts.steady()
        run = self.run = Run(ticket, self.function, began)
        run.init, self.init = self.init, None
        run.restored, self.restored = self.restored, None
        if ticket.asked.tail:
            self.log.begin_tail()
        self._deadline.set(began + self.function.timeout)
        return True

    def deliver(self, now: float) -> None:
        """The invocation to the runtime, and to the extensions that want to know of it. ``now``: since the epoch."""
        exchange, self._waiting = self._waiting, None
        run = self.run
        if run is None or exchange is None:
            return
        left = self._deadline.at - self.parts.steady()
        deadline = int((now + left) * 1000)
        exchange.answer(200, run.ticket.asked.payload, run.head(deadline))
        if self.extensions:
            self.extensions.announce(run.event(deadline))

    def _time_out(self) -> None:
        run = self.run
        if run is None or self.ending:
            return
        failure = failures.timed_out(run.id, self.function.timeout)
        if self.ready is not None:
            self.break_init(failure, "timeout")
        else:
            self.fail(failure, "timeout")

    def fail(self, failure: Failure, status: str = "error") -> None:
        """The invocation that is under way ends with this, and the environment with it."""
        if self.restoring.under_way:
            self.restoring.fail(failure, status)
        run, self.run = self.run, None
        if run is not None:
            self._used = self.memory()
            if not run.answered:
                took = self.function.timeout if status == "timeout" else self.parts.steady() - run.began
                run.fail(took * 1000, self._used, failure, status)
            run.spoilt(failure, status)
            run.tell_failure(self.log, failure, status, self.parts.world.now())
            run.close(self.log, self._used)
        self.owner.failed(self, "timeout" if status == "timeout" else "failure")

    def _took(self, run: Run) -> float:
        """Milliseconds, so far."""
        return (self.parts.steady() - run.began) * 1000

    def memory(self) -> int:
        """MiB, highest so far."""
        return 0 if self.sandbox is None else -(-self.parts.engine.memory_peak(self.sandbox.id) // _MIB)

    def _wake(self, ticket: Ticket) -> bool:
        if not self.member.frozen or self.thaw():
            return True
        ticket.refuse("the environment does not wake up", 0.0)
        self.owner.broken(self, "failure")
        return False

    def thaw(self) -> bool:
        """Whether it runs."""
        self.member.frozen = False
        try:
            if self.sandbox is not None:
                self.parts.engine.thaw(self.sandbox.id)
        except (Temporary, Gone) as error:
            log.warning("an environment of %s does not wake up: %s", self.function.arn, error)
            return False
        return True

    def freeze(self) -> None:
        try:
            if self.sandbox is not None and not self.parts.doors.in_use(self.sandbox):
                self.parts.engine.freeze(self.sandbox.id)
        except (Temporary, Gone) as error:  # it runs on, idle
            log.warning("an environment of %s cannot be frozen: %s", self.function.arn, error)

    # --- SnapStart
    def restore(self, ticket: Ticket) -> None:
        """A parked one goes on, with this invocation."""
        if self._wake(ticket) and not self.restoring.begin(ticket):
            self.begin(ticket)

    def end_by(self, at: float) -> None:
        """What it does is over by then."""
        self._deadline.set(at)

    # --- the runtime, over HTTP
    def next(self, exchange: Exchange) -> None:
        run = self.run
        if run is not None and self.ready is None and not run.answered and not self.restoring.under_way:
            refuse(
                exchange,
                "InvalidStateTransition",
                "State transition from Running to Ready failed for runtime. Error: State transition is not allowed",
            )
            return
        self._waiting = exchange
        if self.ready is not None:
            self._check_ready()
        elif run is not None and self.restoring.under_way:
            self.restored = self.restoring.done()
            self.begin(run.ticket)
        else:  # what the function has written before is read in this turn of the loop
            asyncio.get_running_loop().call_soon(self._check_settled)

    def response(self, exchange: Exchange, request_id: str) -> None:
        run = self._answering(exchange, request_id)
        if run is None:
            return
        if exchange.too_large:
            run.fail(self._took(run), self._used, failures.too_large())
            words = f"Exceeded maximum allowed payload size ({failures.MAX_RESPONSE} bytes)."
            refuse(exchange, "RequestEntityTooLarge", words, 413)
        else:
            run.answer(self._took(run), self._used, exchange.body, exchange.header(b"content-type"))
            exchange.answer(202, OK)
        self._answered(run)

    def stream(self, exchange: Exchange, request_id: str) -> Sink | None:
        run = self._answering(exchange, request_id)
        if run is None:
            return None
        if exchange.header(b"lambda-runtime-function-response-mode").lower() != "streaming":
            refuse(exchange, "InvalidFunctionResponseMode", "Invalid function response mode", 400)
            return None
        return StreamSink(run.ticket, exchange, self._streamed)

    def _streamed(self, ticket: Ticket, payload: bytes, kind: str, failure: Failure | None) -> None:
        run = self._run_of(ticket)
        if run is None or run.answered:
            return
        if failure is None:
            run.answer(self._took(run), self._used, payload, kind)
        else:
            run.fail(self._took(run), self._used, failure)
        self._answered(run)

    def error(self, exchange: Exchange, request_id: str) -> None:
        run = self._answering(exchange, request_id)
        if run is None:
            return
        kind = exchange.header(b"lambda-runtime-function-error-type")
        run.fail(self._took(run), self._used, failures.reported(exchange.body, kind), "success")
        exchange.answer(202, OK)
        self._answered(run)

    def _run_of(self, ticket: Ticket) -> Run | None:
        """The invocation, while it is under way."""
        return self.run if self.run is not None and self.run.ticket is ticket else None

    def _answered(self, run: Run) -> None:
        self.owner.answered(self)

    def _answering(self, exchange: Exchange, request_id: str) -> Run | None:
        """The invocation that this is the answer to; None: it was answered with an error."""
        run = self.run
        if run is None or run.answered or run.id != request_id:
            exchange.answer(400, WRONG_ID)
            return None
        return run

    def init_error(self, exchange: Exchange) -> None:
        failure = failures.reported(exchange.body, exchange.header(b"lambda-runtime-function-error-type"))
        exchange.answer(202, OK)
        self.break_init(failure)

    def restore_next(self, exchange: Exchange) -> None:
        if self.kind != "snap-start" or self.ready is None:
            refuse(exchange, *NOTHING_TO_RESTORE)
            return
        self.restoring.park(exchange)
        self._check_ready()

    def restore_error(self, exchange: Exchange) -> None:
        self.restoring.error(exchange)

    def credentials(self, exchange: Exchange) -> None:
        if container_credentials.authorized(self.token, exchange.header(b"authorization")):
            self.owner.lend(self, exchange)
        else:
            container_credentials.refuse(exchange)

    # --- extensions, over HTTP
    def register(self, exchange: Exchange) -> None:
        self.extensions.register(exchange)

    def event_next(self, exchange: Exchange) -> None:
        self.extensions.event_next(exchange)

    def extension_error(self, exchange: Exchange, phase: str) -> None:
        self.extensions.error(exchange, phase)

    def subscribe(self, exchange: Exchange, version: str) -> None:
        extension = self.extensions.by_identifier(exchange)
        if extension is not None and self.sandbox is not None:
            dial = partial(self.parts.dial, self.sandbox)
            self.telemetry.subscribe(exchange, version, extension.name, dial)

    async def until_registered(self) -> None:
        """Returns when all external extensions have registered. Raises InitFailed."""
        assert self.ready is not None
        if self.extensions.all_registered():
            return
        self._registered = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._registered, self.ready], return_when=asyncio.FIRST_COMPLETED)
        if self.ready.done():
            self.ready.result()

    def _extension_changed(self) -> None:
        waiter = self._registered
        if waiter is not None and not waiter.done() and self.extensions.all_registered():
            waiter.set_result(None)
        self._check_ready()
        self._check_settled()

    def _extension_failed(self, name: str, kind: str) -> None:
        self._break(lambda id: failures.failure(kind, f"RequestId: {id} Error: extension {name} has failed"))

    # --- how it goes on
    def _check_ready(self) -> None:
        at_end = self._waiting is not None or self.restoring.parked
        if self.ready is not None and not self.ready.done() and at_end and self.extensions.idle():
            self.extensions.closed = True
            self.tell_extensions()
            self.ready.set_result(None)

    def tell_extensions(self) -> None:
        """How far they have come, at the end of the init phase."""
        for extension in self.extensions.all:
            self.log.platform("platform.extension", extension_record(extension), extension_text(extension))

    def _check_settled(self) -> None:
        if self.ready is not None or self._waiting is None or self.ending:
            return
        run = self.run
        if run is None or not run.answered:
            return
        if self.extensions:
            run.tell_done(self.log)
            if not self.extensions.idle():
                return
            run.extended(self._took(run))
        self.run = None
        self._used = self.memory()
        run.close(self.log, self._used)
        self.owner.settled(self)

    def break_init(self, failure: Failure, status: str = "error") -> None:
        if self.ready is not None and not self.ready.done():
            self.ready.set_exception(InitFailed(failure, status))

    def _break(self, of: Callable[[str], Failure]) -> None:
        """The init phase, or whatever is under way, which fails with what ``of`` makes of its id."""
        id = self.run.id if self.run is not None else ""
        if self.ready is not None:
            self.break_init(of(id))
        elif not self.ending:
            self.fail(of(id))

    async def open_lines(self) -> str:
        """A path at which what processes write is taken besides their standard output, "" for none."""
        return ""

    def close_lines(self) -> None: ...

    def output(self, process: str, data: bytes) -> None:
        self.log.output(process, data, extension=process != RUNTIME)

    def exited(self, process: str, code: int, out_of_memory: bool) -> None:
        self.log.ended(process, extension=process != RUNTIME)
        if (waiter := self.exits.get(process)) is not None and not waiter.done():
            waiter.set_result(None)
        if self.ending:
            return
        if process == RUNTIME:
            self._break(lambda id: failures.exited(id, code, out_of_memory))
        else:
            self.extensions.ended(process)
            self._break(lambda id: failures.extension_crashed(id, code))

    def disarm(self) -> None:
        self._deadline.off()

    def reset(self) -> None:
        """Before others run in its sandbox."""
        new_id = self.parts.world.uuid
        self.extensions = Extensions(self.function, new_id, self._extension_changed, self._extension_failed)
        self.telemetry.close()
        self.telemetry = Telemetry(self.log)
        self.exits = {}
        self.restoring.reset()
        self._waiting = None


def _day(at: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y/%m/%d")
