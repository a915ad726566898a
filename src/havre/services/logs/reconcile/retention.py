"""Takes from the disk what is over by its group's retention."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.kernel.arn import Arn
from havre.kernel.effects import Effect, Plan
from havre.services.logs.queries import DAY_MS
from havre.services.logs.resources import GROUP, Group, journals
from havre.store.ports import Change

EVERY = 3600.0
AT_ONCE = 100


class Name(NamedTuple):
    account: str
    region: str
    group: str


class Seen(msgspec.Struct, frozen=True):
    """``oldest``: journal stream → time of its first event in milliseconds."""

    now: float
    group: Group
    oldest: Mapping[str, int]


class Expire(Effect, frozen=True):
    """Drop what is older than ``before`` (milliseconds)."""

    before: int
    streams: tuple[str, ...]


class Retention:
    """Keys are log groups that have a retention."""

    name = "logs.retention"
    watches: tuple[str, ...] = (GROUP.name,)
    resync = EVERY

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps

    def keys_of(self, change: Change) -> Iterable[Name]:
        return (Name(*change.key[1:]),)

    def all_keys(self) -> Iterable[Name]:
        return [Name(*r.key[1:]) for r in self._deps.store.list(GROUP) if r.spec.retention]

    def key_of(self, arn: str) -> Name | None:
        parsed = Arn.parse(arn)
        if parsed.service != "logs" or parsed.kind != "log-group":
            return None
        return Name(parsed.account, parsed.region, parsed.name)

    async def observe(self, key: Name) -> Seen | None:
        group = self._deps.store.get(GROUP, *key)
        if group is None or not group.spec.retention:
            return None
        extents = await self._deps.journal.extents(journals(key.account, key.region, group.spec.uid))
        oldest = {name: extent.first for name, extent in extents.items() if extent.first is not None}
        return Seen(self._deps.world.now(), group, oldest)

    def decide(self, seen: Seen) -> Plan:
        days = seen.group.spec.retention
        before = int(seen.now * 1000) - days * DAY_MS
        due = tuple(sorted(name for name, first in seen.oldest.items() if first < before))
        reasons = (f"{len(due)} of its log streams have events that are older than {days} days",) if due else ()
        effects = (Expire(f"expire {seen.group.spec.uid} {before}", before, due),) if due else ()
        return Plan(effects, (), seen.now + EVERY, reasons)

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {Expire: self._expire}

    async def _expire(self, effect: Expire) -> None:
        for first in range(0, len(effect.streams), AT_ONCE):
            some = effect.streams[first : first + AT_ONCE]
            await asyncio.gather(*(self._deps.journal.expire(name, effect.before) for name in some))
