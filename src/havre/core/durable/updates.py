"""Checkpoints: what an update makes of an operation. Names in updates are AWS's; refusals are in Lambda's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.core.durable.model import (
    CALLBACK,
    CANCELLED,
    CHAINED,
    CONTEXT,
    EXECUTION,
    FAILED,
    LARGEST_RESULT,
    LARGEST_SYNCHRONOUS_RESULT,
    MOST_OPERATIONS,
    PENDING,
    READY,
    STARTED,
    STEP,
    SUCCEEDED,
    WAIT,
    Fault,
    Op,
    Refused,
)

ACTIONS = {
    STEP: frozenset(("START", "SUCCEED", "FAIL", "RETRY")),
    CONTEXT: frozenset(("START", "SUCCEED", "FAIL")),
    WAIT: frozenset(("START", "CANCEL")),
    CALLBACK: frozenset(("START",)),
    CHAINED: frozenset(("START",)),
    EXECUTION: frozenset(("SUCCEED", "FAIL")),
}
Update = Mapping[str, Any]


class Changed:
    """``op`` is an operation's new state; ``delay``: seconds until its next attempt, where one was asked for."""

    __slots__ = ("delay", "op")

    def __init__(self, op: Op, delay: int | None = None) -> None:
        self.op = op
        self.delay = delay


def fault(given: Mapping[str, Any] | None) -> Fault | None:
    if given is None:
        return None
    stack = given.get("StackTrace")
    return Fault(
        given.get("ErrorMessage"),
        given.get("ErrorType"),
        given.get("ErrorData"),
        None if stack is None else tuple(stack),
    )


def apply(
    ops: Mapping[str, Op],
    updates: Sequence[Update],
    now: float,
    callback: Callable[[str], str],
    synchronous: bool = False,
) -> list[Changed]:
    """The changes, in order; all or nothing. ``callback`` makes the id of a callback from that of its operation. The number
    of a new operation is its place behind ``ops``. Raises Refused."""
    _check_together(ops, updates)
    state, changes = dict(ops), []
    for update in updates:
        _check_one(state, update, synchronous)
        op = state.get(update["Id"])
        changed = _MAKE[update["Type"]](op, update, now, len(state), callback)
        if changed.op.id not in state and len(state) >= MOST_OPERATIONS:
            raise Refused(f"A durable execution cannot have more than {MOST_OPERATIONS} operations.")
        state[changed.op.id] = changed.op
        changes.append(changed)
    return changes


def _check_together(ops: Mapping[str, Op], updates: Sequence[Update]) -> None:
    ends = [each for each in updates if each["Type"] == EXECUTION]
    if len(ends) > 1:
        raise Refused("Cannot checkpoint multiple EXECUTION updates.")
    if ends and updates[-1]["Type"] != EXECUTION:
        raise Refused("EXECUTION checkpoint must be the last update.")
    last: dict[str, Update] = {}
    for update in updates:
        before = last.get(update["Id"])
        if before is not None and not (
            before["Type"] in (STEP, CONTEXT) and before["Action"] == "START" and update["Action"] != "START"
        ):
            raise Refused("Cannot checkpoint multiple operations with the same ID.")
        parent = update.get("ParentId")
        if parent is not None:
            kind = last[parent]["Type"] if parent in last else ops[parent].kind if parent in ops else ""
            if kind != CONTEXT:
                raise Refused("Invalid parent operation id.")
        last[update["Id"]] = update


def _check_one(state: Mapping[str, Op], update: Update, synchronous: bool) -> None:
    op, kind, action = state.get(update["Id"]), update["Type"], update["Action"]
    if op is not None:
        for member, known, words in (
            ("Type", op.kind, "operation type"),
            ("SubType", op.sub_type, "operation subtype"),
            ("Name", op.name, "operation name"),
            ("ParentId", op.parent, "parent operation id"),
        ):
            if kind != EXECUTION and update.get(member) is not None and update[member] != known:
                raise Refused(f"Inconsistent {words}.")
    if action not in ACTIONS[kind]:
        raise Refused("Invalid action for the given operation type.")
    if action == "FAIL" and update.get("Payload") is not None:
        raise Refused("Cannot provide a Payload for FAIL action.")
    if action == "SUCCEED" and update.get("Error") is not None:
        raise Refused("Cannot provide an Error for SUCCEED action.")
    most = LARGEST_SYNCHRONOUS_RESULT if kind == EXECUTION and synchronous else LARGEST_RESULT
    if len((update.get("Payload") or "").encode()) > most:
        raise Refused(f"Payload size must be less than or equal to {most} bytes.")
    error = fault(update.get("Error"))
    if error is not None and error.size > LARGEST_RESULT:
        raise Refused(f"Error object size must be less than or equal to {LARGEST_RESULT} bytes.")


