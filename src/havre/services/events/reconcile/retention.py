"""Takes from the disk what archives keep no longer, and what belongs to none."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from havre.control.reconciler import Executor
from havre.control.sweep import Sweep
from havre.kernel.effects import Effect, Plan
from havre.services.events.resources import ARCHIVE, JOURNALS

EVERY = 3600.0
DAY_MS = 86_400_000


class Seen(msgspec.Struct, frozen=True):
    """``oldest``: journal stream → time of its first event in milliseconds, None when empty. ``kept``: stream → days, 0 for
    ever, of those that archives name."""

    now: float
    oldest: Mapping[str, int | None]
    kept: Mapping[str, int]


class Drop(Effect, frozen=True):
    stream: str


class Expire(Effect, frozen=True):
    """Drop what is older than ``before`` (milliseconds)."""

    stream: str
    before: int


class Retention(Sweep):
    """One key, for the whole journal."""

    name = "events.retention"
    resync = EVERY

    async def observe(self, key: str) -> Seen:
        """The journal first: what is made meanwhile is in the store before it is in the journal."""
        extents = await self._deps.journal.extents(JOURNALS)
        kept = {r.spec.journal: r.spec.retention for r in self._deps.store.list(ARCHIVE)}
        return Seen(self._deps.world.now(), {name: each.first for name, each in extents.items()}, kept)

    def decide(self, seen: Seen) -> Plan:
        effects: list[Effect] = []
        for stream, first in seen.oldest.items():
            days = seen.kept.get(stream)
            before = int(seen.now * 1000) - (days or 0) * DAY_MS
            if days is None:
                effects.append(Drop(f"drop {stream}", stream))
            elif days and first is not None and first < before:
                effects.append(Expire(f"expire {stream} {before}", stream, before))
        return Plan(tuple(effects), (), seen.now + EVERY)

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {Drop: self._drop, Expire: self._expire}

    async def _drop(self, effect: Drop) -> None:
        await self._deps.journal.drop(effect.stream)

    async def _expire(self, effect: Expire) -> None:
        await self._deps.journal.expire(effect.stream, effect.before)
