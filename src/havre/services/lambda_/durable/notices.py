"""Dead letters of durable executions that were begun asynchronously and did not succeed."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from havre.core.durable.model import SUCCEEDED, Execution
from havre.core.invoking.retries import Tried
from havre.kernel.errors import ApiError
from havre.services.lambda_.durable.shelf import Data
from havre.services.lambda_.invoking.events import Event, Letter, Where
from havre.services.lambda_.invoking.invoker import Invoker
from havre.services.lambda_.invoking.queue import DEAD_LETTER, Events
from havre.store.ports import Put


class Burials:
    """Gives the record to be written together with the execution's end, and what to call when that is done; None where there
    is nobody to be told."""

    def __init__(self, invoker: Invoker, events: Events) -> None:
        self._invoker = invoker
        self._events = events

    def __call__(self, execution: Execution, data: Data) -> tuple[Put, Callable[[], None]] | None:
        if execution.synchronous or execution.status == SUCCEEDED:
            return None
        e = execution
        try:
            target = self._invoker.find(e.account, e.region, e.function, e.version)
        except ApiError:
            return None
        to = target.dead_letter(e.version)
        if not to:
            return None
        fault = data.fault
        told = {"errorMessage": fault.message if fault else None, "errorType": fault.kind if fault else e.status}
        uid, tried = target.resolved.function.spec.uid, Tried(e.started, 1)
        event = Event(e.uid, e.version, e.arn_named, uid, tried, e.trace, e.tenant, len(data.payload), e.status)
        response = msgspec.json.encode({**told, "errorMessage": told["errorMessage"] or e.status})
        role = target.role(e.version)
        letter = Letter(data.payload.encode(), response, e.version, "Unhandled", 200, ((DEAD_LETTER, to),), role)
        return self._events.letter(Where.target(target), event, letter)
