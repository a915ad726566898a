"""Schedules and their groups as they are stored, and what is on its way to a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from havre.control.deliveries import delivery_kind
from havre.kernel.resource import Kind, NoStatus, Resource, scoped

DEFAULT = "default"
ENABLED = "ENABLED"


class Group(msgspec.Struct, frozen=True):
    """The default group has a record only once something was said about it. ``token`` is the client's, of its creation."""

    tags: Mapping[str, str] = {}
    token: str = ""


class Schedule(msgspec.Struct, frozen=True):
    """``target`` as AWS spells it. ``window``: minutes within which it may be invoked after it is due, 0 for none.
    ``begin`` and ``end``: seconds since the epoch. ``started``: when this was last said."""

    group: str
    name: str
    expression: str
    target: Mapping[str, Any]
    zone: str = "UTC"
    state: str = ENABLED
    window: int = 0
    begin: float | None = None
    end: float | None = None
    description: str = ""
    after_completion: str = "NONE"
    started: float = 0.0
    token: str = ""


class ScheduleStatus(msgspec.Struct, frozen=True):
    """``due``: the next time, read from what was said at ``read`` (the schedule's ``started``)."""

    due: float | None = None
    read: float = -1.0


class Invocation(msgspec.Struct, frozen=True):
    """One time of a schedule on its way to the target. ``at``: the time it was due, seconds since the epoch."""

    schedule: str
    target: Mapping[str, Any]
    id: str
    at: float


GroupRecord: TypeAlias = Resource[Group, NoStatus]
ScheduleRecord: TypeAlias = Resource[Schedule, ScheduleStatus]

GROUP: Kind[Group, NoStatus] = Kind("scheduler.group", Group, NoStatus)
SCHEDULE: Kind[Schedule, ScheduleStatus] = Kind(
    "scheduler.schedule",
    Schedule,
    ScheduleStatus,
    {"group": lambda r: scoped(r.meta.account, r.meta.region, r.spec.group)},
)
DELIVERY = delivery_kind("scheduler.delivery")
KINDS = (GROUP, SCHEDULE, DELIVERY)


def schedule_name(group: str, name: str) -> str:
    """The name of a schedule's record: neither part can hold a slash."""
    return f"{group}/{name}"
