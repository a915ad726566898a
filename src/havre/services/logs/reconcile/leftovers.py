"""Takes from the disk what belongs to nobody: events of streams whose deletion was cut short, or that were being written to
when they were deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from havre.control.reconciler import Executor
from havre.control.sweep import Sweep
from havre.kernel.effects import Effect, Plan
from havre.services.logs.resources import JOURNALS, STREAM

EVERY = 3600.0
AT_ONCE = 100


class Seen(msgspec.Struct, frozen=True):
    now: float
    kept: tuple[str, ...]
    """Journal streams that there are."""
    known: frozenset[str]
    """Those that log streams name."""


class Drop(Effect, frozen=True):
    streams: tuple[str, ...]


class Leftovers(Sweep):
    """One key, for the whole journal."""

    name = "logs.leftovers"
    resync = EVERY

    async def observe(self, key: str) -> Seen:
        """The journal first: what is made meanwhile is in the store before it is in the journal."""
        kept = tuple(await self._deps.journal.extents(JOURNALS))
        return Seen(self._deps.world.now(), kept, frozenset(r.spec.journal for r in self._deps.store.list(STREAM)))

    def decide(self, seen: Seen) -> Plan:
        gone = tuple(name for name in seen.kept if name not in seen.known)
        effects = (Drop(f"drop {len(gone)} {gone[0]}", gone),) if gone else ()
        return Plan(effects, (), seen.now + EVERY)

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {Drop: self._drop}

    async def _drop(self, effect: Drop) -> None:
        for first in range(0, len(effect.streams), AT_ONCE):
            await asyncio.gather(*(self._deps.journal.drop(name) for name in effect.streams[first : first + AT_ONCE]))
