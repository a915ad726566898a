"""Buses, rules with their targets, archives and replays as they are stored, and what is on its way to a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from havre.control.deliveries import delivery_kind
from havre.kernel.resource import Kind, NoStatus, Resource, scoped

DEFAULT = "default"
ENABLED, DISABLED = "ENABLED", "DISABLED"


class Bus(msgspec.Struct, frozen=True):
    """``policy`` is a document, "" for none. The default bus has a record only once something was said about it."""

    description: str = ""
    policy: str = ""
    tags: Mapping[str, str] = {}


class Rule(msgspec.Struct, frozen=True):
    """``targets`` by their ids, as PutTargets took them. ``pattern`` and ``schedule`` are "" where there is none."""

    bus: str
    rule: str
    pattern: str = ""
    schedule: str = ""
    state: str = ENABLED
    description: str = ""
    role: str = ""
    created_by: str = ""
    started: float = 0.0
    """What a rate counts from: when its schedule was last changed, seconds since the epoch."""
    tags: Mapping[str, str] = {}
    targets: Mapping[str, Mapping[str, Any]] = {}

    @property
    def enabled(self) -> bool:
        return self.state != DISABLED


class RuleStatus(msgspec.Struct, frozen=True):
    """``due``: the next time of the schedule that was last read from ``read`` (expression and start)."""

    due: float | None = None
    read: str = ""


class Archive(msgspec.Struct, frozen=True):
    """``retention`` in days, 0 for ever. ``journal`` is the journal's stream that has the events."""

    bus: str
    journal: str
    pattern: str = ""
    description: str = ""
    retention: int = 0


class Replay(msgspec.Struct, frozen=True):
    """Times in seconds since the epoch. ``rules``: ARNs of those that get the events, all of the bus when empty."""

    archive: str
    bus: str
    begin: float
    end: float
    rules: tuple[str, ...] = ()
    description: str = ""
    cancelled: bool = False


class ReplayStatus(msgspec.Struct, frozen=True):
    """``at`` and ``seq``: the last event that was replayed. ``ended`` in seconds since the epoch."""

    state: str = "STARTING"
    at: int = 0
    seq: int = 0
    ended: float | None = None
    reason: str = ""


class Shipment(msgspec.Struct, frozen=True):
    """An event on its way to one target. ``target`` as it was when the event matched."""

    rule: str
    target: Mapping[str, Any]
    event: Mapping[str, Any]
    taken: float
    hops: int = 0


BusRecord: TypeAlias = Resource[Bus, NoStatus]
RuleRecord: TypeAlias = Resource[Rule, RuleStatus]
ArchiveRecord: TypeAlias = Resource[Archive, NoStatus]
ReplayRecord: TypeAlias = Resource[Replay, ReplayStatus]

BUS: Kind[Bus, NoStatus] = Kind("events.bus", Bus, NoStatus)
RULE: Kind[Rule, RuleStatus] = Kind(
    "events.rule",
    Rule,
    RuleStatus,
    {
        "bus": lambda r: scoped(r.meta.account, r.meta.region, r.spec.bus),
        "target": lambda r: tuple(
            scoped(r.meta.account, r.meta.region, f"{r.spec.bus}/{t['Arn']}") for t in r.spec.targets.values()
        ),
    },
)
ARCHIVE: Kind[Archive, NoStatus] = Kind(
    "events.archive", Archive, NoStatus, {"bus": lambda r: scoped(r.meta.account, r.meta.region, r.spec.bus)}
)
REPLAY: Kind[Replay, ReplayStatus] = Kind("events.replay", Replay, ReplayStatus)
DELIVERY = delivery_kind("events.delivery")
KINDS = (BUS, RULE, ARCHIVE, REPLAY, DELIVERY)

JOURNALS = "events/"
"""What the names of all journal streams of this service begin with."""


def rule_name(bus: str, rule: str) -> str:
    """The name of a rule's record: rules cannot hold a slash."""
    return f"{bus}|{rule}"
