"""What time makes of operations, and what of them a run is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from havre.core.durable.model import (
    CALLBACK,
    CONTEXT,
    EXECUTION,
    PENDING,
    READY,
    STARTED,
    STEP,
    SUCCEEDED,
    TIMED_OUT,
    WAIT,
    Fault,
    Op,
)

FIRST_BACK_OFF, LONGEST_BACK_OFF = 1.0, 900.0
AT_ONCE = 3
"""Retries without delay of runs whose environment failed."""
MOST_RETRIES = 24
"""Runs in a row that fail until the execution is given up: some hours."""


def next_time(ops: Iterable[Op]) -> float | None:
    """When the next of these changes by time."""
    times = [t for op in ops if op.open for t in (op.due, op.beat_due) if t is not None]
    return min(times, default=None)


def passed(ops: Iterable[Op], now: float) -> list[Op]:
    """Those that time has changed by now."""
    return [changed for op in ops if op.open and (changed := _passed(op, now)) is not None]


def _passed(op: Op, now: float) -> Op | None:
    if op.kind == CALLBACK and op.status == STARTED:
        if op.due is not None and op.due <= now:
            return _timed_out(op, now, "Callback.Timeout", "Callback timed out")
        if op.beat_due is not None and op.beat_due <= now:
            return _timed_out(op, now, "Callback.Heartbeat", "Callback timed out on heartbeat")
        return None
    if op.due is None or op.due > now:
        return None
    if op.kind == STEP and op.status == PENDING:
        return replace(op, status=READY, due=None)
    if op.kind == WAIT and op.status == STARTED:
        return replace(op, status=SUCCEEDED, ended=now, due=None)
    return None


def _timed_out(op: Op, now: float, kind: str, words: str) -> Op:
    return replace(op, status=TIMED_OUT, ended=now, due=None, beat_due=None, fault=Fault(words, kind))


def replayed(ops: Mapping[str, Op]) -> list[Op]:
    """What a run has to know, in the order of starts: nothing below a context that has ended, unless it asks for it."""
    hidden: set[str] = set()
    shown = []
    for op in sorted(ops.values(), key=lambda each: each.number):
        if op.parent in hidden:
            hidden.add(op.id)
            continue
        shown.append(op)
        if op.kind == CONTEXT and not op.open and not op.replay_children:
            hidden.add(op.id)
    return shown


def waits(ops: Iterable[Op]) -> bool:
    """Whether anything will go on by itself: a run may end without being through only then."""
    return any(op.waits for op in ops if op.kind != EXECUTION)


def retry_delay(retries: int, environment: bool) -> float | None:
    """Seconds until the next run after ``retries`` that failed (at least one); None to give up. ``environment``: it was not
    the function's own error."""
    if retries > MOST_RETRIES:
        return None
    if environment and retries <= AT_ONCE:
        return 0.0
    return min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** (retries - 1))


def of_environment(error: str) -> bool:
    """Whether this kind of failure is the environment's. A time-out is the function's."""
    return error.startswith(("Runtime.", "Sandbox.", "Extension.")) and error != "Sandbox.Timedout"
