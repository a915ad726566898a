"""Code that no function, version or layer names any more goes from the disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.kernel.effects import Effect, Plan
from havre.kernel.function import Code
from havre.services.lambda_.facilities import Facilities
from havre.services.lambda_.resources import FUNCTION, LAYER, VERSION, Configuration, FunctionR, VersionR
from havre.store.ports import Change, Reader

EVERY = 3600.0
ALL = "all"


class Seen(msgspec.Struct, frozen=True):
    now: float
    used: tuple[str, ...]


class Sweep(Effect, frozen=True):
    used: tuple[str, ...]


class Sweeping:
    """One key: the whole store of code, once an hour."""

    name = "lambda.code"
    watches: tuple[str, ...] = ()
    resync = EVERY

    def __init__(self, deps: ReconcilerDeps, facilities: Facilities) -> None:
        self._store, self._world, self._facilities = deps.store, deps.world, facilities

    def keys_of(self, change: Change) -> Iterable[str]:
        return ()

    def all_keys(self) -> Iterable[str]:
        return (ALL,)

    def key_of(self, arn: str) -> str | None:
        return None

    async def observe(self, key: str) -> Seen:
        return Seen(self._world.now(), tuple(sorted(used_digests(self._store))))

    def decide(self, seen: Seen) -> Plan:
        return Plan((Sweep(f"sweep {seen.now}", seen.used),), wake_at=seen.now + EVERY)

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {Sweep: self._sweep}

    async def _sweep(self, effect: Sweep) -> None:
        await self._facilities.open_code().sweep(set(effect.used) | used_digests(self._store))


def used_digests(reader: Reader) -> set[str]:
    """What some record names, what invocations still run included."""
    found: list[Code] = [r.spec.code for r in reader.list(LAYER)]
    records: list[FunctionR | VersionR] = [*reader.list(FUNCTION), *reader.list(VERSION)]
    for record in records:
        serving = record.status.serving
        for config in (record.spec.config, *((serving,) if serving is not None else ())):
            found += codes_of(config)
    return {code.digest for code in found if code.kind == "zip"}


def codes_of(config: Configuration) -> list[Code]:
    return [config.code, *(layer.code for layer in config.layers)]
