"""Who hears of an execution besides its caller: EventBridge of every change of its status, and of one that was begun
asynchronously and did not succeed the function's dead-letter queue.

Durable functions have no destinations in AWS: these are what there is in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from havre.core.durable.model import SUCCEEDED, Execution
from havre.core.invoking.records import moment
from havre.core.invoking.retries import Tried
from havre.kernel.errors import ApiError
from havre.services.lambda_.durable.shelf import Data
from havre.services.lambda_.invoking.events import Event, Letter, Where
from havre.services.lambda_.invoking.invoker import Invoker
from havre.services.lambda_.invoking.queue import Events
from havre.services.lambda_.invoking.taken import DEAD_LETTER, STATUS
from havre.services.lambda_.queries import function_arn
from havre.store.ports import Put

Notice = tuple[Put, Callable[[], None]]
"""The record to be written together with the execution, and what to call when that is done."""


class Notices:
    def __init__(self, invoker: Invoker, events: Events) -> None:
        self._invoker = invoker
        self._events = events

    def __call__(self, execution: Execution, data: Data) -> Sequence[Notice]:
        """Of an execution that has just begun, or ended."""
        told = [self._status(execution, data)]
        if not execution.alive and not execution.synchronous and execution.status != SUCCEEDED:
            told += self._dead_letter(execution, data)
        return told

    def _status(self, execution: Execution, data: Data) -> Notice:
        e = execution
        detail = {
            "durableExecutionArn": e.arn,
            "durableExecutionName": e.name,
            "functionArn": function_arn(e.account, e.region, e.function, e.version),
            "status": e.status,
            "startTimestamp": moment(e.started),
        }
        if e.ended is not None:
            detail["endTimestamp"] = moment(e.ended)
        letter = Letter(msgspec.json.encode(detail), None, e.version, "", 200, ((STATUS, "EventBridge"),), "")
        return self._events.letter(Where(e.account, e.region, e.function), _event(e, data, ""), letter)

    def _dead_letter(self, execution: Execution, data: Data) -> Sequence[Notice]:
        e = execution
        try:
            target = self._invoker.find(e.account, e.region, e.function, e.version)
        except ApiError:
            return ()
        to = target.dead_letter(e.version)
        if not to:
            return ()
        fault = data.fault
        told = {"errorMessage": fault.message if fault else None, "errorType": fault.kind if fault else e.status}
        response = msgspec.json.encode({**told, "errorMessage": told["errorMessage"] or e.status})
        role = target.role(e.version)
        letter = Letter(data.payload.encode(), response, e.version, "Unhandled", 200, ((DEAD_LETTER, to),), role)
        event = _event(e, data, target.resolved.function.spec.uid)
        return (self._events.letter(Where.target(target), event, letter),)


def _event(e: Execution, data: Data, uid: str) -> Event:
    return Event(
        e.uid, e.version, e.arn_named, uid, Tried(e.started, 1), e.trace, e.tenant, len(data.payload), e.status
    )
