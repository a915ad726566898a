"""Targets whose deregistration delay is over leave their group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.core import balancing
from havre.kernel.arn import Arn
from havre.kernel.effects import NOTHING, Effect, Plan, Update
from havre.kernel.resource import Key
from havre.services.elbv2 import queries
from havre.services.elbv2.resources import TARGET_GROUP, TargetGroupR
from havre.services.elbv2.state import health_of
from havre.store.ports import Change, Reader


class Seen(msgspec.Struct, frozen=True):
    """``health`` in words: what is in the way of requests to its targets."""

    group: TargetGroupR
    now: float
    health: tuple[str, ...] = ()


class Departures:
    """Nothing outside the store is touched: the load balancer's reconciler hears of the change."""

    name = "elbv2.departures"
    watches: tuple[str, ...] = (TARGET_GROUP.name,)
    resync = 300.0
    executors: Mapping[type[Effect], Executor] = {}

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._store, self._world = deps.store, deps.world

    def keys_of(self, change: Change) -> Iterable[Key]:
        return (change.key,) if change.new is not None else ()

    def all_keys(self) -> Iterable[Key]:
        return [group.key for group in self._store.list(TARGET_GROUP)]

    def key_of(self, arn: str) -> Key | None:
        return key_of_group(arn)

    async def observe(self, key: Any) -> Seen | None:
        group = self._store.get(TARGET_GROUP, key.account, key.region, key.name)
        return Seen(group, self._world.now(), _ailing(self._store, group)) if group else None

    def decide(self, seen: Seen) -> Plan:
        group = seen.group
        stay = tuple(t for t in group.spec.targets if t.leaves is None or t.leaves > seen.now)
        wake = balancing.next_departure((t.leaves for t in stay), seen.now)
        if stay == group.spec.targets:
            return Plan(wake_at=wake, reasons=seen.health) if wake or seen.health else NOTHING
        return Plan(writes=(Update(group, spec=replace(group.spec, targets=stay)),), wake_at=wake, reasons=seen.health)


def _ailing(reader: Reader, group: TargetGroupR) -> tuple[str, ...]:
    used, report = queries.report_on(reader, group)
    if not group.spec.targets:
        return ("It has no targets: who asks gets 503.",)
    known = [(target.key, health_of(group, target, used, report)) for target in group.spec.targets]
    return tuple(
        f"{key} is {health['State']}: {health.get('Description', '')} ({health.get('Reason', '')})"
        for key, health in known
        if health["State"] != "healthy"
    )


def key_of_group(arn: str) -> Key | None:
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        return None
    if parsed.service != "elasticloadbalancing" or parsed.kind != "targetgroup":
        return None
    return Key(TARGET_GROUP.name, parsed.account, parsed.region, parsed.name)
