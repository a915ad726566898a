"""Alarms as DescribeAlarms shows them."""

from __future__ import annotations

from typing import Any

from havre.services.cloudwatch import notices
from havre.services.cloudwatch.alarm_checks import STATES
from havre.services.cloudwatch.resources import COMPOSITE, AlarmRecord


def alarm(record: AlarmRecord) -> dict[str, Any]:
    spec, status = record.spec, record.status
    told: dict[str, Any] = {
        **brief(record),
        **spec.given,
        "ActionsEnabled": spec.enabled,
        "AlarmConfigurationUpdatedTimestamp": spec.configured,
        "StateReason": status.reason,
        "StateReasonData": status.data or None,
        "StateTransitionedTimestamp": status.entered or spec.configured,
        **notices.held(status),
        **{member: list(spec.actions.get(state, ())) for state, member in STATES.items()},
    }
    if spec.type == COMPOSITE:
        return {**told, "AlarmRule": spec.rule}
    if "Metrics" not in told:
        told.setdefault("Dimensions", [])
    else:
        told["Metrics"] = [{**each, "ReturnData": each.get("ReturnData", True)} for each in told["Metrics"]]
    return told


def brief(record: AlarmRecord) -> dict[str, Any]:
    return {
        "AlarmName": record.spec.name,
        "AlarmArn": record.meta.arn,
        "StateValue": record.status.state,
        "StateUpdatedTimestamp": record.status.since or record.spec.configured,
    }