def _new(update: Update, now: float, number: int) -> Op:
    return Op(
        update["Id"],
        update["Type"],
        STARTED,
        number,
        now,
        update.get("Name"),
        update.get("ParentId"),
        update.get("SubType"),
    )


def _closed(op: Op, update: Update, now: float, **more: Any) -> Op:
    done = update["Action"] == "SUCCEED"
    status = SUCCEEDED if done else FAILED
    error = None if done else fault(update.get("Error")) or Fault()
    result = update.get("Payload") if done else None
    return replace(op, status=status, ended=now, result=result, fault=error, due=None, **more)


def _step(op: Op | None, update: Update, now: float, number: int, callback: Callable[[str], str]) -> Changed:
    action = update["Action"]
    if action == "START":
        if op is not None and op.status not in (READY, STARTED):
            raise Refused("Invalid current STEP state to start.")
        return Changed(_new(update, now, number) if op is None else replace(op, status=STARTED, due=None))
    if op is not None and op.status not in (STARTED, READY):
        raise Refused(f"Invalid current STEP state to {'re-attempt' if action == 'RETRY' else 'close'}.")
    op = op or _new(update, now, number)
    if action != "RETRY":
        return Changed(_closed(op, update, now, attempt=op.attempt + 1))
    options = update.get("StepOptions")
    if options is None:
        raise Refused("Invalid StepOptions for the given action.")
    if update.get("Error") is not None and update.get("Payload") is not None:
        raise Refused("Cannot provide both error and payload to RETRY a STEP.")
    delay: int = options.get("NextAttemptDelaySeconds") or 1
    result, error = update.get("Payload"), fault(update.get("Error"))
    later = replace(op, status=PENDING, attempt=op.attempt + 1, due=now + delay, result=result, fault=error)
    return Changed(later, delay)


def _context(op: Op | None, update: Update, now: float, number: int, callback: Callable[[str], str]) -> Changed:
    if update["Action"] == "START":
        if op is not None:
            raise Refused("Cannot start a CONTEXT that already exist.")
        return Changed(_new(update, now, number))
    if op is not None and op.status != STARTED:
        raise Refused("Invalid current CONTEXT state to close.")
    replay = bool((update.get("ContextOptions") or {}).get("ReplayChildren"))
    return Changed(_closed(op or _new(update, now, number), update, now, replay_children=replay))


def _wait(op: Op | None, update: Update, now: float, number: int, callback: Callable[[str], str]) -> Changed:
    if update["Action"] == "CANCEL":
        if op is None or not op.open:
            raise Refused("Cannot cancel a WAIT that does not exist or has already completed.")
        return Changed(replace(op, status=CANCELLED, ended=now, due=None))
    if op is not None:
        raise Refused("Cannot start a WAIT that already exist.")
    seconds = (update.get("WaitOptions") or {}).get("WaitSeconds")
    if not seconds:
        raise Refused("Update for WAIT operation requires WaitOptions.")
    return Changed(replace(_new(update, now, number), due=now + seconds, seconds=seconds))


def _callback(op: Op | None, update: Update, now: float, number: int, callback: Callable[[str], str]) -> Changed:
    if op is not None:
        raise Refused("Cannot start a CALLBACK that already exist.")
    options = update.get("CallbackOptions") or {}
    limit, beat = options.get("TimeoutSeconds") or 0, options.get("HeartbeatTimeoutSeconds") or 0
    made = replace(
        _new(update, now, number),
        callback=callback(update["Id"]),
        due=now + limit if limit else None,
        seconds=limit,
        beat=beat,
        beat_due=now + beat if beat else None,
    )
    return Changed(made)


def _chained(op: Op | None, update: Update, now: float, number: int, callback: Callable[[str], str]) -> Changed:
    if op is not None:
        raise Refused("Cannot start a CHAINED_INVOKE operation that already exists.")
    options = update.get("ChainedInvokeOptions")
    if options is None:
        raise Refused("Update for CHAINED_INVOKE operation requires ChainedInvokeOptions.")
    made = replace(
        _new(update, now, number),
        function=options["FunctionName"],
        tenant=options.get("TenantId") or "",
        trace=options.get("XAmznTraceId") or "",
        payload=update.get("Payload"),
    )
    return Changed(made)


def _execution(op: Op | None, update: Update, now: float, number: int, callback: Callable[[str], str]) -> Changed:
    """The execution's own operation is the first of all; the update may have another id, of nothing else."""
    if op is not None and op.kind != EXECUTION:
        raise Refused("Inconsistent operation type.")
    begun = op or Op(update["Id"], EXECUTION, STARTED, number, now)
    return Changed(_closed(begun, update, now))


_MAKE = {STEP: _step, CONTEXT: _context, WAIT: _wait, CALLBACK: _callback, CHAINED: _chained, EXECUTION: _execution}
