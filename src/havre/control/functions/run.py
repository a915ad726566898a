"""One invocation as an environment works on it: what the runtime gets, the answer, and what the log says of it."""

from __future__ import annotations

from typing import Any

import msgspec

from havre.control.functions.lines import EventLog, iso
from havre.control.functions.ticket import Ticket
from havre.core.environments import failures
from havre.core.environments import report as words
from havre.core.environments.failures import Failure
from havre.core.environments.report import Report
from havre.kernel.function import Function, Outcome


class Run:
    """Times are a steady clock's, in seconds; ``init`` and ``restored`` milliseconds before it that it has to tell of."""

    __slots__ = (
        "_duration",
        "_failure",
        "_outcome",
        "_status",
        "_told_done",
        "answered",
        "began",
        "function",
        "init",
        "restored",
        "ticket",
    )

    def __init__(self, ticket: Ticket, function: Function, began: float) -> None:
        self.ticket = ticket
        self.function = function
        self.began = began
        self.init: float | None = None
        self.restored: float | None = None
        self.answered = False
        self._failure: Failure | None = None
        self._status = "success"
        self._duration = 0.0
        self._told_done = False
        self._outcome: Outcome | None = None

    @property
    def id(self) -> str:
        return self.ticket.asked.request_id

    def announce(self, log: EventLog, at: float) -> None:
        """START, as of ``at`` (seconds since the epoch): the function may have written since."""
        asked = self.ticket.asked
        text = words.start_text(asked.request_id, self.function.version)
        if log.plain:
            log.line(text, at)
        else:
            about = {"requestId": asked.request_id, "version": self.function.version}
            record = {**about, **words.tracing(asked.trace), **words.tenancy(asked.tenant)}
            log.platform("platform.start", record, text)

    def head(self, deadline: int) -> bytes:
        """The headers with which the runtime gets it; ``deadline`` in milliseconds since the epoch."""
        asked = self.ticket.asked
        head = (
            f"Lambda-Runtime-Aws-Request-Id: {asked.request_id}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {deadline}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {asked.arn}\r\n"
        )
        if asked.trace:
            head += f"Lambda-Runtime-Trace-Id: {asked.trace}\r\n"
        if asked.client_context:
            head += f"Lambda-Runtime-Client-Context: {asked.client_context}\r\n"
        if asked.identity:
            head += f"Lambda-Runtime-Cognito-Identity: {asked.identity}\r\n"
        if asked.tenant:
            head += f"Lambda-Runtime-Aws-Tenant-Id: {asked.tenant}\r\n"
        return head.encode()

    def event(self, deadline: int) -> dict[str, Any]:
        """For extensions."""
        asked = self.ticket.asked
        return {
            "eventType": "INVOKE",
            "deadlineMs": deadline,
            "requestId": asked.request_id,
            "invokedFunctionArn": asked.arn,
            **words.tracing(asked.trace),
        }

    def answer(self, duration: float, used: int, payload: bytes, kind: str) -> None:
        """``duration`` in milliseconds, ``used`` in MiB, as far as it is known. The answer goes to the caller, unless it is
        to have the log's last lines with it."""
        self._end(duration, used, Outcome(payload, "", kind or "application/json"))

    def fail(self, duration: float, used: int, failure: Failure, status: str = "error") -> None:
        """``status`` as the platform sees it: success where the runtime has told of the function's error and goes on."""
        self._failure, self._status = failure, status
        self._end(duration, used, Outcome(failure.payload, failure.kind))

    def spoilt(self, failure: Failure, status: str) -> None:
        """It may have answered, but has not come to a good end."""
        self._failure, self._status = failure, status

    def _end(self, duration: float, used: int, outcome: Outcome) -> None:
        self.answered, self._duration = True, duration
        billed = words.billed(duration, (self.init or 0.0) + (self.restored or 0.0))
        outcome = Outcome(outcome.payload, outcome.error, outcome.content_type, b"", duration, billed, self.init, used)
        if self.ticket.asked.tail:
            self._outcome = outcome
        else:
            self.ticket.finish(outcome)

    def tell_failure(self, log: EventLog, failure: Failure, status: str, now: float) -> None:
        """The line of a text log that goes before END; the runtime has written its own errors itself."""
        if log.json:
            return
        if status == "timeout":
            log.line(words.timeout_text(iso(now), self.id, failures.timeout_words(self.function.timeout)))
        elif failure.kind != failures.UNHANDLED:
            log.line(words.broken_text(failures.message(failure), failure.type))

    def tell_done(self, log: EventLog) -> None:
        """The runtime is done; extensions may wait for that before they are."""
        if self._told_done or log.plain:
            return
        self._told_done = True
        done: dict[str, Any] = {
            "requestId": self.id,
            "status": self._status,
            "metrics": {"durationMs": round(self._duration, 3)},
            **words.tracing(self.ticket.asked.trace),
            **words.tenancy(self.ticket.asked.tenant),
        }
        if self._failure is not None and self._status != "success":
            done["errorType"] = self._failure.type
        log.platform("platform.runtimeDone", done)

    def extended(self, took: float) -> None:
        """Extensions are done as well; ``took`` milliseconds since it began."""
        self.ticket.extended(self.function.id, max(0.0, took - self._duration))

    def close(self, log: EventLog, used: int) -> None:
        """END and REPORT; what waited for them goes out."""
        report = self._report(used)
        end, text = words.end_text(report.request_id), words.report_text(report)
        if log.plain:
            log.line(end)
            log.line(text)
        else:
            self.tell_done(log)
            log.platform("platform.end", {"requestId": report.request_id}, end)
            log.platform("platform.report", self._record(report), text)
        if self._outcome is not None:
            self.ticket.finish(msgspec.structs.replace(self._outcome, log_tail=log.end_tail(), memory=used))

    def _record(self, report: Report) -> dict[str, Any]:
        return words.report_record(report) | words.tenancy(self.ticket.asked.tenant)

    def _report(self, used: int) -> Report:
        trace = self.ticket.asked.trace
        named = self._failure is not None and self._status == "error"
        return Report(
            self.id,
            self._duration,
            self.function.memory,
            used,
            self.init,
            self.restored,
            self._status,
            self._failure.type if named and self._failure else "",
            trace if "Sampled=1" in trace else "",
        )
