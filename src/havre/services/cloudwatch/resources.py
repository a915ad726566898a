"""Alarms and dashboards as they are stored, and what is on its way to an action."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from havre.control.deliveries import delivery_kind
from havre.core.metrics.suppression import Hold
from havre.kernel.resource import Kind, NoStatus, Resource, scoped

METRIC, COMPOSITE = "MetricAlarm", "CompositeAlarm"
INITIAL = "Unchecked: Initial alarm creation"


class Alarm(msgspec.Struct, frozen=True):
    """``given`` is what the request said, by AWS's names, that is neither below nor the name; ``rule`` is that of a
    composite alarm. ``configured``: when it was last put, in seconds since the epoch."""

    name: str
    type: str
    given: Mapping[str, Any]
    configured: float
    enabled: bool = True
    actions: Mapping[str, tuple[str, ...]] = {}
    """State → the ARNs of what is done when it is entered."""
    rule: str = ""
    children: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}


class AlarmStatus(msgspec.Struct, frozen=True):
    """Owned by the evaluation, but for SetAlarmState. ``data``: JSON; ``since``: when it was told last, ``entered``: when
    this state began, in seconds since the epoch. ``evaluated`` is False until a composite alarm was looked at since it was
    last put. ``hold``: what holds its actions back."""

    state: str = "INSUFFICIENT_DATA"
    reason: str = INITIAL
    data: str = ""
    since: float = 0.0
    evaluated: bool = False
    entered: float = 0.0
    hold: Hold | None = None


class Dashboard(msgspec.Struct, frozen=True):
    """``body`` is JSON, as it was given; ``modified`` in seconds since the epoch."""

    body: str
    modified: float
    tags: Mapping[str, str] = {}


class Notice(msgspec.Struct, frozen=True):
    """What one action of an alarm gets. ``action`` is its ARN, "" for EventBridge; ``subject`` is for topics."""

    alarm: str
    name: str
    type: str
    action: str
    text: str
    subject: str = ""


def _children(record: AlarmRecord) -> tuple[str, ...]:
    return tuple(scoped(record.meta.account, record.meta.region, child) for child in record.spec.children)


AlarmRecord: TypeAlias = Resource[Alarm, AlarmStatus]
DashboardRecord: TypeAlias = Resource[Dashboard, NoStatus]
ALARM: Kind[Alarm, AlarmStatus] = Kind("cloudwatch.alarm", Alarm, AlarmStatus, {"child": _children})
DASHBOARD: Kind[Dashboard, NoStatus] = Kind("cloudwatch.dashboard", Dashboard, NoStatus)
ACTION = delivery_kind("cloudwatch.action")
KINDS = (ALARM, DASHBOARD, ACTION)
