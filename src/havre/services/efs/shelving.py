"""Makes the directories of file systems, measures them, and removes those of file systems that are deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.kernel.effects import Effect, Plan, Remove, Update
from havre.kernel.resource import Key
from havre.services.efs.ports import Shelf
from havre.services.efs.resources import FILE_SYSTEM, FileSystemR
from havre.store.ports import Change, Transaction

MEASURED_EVERY = 900.0
"""Seconds."""


class Make(Effect, frozen=True):
    id: str


class Forget(Effect, frozen=True):
    id: str


class Measure(Effect, frozen=True):
    account: str
    region: str
    id: str


class Seen(msgspec.Struct, frozen=True):
    file_system: FileSystemR
    now: float


class Shelving:
    """Keys are file systems."""

    name = "efs.file_system"
    watches: tuple[str, ...] = (FILE_SYSTEM.name,)
    resync = 3600.0

    def __init__(self, deps: ReconcilerDeps, shelf: Shelf) -> None:
        self._deps, self._shelf = deps, shelf

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {Make: self._make, Forget: self._forget, Measure: self._measure}

    def all_keys(self) -> Iterable[Key]:
        return [r.key for r in self._deps.store.list(FILE_SYSTEM)]

    def keys_of(self, change: Change) -> Iterable[Key]:
        return (change.key,) if change.new is not None else ()

    def key_of(self, arn: str) -> Key | None:
        parts = arn.split(":", 5)
        if len(parts) != 6 or not parts[5].startswith("file-system/"):
            return None
        return Key(FILE_SYSTEM.name, parts[4], parts[3], parts[5].removeprefix("file-system/"))

    async def observe(self, key: Any) -> Seen | None:
        found = self._deps.store.get(FILE_SYSTEM, key.account, key.region, key.name)
        return None if found is None else Seen(found, self._deps.world.now())

    def decide(self, seen: Seen) -> Plan:
        found, meta = seen.file_system, seen.file_system.meta
        if meta.deleting is not None:
            return Plan((Forget(meta.arn, meta.name),), (Remove(found),), reasons=("Its files are being removed.",))
        if not found.status.made:
            status = replace(found.status, made=True)
            return Plan((Make(meta.arn, meta.name),), (Update(found, status=status),), seen.now, ("It is being made.",))
        due = max(found.status.measured, meta.created) + MEASURED_EVERY
        if due > seen.now:
            return Plan(wake_at=due, reasons=("It is available.",))
        return Plan((Measure(meta.arn, meta.account, meta.region, meta.name),), reasons=("It is being measured.",))

    async def _make(self, effect: Make) -> None:
        await self._shelf.make(effect.id)

    async def _forget(self, effect: Forget) -> None:
        await self._shelf.remove(effect.id)

    async def _measure(self, effect: Measure) -> None:
        size, now = await self._shelf.size(effect.id), self._deps.world.now()

        def change(tx: Transaction) -> None:
            fresh = tx.get(FILE_SYSTEM, effect.account, effect.region, effect.id)
            if fresh is not None:
                tx.update(fresh, status=replace(fresh.status, size=size, measured=now))

        await self._deps.store.transact(change)
