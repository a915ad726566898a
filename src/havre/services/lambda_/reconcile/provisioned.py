"""Keeps environments initialised for those versions and aliases that want some, and says how far they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.core.invoking.split import split
from havre.kernel.effects import NOTHING, Effect, Plan, Update
from havre.kernel.errors import ApiError
from havre.kernel.function import Function, Provisioned
from havre.kernel.resource import scoped
from havre.services.lambda_ import queries
from havre.services.lambda_.compile import function_of
from havre.services.lambda_.facilities import Facilities
from havre.services.lambda_.resources import (
    ALIAS,
    FUNCTION,
    LATEST,
    PROVISIONED,
    VERSION,
    ProvisionedR,
    ProvisionedStatus,
)
from havre.store.ports import Change

SOON, LATER = 0.25, 10.0
"""Seconds until the next look at environments: while some are missing, and when all are there."""


class Key(NamedTuple):
    """A function with all its versions and aliases."""

    account: str
    region: str
    function: str


class Wanted(msgspec.Struct, frozen=True):
    """One configuration: what it comes to. ``functions``: (function, count); ``missing``: why one cannot be kept yet."""

    config: ProvisionedR
    functions: tuple[tuple[Function, int], ...]
    missing: str = ""


class Seen(msgspec.Struct, frozen=True):
    """``asked``: the functions that environments are kept of now. ``kept``: how far those are, by the function's id."""

    now: float
    wanted: tuple[Wanted, ...]
    asked: tuple[Function, ...]
    kept: Mapping[str, Provisioned]


class Keep(Effect, frozen=True):
    function: Function
    count: int
    owner: Key


class Provisioning:
    name = "lambda.provisioned"
    watches: tuple[str, ...] = (PROVISIONED.name, ALIAS.name, VERSION.name, FUNCTION.name)
    resync = 300.0

    def __init__(self, deps: ReconcilerDeps, facilities: Facilities) -> None:
        self._store = deps.store
        self._world = deps.world
        self._facilities = facilities
        self._asked: dict[Key, dict[str, Function]] = {}

    def keys_of(self, change: Change) -> Iterable[Key]:
        record = change.new or change.old
        if record is None:
            return ()
        key = Key(change.key.account, change.key.region, record.spec.function)
        concerned = change.key.kind == PROVISIONED.name or key in self._asked or self._configs(key)
        return (key,) if concerned else ()

    def all_keys(self) -> Iterable[Key]:
        found = {Key(r.meta.account, r.meta.region, r.spec.function) for r in self._store.list(PROVISIONED)}
        return found | self._asked.keys()

    def key_of(self, arn: str) -> Key | None:
        return None

    def _configs(self, key: Key) -> Iterable[ProvisionedR]:
        return self._store.find(PROVISIONED, "function", scoped(*key))

    async def observe(self, key: Key) -> Seen | None:
        configs = self._configs(key)
        asked = tuple(self._asked.get(key, {}).values())
        if not configs and not asked:
            return None
        kept = self._facilities.open_functions().provisioned()
        return Seen(self._world.now(), tuple(self._wanted(each) for each in configs), asked, kept)

    def _wanted(self, config: ProvisionedR) -> Wanted:
        m, spec = config.meta, config.spec
        try:
            found = queries.resolve(self._store, m.account, m.region, spec.function, spec.qualifier)
        except ApiError as gone:
            return Wanted(config, (), gone.message)
        parts = split(spec.count, [each for each in found.shares if each[0] != LATEST])
        functions = []
        for version, count in parts.items():
            try:
                function = function_of(queries.record(self._store, found.function, version))
            except ApiError as gone:
                return Wanted(config, (), gone.message)
            if function is None:
                return Wanted(config, (), f"version {version} is not ready")
            functions.append((function, count))
        return Wanted(config, tuple(functions))

    def decide(self, seen: Seen) -> Plan:
        """What is not wanted any more goes when what is wanted instead is there."""
        wanted = {function.id: (function, count) for each in seen.wanted for function, count in each.functions}
        effects = [Keep(f"keep {count} of {id}", f, count, _owner(f)) for id, (f, count) in wanted.items()]
        states = [(each.config, state(each, seen.kept)) for each in seen.wanted]
        settled = all(s.available >= c.spec.count or s.reason for c, s in states)
        if settled:
            gone = [f for f in seen.asked if f.id not in wanted]
            effects += [Keep(f"keep 0 of {f.id}", f, 0, _owner(f)) for f in gone]
        writes = tuple(Update(config, status=status) for config, status in states)
        if not effects and not writes:
            return NOTHING
        wake = seen.now + (LATER if settled else SOON) if seen.wanted else None
        reasons = tuple(f"{c.spec.qualifier}: {s.reason}" for c, s in states if s.reason)
        return Plan(tuple(effects), writes, wake_at=wake, reasons=reasons)

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {Keep: self._keep}

    async def _keep(self, effect: Keep) -> None:
        await self._facilities.open_functions().provision(effect.function, effect.count)
        asked = self._asked.setdefault(effect.owner, {})
        if effect.count:
            asked[effect.function.id] = effect.function
        else:
            asked.pop(effect.function.id, None)
        if not asked:
            self._asked.pop(effect.owner, None)


def _owner(function: Function) -> Key:
    return Key(function.account, function.region, function.name)


def state(wanted: Wanted, kept: Mapping[str, Provisioned]) -> ProvisionedStatus:
    """Pure."""
    spec = wanted.config.spec
    now = [kept.get(function.id, Provisioned()) for function, _ in wanted.functions]
    counts = [count for _, count in wanted.functions]
    available = sum(min(each.ready, count) for each, count in zip(now, counts, strict=True))
    allocated = sum(min(each.wanted, count) for each, count in zip(now, counts, strict=True))
    error = next((each.error for each in now if each.error), "")
    return ProvisionedStatus(
        token=spec.token,
        allocated=max(allocated, available),
        available=available,
        reason=error if available < spec.count else "",
        functions=tuple(function.id for function, _ in wanted.functions),
    )
