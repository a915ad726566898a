"""Rotates keys when it is due, and removes those whose time has come, with their material, aliases and grants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.kernel.effects import NOTHING, Effect, Plan, Remove
from havre.kernel.resource import Key
from havre.services.kms import queries, using
from havre.services.kms.resources import KEY, SYMMETRIC, KeyR
from havre.services.kms.vault import Vault
from havre.store.ports import Change, Transaction

DAY = 86400.0
RESYNC = 3600.0


class Rotate(Effect, frozen=True):
    """Give the key of this name new material, unless it was rotated after ``since``."""

    account: str
    region: str
    name: str
    since: float


class Seen(msgspec.Struct, frozen=True):
    """``attached``: the key's aliases and grants."""

    key: KeyR
    attached: tuple[Any, ...]
    now: float


class Keeping:
    """Keys are KMS's."""

    name = "kms.key"
    watches: tuple[str, ...] = (KEY.name,)
    resync = RESYNC

    def __init__(self, deps: ReconcilerDeps, vault: Vault) -> None:
        self._deps, self._vault = deps, vault

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {Rotate: self.rotate}

    def all_keys(self) -> Iterable[Key]:
        return [r.key for r in self._deps.store.list(KEY)]

    def keys_of(self, change: Change) -> Iterable[Key]:
        return (change.key,) if change.new is not None else ()

    def key_of(self, arn: str) -> Key | None:
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[2] != "kms" or not parts[5].startswith("key/"):
            return None
        return Key(KEY.name, parts[4], parts[3], parts[5].removeprefix("key/"))

    async def observe(self, key: Any) -> Seen | None:
        store = self._deps.store
        found = store.get(KEY, key.account, key.region, key.name)
        if found is None:
            return None
        attached = (*queries.aliases(store, found), *queries.grants(store, found))
        return Seen(found, attached, self._deps.world.now())

    def decide(self, seen: Seen) -> Plan:
        spec = seen.key.spec
        if spec.deletion is not None:
            if spec.deletion > seen.now:
                return Plan(wake_at=spec.deletion, reasons=("It will be deleted.",))
            return Plan(writes=(*map(Remove, seen.attached), Remove(seen.key)), reasons=("It is being deleted.",))
        if not spec.period or spec.spec != SYMMETRIC:
            return NOTHING
        due = spec.rotated + spec.period * DAY
        if due > seen.now or not spec.enabled:
            return Plan(wake_at=due if spec.enabled else None, reasons=("It is rotated when that is due.",))
        meta = seen.key.meta
        effect = Rotate(f"{meta.arn} {spec.rotated}", meta.account, meta.region, meta.name, spec.rotated)
        return Plan((effect,), reasons=("It is being rotated.",))

    async def rotate(self, effect: Rotate) -> None:
        where = effect.account, effect.region, effect.name
        found = self._deps.store.get(KEY, *where)
        if found is None:
            return
        now = self._deps.world.now()
        made = await using.material(self._vault, SYMMETRIC, found.meta.arn, now, "AUTOMATIC")

        def change(tx: Transaction) -> None:
            fresh = tx.get(KEY, *where)
            if fresh is not None and fresh.spec.rotated == effect.since and fresh.spec.deletion is None:
                tx.update(fresh, spec=replace(fresh.spec, rotated=now, materials=(*fresh.spec.materials, made)))

        await self._deps.store.transact(change)
