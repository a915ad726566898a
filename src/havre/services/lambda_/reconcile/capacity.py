"""Capacity providers come into being, and go: there are no instances to be started or ended for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.kernel.arn import Arn
from havre.kernel.effects import NOTHING, Effect, Plan, Remove, Update
from havre.services.lambda_.capacity import CapacityStatus
from havre.services.lambda_.resources import CAPACITY, CapacityR
from havre.store.ports import Change


class Key(NamedTuple):
    account: str
    region: str
    name: str


class Seen(msgspec.Struct, frozen=True):
    record: CapacityR


class Providing:
    name = "lambda.capacity"
    watches: tuple[str, ...] = (CAPACITY.name,)
    resync = 300.0

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._store = deps.store

    def keys_of(self, change: Change) -> Iterable[Key]:
        return () if change.new is None else (Key(*change.key[1:]),)

    def all_keys(self) -> Iterable[Key]:
        return [Key(*record.key[1:]) for record in self._store.list(CAPACITY)]

    def key_of(self, arn: str) -> Key | None:
        try:
            parsed = Arn.parse(arn)
        except ValueError:
            return None
        if parsed.service != "lambda" or parsed.kind != "capacity-provider":
            return None
        return Key(parsed.account, parsed.region, parsed.name)

    async def observe(self, key: Key) -> Seen | None:
        record = self._store.get(CAPACITY, *key)
        return None if record is None else Seen(record)

    def decide(self, seen: Seen) -> Plan:
        record = seen.record
        if record.meta.deleting is not None:
            return Plan(writes=(Remove(record),))
        if record.status.state == "Active":
            return NOTHING
        return Plan(writes=(Update(record, status=CapacityStatus("Active")),))

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {}
