"""SnapStart: from the snapshot that an environment waits in to its first invocation. One whose hooks fail, or take longer
than ``LIMIT``, serves nobody; its invocation was not begun."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from havre.control.functions.api import OK, Exchange
from havre.control.functions.extensions import refuse
from havre.control.functions.run import Run
from havre.control.functions.ticket import Ticket
from havre.core.environments import failures
from havre.core.environments import report as words
from havre.core.environments.failures import Failure
from havre.kernel.function import Outcome

if TYPE_CHECKING:
    from havre.control.functions.environment import Environment

NOTHING_TO_RESTORE = ("InvalidStateTransition", "There is nothing to restore", 403)
LIMIT = 10.0
"""Seconds that restoring may take, whatever the function's timeout is."""


class Restoring:
    """Of one environment. ``under_way``: its hooks run, for the invocation that ``environment.run`` is."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._waiting: Exchange | None = None
        self._began = 0.0
        self.under_way = False

    @property
    def parked(self) -> bool:
        return self._waiting is not None

    def park(self, exchange: Exchange) -> None:
        """The runtime is initialised, and asks to be restored."""
        self._waiting = exchange

    def reset(self) -> None:
        self._waiting = None

    def begin(self, ticket: Ticket) -> bool:
        """False where there is nothing to be restored."""
        environment, exchange = self._environment, self._waiting
        if exchange is None:
            return False
        self._waiting, self.under_way = None, True
        self._began = environment.parts.steady()
        if ticket.asked.tail:
            environment.log.begin_tail()
        sandbox = environment.sandbox
        environment.log.restore_start(environment.function, sandbox.runtime if sandbox is not None else "")
        environment.run = Run(ticket, environment.function, self._began)
        environment.end_by(self._began + LIMIT)
        exchange.answer(200)
        return True

    def done(self) -> float:
        """How long it took, in milliseconds."""
        took = self._took()
        self._report(took, "success", "")
        return took

    def fail(self, failure: Failure, status: str) -> None:
        """``status``: error or timeout. Who waits hears of it."""
        environment, took = self._environment, self._took()
        run, environment.run = environment.run, None
        assert run is not None, "an invocation is what it is restored for"
        asked, log = run.ticket.asked, environment.log
        if status == "error":
            run.tell_failure(log, failure, status, environment.parts.world.now())
        self._report(took, status, failure.type if status == "error" else "")
        told = failures.not_restored(failure, status)
        tail = log.end_tail() if asked.tail else b""
        used, billed = environment.memory(), words.billed(took, 0.0)
        run.ticket.finish(Outcome(told.payload, told.kind, "application/json", tail, 0.0, billed, None, used))

    def error(self, exchange: Exchange) -> None:
        """A hook has failed, says the runtime."""
        if not self.under_way:
            refuse(exchange, *NOTHING_TO_RESTORE)
            return
        kind = exchange.header(b"lambda-runtime-function-error-type")
        failure = failures.reported(exchange.body, kind)
        exchange.answer(202, OK)
        asyncio.get_running_loop().call_soon(self._broken, failure)  # what was written before is read in this turn

    def _broken(self, failure: Failure) -> None:
        if self.under_way:
            self._environment.fail(failure)

    def _took(self) -> float:
        self.under_way = False
        return (self._environment.parts.steady() - self._began) * 1000

    def _report(self, took: float, status: str, kind: str) -> None:
        log = self._environment.log
        record: dict[str, Any] = {"status": status, **({"errorType": kind} if kind else {})}
        log.platform("platform.restoreRuntimeDone", record)
        text = words.restore_report_text(took, status, kind)
        log.platform("platform.restoreReport", {**record, "metrics": {"durationMs": round(took, 3)}}, text)
