"""Data points grow coarser with age, and go in the end: AWS's own terms."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.control.sweep import Sweep
from havre.kernel.effects import Effect, Plan
from havre.services.cloudwatch.facilities import Facilities

EVERY = 3600.0
HOUR, DAY = 3600, 86_400
KEPT = {1: 3 * HOUR, 60: 15 * DAY, 300: 63 * DAY, 3600: 455 * DAY}
"""Seconds that a data point spans → for how many it is kept so."""


class Seen(msgspec.Struct, frozen=True):
    now: float
    there: bool


class Roll(Effect, frozen=True):
    """Step → what begins before this time (seconds since the epoch) goes into the next step."""

    before: Mapping[int, int]


class Retention(Sweep):
    name = "cloudwatch.retention"
    resync = EVERY

    def __init__(self, deps: ReconcilerDeps, facilities: Facilities) -> None:
        super().__init__(deps)
        self._facilities = facilities

    async def observe(self, key: str) -> Seen | None:
        return Seen(self._deps.world.now(), self._facilities.there())

    def decide(self, seen: Seen) -> Plan:
        """Whole hours move, so that a point of the next step is made of all that it can be made of."""
        if not seen.there:
            return Plan((), wake_at=seen.now + EVERY)
        before = {step: int(seen.now - kept) // HOUR * HOUR for step, kept in KEPT.items()}
        return Plan((Roll(f"roll {before[1]}", before),), wake_at=seen.now + EVERY)

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {Roll: self._roll}

    async def _roll(self, effect: Roll) -> None:
        await self._facilities.points().roll(effect.before)
