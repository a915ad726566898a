"""Executions and operations in AWS's shapes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from havre.core.durable.history import fault_of
from havre.core.durable.model import CALLBACK, CHAINED, CONTEXT, EXECUTION, STEP, SUCCEEDED, WAIT, Execution, Op
from havre.services.lambda_.durable.shelf import Data


def present(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def operation(op: Op, payload: str | None = None) -> dict[str, Any]:
    """``payload``: the execution's input, for its own operation."""
    shown = present(
        Id=op.id,
        ParentId=op.parent,
        Name=op.name,
        Type=op.kind,
        SubType=op.sub_type,
        StartTimestamp=op.started,
        EndTimestamp=op.ended,
        Status=op.status,
    )
    error = fault_of(op.fault) if op.fault is not None else None
    if op.kind == EXECUTION:
        shown["ExecutionDetails"] = present(InputPayload=payload)
    elif op.kind == CONTEXT:
        shown["ContextDetails"] = present(ReplayChildren=op.replay_children or None, Result=op.result, Error=error)
    elif op.kind == STEP:
        due = op.due if op.status == "PENDING" else None
        shown["StepDetails"] = present(Attempt=op.attempt, NextAttemptTimestamp=due, Result=op.result, Error=error)
    elif op.kind == WAIT:
        shown["WaitDetails"] = present(ScheduledEndTimestamp=op.started + op.seconds)
    elif op.kind == CALLBACK:
        shown["CallbackDetails"] = present(CallbackId=op.callback, Result=op.result, Error=error)
    elif op.kind == CHAINED:
        shown["ChainedInvokeDetails"] = present(Result=op.result, Error=error)
    return shown


_TIMES = ("StartTimestamp", "EndTimestamp", "NextAttemptTimestamp", "ScheduledEndTimestamp")


def in_milliseconds(shown: Mapping[str, Any]) -> dict[str, Any]:
    """An operation as runs get it: times are whole milliseconds."""
    told: dict[str, Any] = {}
    for name, value in shown.items():
        if isinstance(value, Mapping) and name.endswith("Details"):
            told[name] = in_milliseconds(value)
        else:
            told[name] = int(value * 1000) if name in _TIMES else value
    return told


def summary(execution: Execution) -> dict[str, Any]:
    function, _, _ = execution.arn.partition("/durable-execution/")
    return present(
        DurableExecutionArn=execution.arn,
        DurableExecutionName=execution.name,
        FunctionArn=function,
        Status=execution.status,
        StartTimestamp=execution.started,
        EndTimestamp=execution.ended,
    )


def whole(execution: Execution, data: Data, included: bool) -> dict[str, Any]:
    shown = summary(execution) | {
        "Version": execution.version,
        "ExecutionDataIncluded": included,
        "DurableConfig": {"ExecutionTimeout": execution.limit, "RetentionPeriodInDays": execution.retention},
        "TraceHeader": {"XAmznTraceId": execution.trace},
    }
    if execution.alive:
        shown["ExpectedExecutionTimeoutTimestamp"] = execution.expires
    if included:
        shown["InputPayload"] = data.payload
        if execution.status == SUCCEEDED:
            shown["Result"] = data.result
        elif data.fault is not None:
            shown["Error"] = fault_of(data.fault)
    pause = execution.pause
    if pause is not None:
        shown["PauseDetails"] = present(
            PauseRequestTimestamp=pause.requested,
            ExecutionTimeoutPaused=pause.clock,
            Reason=pause.reason if included else None,
        )
    return shown


def callback_id(arn: str, operation: str, nonce: str) -> str:
    return base64.b64encode("\n".join((arn, operation, nonce)).encode()).decode()


def read_callback_id(text: str) -> tuple[str, str, str] | None:
    """(the execution's ARN, the operation's id, the nonce); None for what is no id of a callback."""
    try:
        parts = base64.b64decode(text, validate=True).decode().split("\n")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 and parts[0].startswith("arn:") else None
