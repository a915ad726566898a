"""Code that no function, version or layer names any more goes from the disk."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.control.sweep import Sweep
from havre.kernel.effects import Effect, Plan
from havre.kernel.function import Code
from havre.services.lambda_.facilities import Facilities
from havre.services.lambda_.resources import FUNCTION, LAYER, VERSION, Configuration, FunctionR, VersionR
from havre.store.ports import Reader

EVERY = 3600.0


class Seen(msgspec.Struct, frozen=True):
    now: float
    used: tuple[str, ...]


class Keep(Effect, frozen=True):
    """What else there is goes."""

    used: tuple[str, ...]


class Sweeping(Sweep):
    """One key: the whole store of code, once an hour."""

    name = "lambda.code"
    resync = EVERY

    def __init__(self, deps: ReconcilerDeps, facilities: Facilities) -> None:
        super().__init__(deps)
        self._facilities = facilities

    async def observe(self, key: str) -> Seen:
        return Seen(self._deps.world.now(), tuple(sorted(used_digests(self._deps.store))))

    def decide(self, seen: Seen) -> Plan:
        return Plan((Keep(f"sweep {seen.now}", seen.used),), wake_at=seen.now + EVERY)

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {Keep: self._sweep}

    async def _sweep(self, effect: Keep) -> None:
        await self._facilities.open_code().sweep(set(effect.used) | used_digests(self._deps.store))


def used_digests(reader: Reader) -> set[str]:
    """What some record names, what invocations still run included."""
    found: list[Code] = [r.spec.code for r in reader.list(LAYER)]
    records: list[FunctionR | VersionR] = [*reader.list(FUNCTION), *reader.list(VERSION)]
    for record in records:
        serving = record.status.serving
        for config in (record.spec.config, *((serving,) if serving is not None else ())):
            found += codes_of(config)
    return {code.kept for code in found if code.kind == "zip"}


def codes_of(config: Configuration) -> list[Code]:
    return [config.code, *(layer.code for layer in config.layers)]
