"""Takes away what is over: what FIFO topics remember for deduplication, and subscriptions that nobody has confirmed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from havre.control.reconciler import Executor
from havre.control.sweep import Sweep
from havre.kernel.effects import Effect, Plan, Remove
from havre.kernel.resource import NoStatus, Resource
from havre.services.sns.resources import SEEN, SUBSCRIPTION, TOKEN_LIFE, SubscriptionRecord
from havre.services.sns.resources import Seen as Remembered

EVERY = 60.0
AT_ONCE = 1000


class Seen(msgspec.Struct, frozen=True):
    now: float
    remembered: tuple[Resource[Remembered, NoStatus], ...]
    pending: tuple[SubscriptionRecord, ...]


class Forget(Sweep):
    """One key, for all topics."""

    name = "sns.forget"
    resync = EVERY

    async def observe(self, key: str) -> Seen | None:
        store = self._deps.store
        pending = tuple(store.find(SUBSCRIPTION, "pending", "pending"))
        return Seen(self._deps.world.now(), tuple(store.list(SEEN)), pending)

    def decide(self, seen: Seen) -> Plan:
        over: list[Resource[Any, NoStatus]] = [r for r in seen.remembered if r.spec.until <= seen.now]
        over += [r for r in seen.pending if r.spec.asked + TOKEN_LIFE <= seen.now]
        writes = tuple(Remove(r) for r in over[:AT_ONCE])
        return Plan((), writes, seen.now if len(over) > AT_ONCE else None)

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {}
