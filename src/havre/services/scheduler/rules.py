"""What may be said of schedules and their targets. Pure, but for the machine's time zones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, tzinfo
from functools import lru_cache
from typing import Any

from havre.control.operation import Request
from havre.control.targets import kind
from havre.core.schedules import Rate, Schedule, ScheduleError, parse
from havre.kernel.errors import not_built
from havre.services.scheduler import universal
from havre.services.scheduler.errors import validation
from havre.services.scheduler.resources import Schedule as Spec

TEMPLATED = ("lambda", "sqs", "sns", "ecs", "events", "kinesis")
_NEEDED = {"ecs": "EcsParameters", "events": "EventBridgeParameters", "kinesis": "KinesisParameters"}
_ABSENT = (
    "SageMakerPipelineParameters", "EventBridgePutEventsV2Parameters", "EventBridgePutRawEventsParameters",
)  # fmt: skip
PAST = 300.0


def zone(name: str) -> tzinfo:
    """Raises ApiError."""
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # it loads half a megabyte: not before there is another zone

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # a name of no zone, or of no file
        raise validation(f"Invalid ScheduleExpressionTimezone: {name}.") from None


@lru_cache(8192)
def read(expression: str, zone_name: str, start: float) -> Schedule:
    """``rate`` counts from the start, which is its first time. Raises ApiError."""
    try:
        found = parse(expression, start, zone(zone_name), at=True)
    except ScheduleError:
        raise validation(f"Invalid Schedule Expression {expression}.") from None
    return Rate(found.period, start - found.period) if isinstance(found, Rate) else found


def next_after(spec: Spec, when: float) -> float | None:
    """The next time later than ``when``, within the schedule's dates. One-time schedules have none."""
    once = spec.expression.startswith("at(")
    start = spec.started if spec.begin is None or once else max(spec.begin, spec.started)
    found = read(spec.expression, spec.zone, start).after(max(when, start - 1e-3))
    if found is None or (spec.end is not None and not once and found > spec.end):
        return None
    return found


class Bounded:
    """A schedule with its dates, as ``ticks`` takes it."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def after(self, when: float) -> float | None:
        return next_after(self._spec, when)


def check_window(given: Mapping[str, Any]) -> int:
    """Minutes. Raises ApiError."""
    minutes = given.get("MaximumWindowInMinutes")
    if given["Mode"] == "OFF":
        if minutes is not None:
            raise validation("MaximumWindowInMinutes can only be set when the FlexibleTimeWindow Mode is FLEXIBLE.")
        return 0
    if minutes is None:
        raise validation("MaximumWindowInMinutes is required when the FlexibleTimeWindow Mode is FLEXIBLE.")
    return int(minutes)


def check_dates(request: Request, now: float) -> None:
    """Raises ApiError."""
    begin, end = request.get("StartDate"), request.get("EndDate")
    if begin is not None and begin < now - PAST:
        raise validation("The StartDate you specify cannot be earlier than 5 minutes ago.")
    if end is not None and end < now:
        raise validation("The EndDate you specify cannot be in the past.")
    if begin is not None and end is not None and begin >= end:
        raise validation("The StartDate you specify has to be earlier than the EndDate.")


def check_target(target: Mapping[str, Any]) -> None:
    """Raises ApiError."""
    arn = target["Arn"]
    for member in _ABSENT:
        if target.get(member) is not None:
            raise not_built("scheduler", f"targets with {member}")
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or not parts[2] or not parts[5]:
        raise validation("Provided Arn is not in correct format.")
    if universal.is_universal(arn):
        _check_universal(arn, target.get("Input"))
        return
    which = kind(arn)
    if which not in TEMPLATED:
        raise not_built("scheduler", f"targets such as {arn[:200]}")
    needed = _NEEDED.get(which)
    if needed and not target.get(needed):
        raise validation(f"{needed} is required for this target.")
    for other, member in _NEEDED.items():
        if other != which and target.get(member) is not None:
            raise validation(f"{member} is not supported for this target.")
    group = (target.get("SqsParameters") or {}).get("MessageGroupId")
    if which == "sqs" and arn.endswith(".fifo") and not group:
        raise validation("SqsParameters with a MessageGroupId is required for FIFO queues.")
    if which == "events" and not _is_object(target.get("Input") or "{}"):
        raise validation("Input has to be a JSON object for this target.")


def _check_universal(arn: str, text: str | None) -> None:
    if not _is_object(text or "{}"):
        raise validation("Input has to be a JSON object for this target.")
    if universal.reads(arn):
        raise validation(f"{universal.action(arn)} only reads: it is no action of a target.")


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
