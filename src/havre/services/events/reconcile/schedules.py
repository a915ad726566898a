"""Rules with a schedule: what is due is written down for the targets in the transaction that says when it is due next."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec

from havre.control.deliveries import Delivery, Progress
from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.core.schedules import Schedule, parse, ticks
from havre.kernel.effects import Create, Effect, Plan, Update
from havre.services.events import matching
from havre.services.events.names import Place
from havre.services.events.resources import DELIVERY, RULE, RuleRecord, RuleStatus
from havre.store.ports import Change

RESYNC = 3600.0
Key = tuple[str, ...]


@lru_cache(4096)
def _read(expression: str, started: float) -> Schedule:
    return parse(expression, started)


class Seen(msgspec.Struct, frozen=True):
    now: float
    rule: RuleRecord


class Schedules:
    """Keys are rules with a schedule."""

    name = "events.schedules"
    watches: tuple[str, ...] = (RULE.name,)
    resync = RESYNC

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps

    def keys_of(self, change: Change) -> Iterable[Key]:
        record = change.new
        return (tuple(change.key[1:]),) if record is not None and record.spec.schedule else ()

    def all_keys(self) -> Iterable[Key]:
        return [tuple(r.key[1:]) for r in self._deps.store.list(RULE) if r.spec.schedule]

    def key_of(self, arn: str) -> Key | None:
        found = [r for r in self._deps.store.list(RULE) if r.meta.arn == arn and r.spec.schedule]
        return tuple(found[0].key[1:]) if found else None

    async def observe(self, key: Key) -> Seen | None:
        found = self._deps.store.get(RULE, *key)
        if found is None or not found.spec.schedule:
            return None
        return Seen(self._deps.world.now(), found)

    def decide(self, seen: Seen) -> Plan:
        rule, spec, status = seen.rule, seen.rule.spec, seen.rule.status
        if not spec.enabled:
            return Plan(reasons=("The rule is disabled.",))
        schedule = _read(spec.schedule, spec.started)
        read = f"{spec.schedule} from {spec.started}"
        due = status.due if status.read == read else schedule.after(max(spec.started, rule.meta.created))
        come, following = ticks(schedule, due, seen.now)
        writes = tuple(create for at in come for create in _shipments(seen, at))
        update = Update(rule, status=RuleStatus(following, read))
        reasons = (
            (f"It is due next at {matching.timestamp(following)}.",)
            if following is not None
            else ("It is never due again.",)
        )
        return Plan((), (*writes, update), following, reasons)

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {}


def _shipments(seen: Seen, at: float) -> Iterable[Create[Delivery, Progress]]:
    rule, meta = seen.rule, seen.rule.meta
    id = _id(meta.arn, at)
    said = {"Source": "aws.events", "DetailType": "Scheduled Event", "Resources": [meta.arn]}
    event = matching.made(id, Place(meta.account, meta.region, rule.spec.bus), at, said, {})
    for target_id, target in rule.spec.targets.items():
        name, spec = matching.parcel(rule, target_id, target, event, seen.now)
        yield Create(DELIVERY.name, meta.account, meta.region, name, "", spec, Progress())


def _id(arn: str, at: float) -> str:
    """Of the event of one time of one rule: the same if it is decided on twice."""
    h = hashlib.sha256(f"{arn} {at}".encode()).hexdigest()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:32]}"
