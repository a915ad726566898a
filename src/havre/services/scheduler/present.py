"""Resources → AWS's shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.core.delivery import DAY
from havre.kernel.arn import arn
from havre.services.scheduler.resources import GroupRecord, ScheduleRecord

_RETRIES = {"MaximumEventAgeInSeconds": int(DAY), "MaximumRetryAttempts": 185}


def group_arn(account: str, region: str, name: str) -> str:
    return arn("scheduler", region, account, f"schedule-group/{name}")


def group(account: str, region: str, name: str, found: GroupRecord | None) -> dict[str, Any]:
    """The default group may have no record."""
    shown: dict[str, Any] = {"Arn": group_arn(account, region, name), "Name": name, "State": "ACTIVE"}
    if found is not None:
        shown |= {"CreationDate": found.meta.created, "LastModificationDate": found.meta.updated}
    return shown


def schedule(found: ScheduleRecord) -> dict[str, Any]:
    spec, meta = found.spec, found.meta
    window: dict[str, Any] = {"Mode": "FLEXIBLE" if spec.window else "OFF"}
    if spec.window:
        window["MaximumWindowInMinutes"] = spec.window
    return {
        "Arn": meta.arn,
        "GroupName": spec.group,
        "Name": spec.name,
        "ScheduleExpression": spec.expression,
        "ScheduleExpressionTimezone": spec.zone,
        "StartDate": spec.begin,
        "EndDate": spec.end,
        "Description": spec.description or None,
        "State": spec.state,
        "CreationDate": meta.created,
        "LastModificationDate": max(spec.started, meta.created),
        "Target": _target(spec.target),
        "FlexibleTimeWindow": window,
        "ActionAfterCompletion": spec.after_completion,
    }


def _target(given: Mapping[str, Any]) -> dict[str, Any]:
    """How often and how long is tried is told even where nobody said."""
    retries = {k: v for k, v in (given.get("RetryPolicy") or {}).items() if v is not None}
    return {**given, "RetryPolicy": {**_RETRIES, **retries}}


def summary(found: ScheduleRecord) -> dict[str, Any]:
    spec, meta = found.spec, found.meta
    return {
        "Arn": meta.arn,
        "Name": spec.name,
        "GroupName": spec.group,
        "State": spec.state,
        "CreationDate": meta.created,
        "LastModificationDate": max(spec.started, meta.created),
        "Target": {"Arn": spec.target["Arn"]},
    }
