"""What history tells of each change, in AWS's structures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.core.durable.model import (
    CALLBACK,
    CANCELLED,
    CHAINED,
    CONTEXT,
    FAILED,
    READY,
    STARTED,
    STEP,
    SUCCEEDED,
    TIMED_OUT,
    WAIT,
    Event,
    Fault,
    Op,
)

_NAMES = {CONTEXT: "Context", STEP: "Step", WAIT: "Wait", CALLBACK: "Callback", CHAINED: "ChainedInvoke"}
_ENDS = {SUCCEEDED: "Succeeded", FAILED: "Failed", TIMED_OUT: "TimedOut", CANCELLED: "Cancelled", "STOPPED": "Stopped"}


def fault_of(fault: Fault | None) -> dict[str, Any]:
    if fault is None:
        return {}
    shown = {
        "ErrorMessage": fault.message,
        "ErrorType": fault.kind,
        "ErrorData": fault.data,
        "StackTrace": None if fault.stack is None else list(fault.stack),
    }
    return {name: value for name, value in shown.items() if value is not None}


def of_operation(op: Op, number: int, at: float, delay: int | None = None) -> Event | None:
    """The event of the state that an operation has come to; ``delay``: seconds until a step's next attempt. None for states
    that are none of history's."""
    name = _NAMES.get(op.kind)
    if name is None or op.status == READY:
        return None
    if op.status == STARTED:
        return _event(op, number, at, f"{name}Started", _started(op))
    if delay is not None:
        ended = "Failed" if op.fault is not None else "Succeeded"
        return _event(op, number, at, f"{name}{ended}", {**_ended(op), "RetryDetails": _retry(op, delay)})
    end = _ENDS.get(op.status)
    if end is None:
        return None
    details = _ended(op)
    if op.kind == STEP:
        details["RetryDetails"] = _retry(op, None)
    if op.kind == WAIT:
        details = {"Duration": op.seconds} if op.status == SUCCEEDED else details
    return _event(op, number, at, f"{name}{end}", details)


def _event(op: Op, number: int, at: float, kind: str, details: Mapping[str, Any]) -> Event:
    return Event(number, kind, at, {f"{kind}Details": details}, op.id, op.name, op.parent, op.sub_type)


def _started(op: Op) -> dict[str, Any]:
    if op.kind == WAIT:
        return {"Duration": op.seconds, "ScheduledEndTimestamp": op.due}
    if op.kind == CALLBACK:
        return {"CallbackId": op.callback, "HeartbeatTimeout": op.beat, "Timeout": op.seconds}
    if op.kind == CHAINED:
        told: dict[str, Any] = {"FunctionName": op.function, "Input": {"Payload": op.payload or ""}}
        return {**told, "TenantId": op.tenant} if op.tenant else told
    return {}


def _ended(op: Op) -> dict[str, Any]:
    if op.fault is not None or op.status in (FAILED, TIMED_OUT, "STOPPED"):
        return {"Error": {"Payload": fault_of(op.fault)}}
    if op.status == CANCELLED:
        return {}
    return {"Result": {"Payload": op.result or ""}}


def _retry(op: Op, delay: int | None) -> dict[str, Any]:
    told: dict[str, Any] = {"CurrentAttempt": op.attempt}
    return {**told, "NextAttemptDelaySeconds": delay} if delay is not None else told


def of_execution(number: int, at: float, kind: str, details: Mapping[str, Any]) -> Event:
    """``kind``: ExecutionStarted, InvocationCompleted and the like."""
    return Event(number, kind, at, {f"{kind}Details": details})


_DATA = frozenset(("Result", "Input", "Error", "Reason"))


def shown(event: Event, data: bool) -> dict[str, Any]:
    """As GetDurableExecutionHistory tells it; without ``data`` payloads are left out and marked so."""
    told: dict[str, Any] = {
        "EventId": event.number,
        "EventType": event.kind,
        "EventTimestamp": event.at,
        "Id": event.id,
        "Name": event.name,
        "ParentId": event.parent,
        "SubType": event.sub_type,
    }
    for key, details in event.details.items():
        told[key] = {n: ({"Truncated": True} if n in _DATA and not data else v) for n, v in details.items()}
    return {name: value for name, value in told.items() if value is not None}
