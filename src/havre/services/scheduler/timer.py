"""Invokes schedules when they are due: written down in the transaction that says when they are due next."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from havre.control.deliveries import Delivery, Progress
from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.core.delivery import DAY, RetryPolicy, event_policy
from havre.core.schedules import ticks
from havre.kernel.effects import Create, Effect, Plan, Remove, Update, Write
from havre.services.scheduler import rules
from havre.services.scheduler.courier import timestamp
from havre.services.scheduler.resources import (
    DELIVERY,
    ENABLED,
    SCHEDULE,
    Invocation,
    ScheduleRecord,
    ScheduleStatus,
)
from havre.store.ports import Change

RESYNC = 3600.0
Key = tuple[str, ...]


class Seen(msgspec.Struct, frozen=True):
    """``chance``: a number from 0 to 1, for flexible windows."""

    now: float
    chance: float
    schedule: ScheduleRecord


class Timer:
    """Keys are schedules. Each waits in the runner's heap for its next time: a thousand that are not due cost nothing."""

    name = "scheduler.timer"
    watches: tuple[str, ...] = (SCHEDULE.name,)
    resync = RESYNC

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps

    def keys_of(self, change: Change) -> Iterable[Key]:
        return (tuple(change.key[1:]),) if change.new is not None else ()

    def all_keys(self) -> Iterable[Key]:
        return [tuple(r.key[1:]) for r in self._deps.store.list(SCHEDULE)]

    def key_of(self, arn: str) -> Key | None:
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[2] != "scheduler" or not parts[5].startswith("schedule/"):
            return None
        return (parts[4], parts[3], parts[5].removeprefix("schedule/"))

    async def observe(self, key: Key) -> Seen | None:
        found = self._deps.store.get(SCHEDULE, *key)
        return None if found is None else Seen(self._deps.world.now(), self._deps.world.chance.random(), found)

    def decide(self, seen: Seen) -> Plan:
        found, spec, status = seen.schedule, seen.schedule.spec, seen.schedule.status
        if spec.state != ENABLED:
            return Plan(reasons=("The schedule is disabled.",))
        due = status.due if status.read == spec.started else rules.next_after(spec, spec.started - 1e-3)
        come, following = ticks(rules.Bounded(spec), due, seen.now)
        writes: list[Write] = [_invocation(seen, at) for at in come]
        if following is None and spec.after_completion == "DELETE":
            return Plan((), (*writes, Remove(found)), reasons=("It has been invoked for the last time.",))
        writes.append(Update(found, status=ScheduleStatus(following, spec.started)))
        words = f"It is due next at {timestamp(following)}." if following is not None else "It is never due again."
        return Plan((), tuple(writes), following, (words,))

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {}


def _invocation(seen: Seen, at: float) -> Create[Delivery, Progress]:
    """Within the flexible window, at a time that chance says."""
    meta, spec = seen.schedule.meta, seen.schedule.spec
    id = _id(f"{meta.arn} {at} {spec.started}")
    parcel = msgspec.msgpack.encode(Invocation(meta.arn, spec.target, id, at))
    due = at + spec.window * 60.0 * seen.chance if spec.window else 0.0
    delivery = Delivery(parcel, id, max(due, seen.now), _retries(spec.target))
    return Create(DELIVERY.name, meta.account, meta.region, id, "", delivery, Progress(due=due))


def _retries(target: Mapping[str, object]) -> RetryPolicy:
    says = target.get("RetryPolicy")
    found = says if isinstance(says, Mapping) else {}
    most, age = found.get("MaximumRetryAttempts"), found.get("MaximumEventAgeInSeconds")
    return event_policy(185 if most is None else int(most), DAY if age is None else float(age))


def _id(text: str) -> str:
    """Of one time of one schedule: the same if it is decided on twice."""
    h = hashlib.sha256(text.encode()).hexdigest()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:32]}"
