"""Versions on capacity providers: made ready with as many environments as they are to have, and scaled from then on.

What a version is to have is decided by ``core.managed.scaling``; what it gets of its provider's vCPUs by the ledger, which
is this process's: after a start it is made anew of what versions have by their records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.core.managed.ledger import Ledger
from havre.core.managed.scaling import COOL_DOWN, TARGET, Bounds, Load, wanted
from havre.kernel.arn import Arn
from havre.kernel.effects import NOTHING, Effect, Plan, Update
from havre.kernel.errors import Permanent
from havre.kernel.function import Function, Provisioned
from havre.services.lambda_.capacity_queries import bounds_of
from havre.services.lambda_.compile import function_of, wanted_of
from havre.services.lambda_.facilities import Facilities
from havre.services.lambda_.present import updating
from havre.services.lambda_.queries import is_version
from havre.services.lambda_.reconcile.readiness import failed
from havre.services.lambda_.resources import CAPACITY, VERSION, CapacityR, Readiness, VersionR, qualified
from havre.store.ports import Change

SOON, LATER = 0.1, 1.0
"""Seconds until the next look: while environments are missing, and at how they do."""
_NO_VCPUS = "CapacityProviderScalingLimitExceeded"
_NO_ROOM = "InsufficientCapacity"


class Key(NamedTuple):
    """A version."""

    account: str
    region: str
    name: str


class Held(msgspec.Struct, frozen=True):
    """Environments of one function of the version: ``asked`` for, and ``granted`` of the provider's vCPUs. ``rested``: it is
    long enough since that changed. ``refused`` of the last look."""

    function: Function
    asked: int
    granted: int
    rested: bool
    refused: int


class Seen(msgspec.Struct, frozen=True):
    """``record`` is None when the version has gone. ``held`` and ``states`` by the function's id; ``fetched``: the files of
    these are there."""

    now: float
    record: VersionR | None
    provider: CapacityR | None
    held: Mapping[str, Held]
    states: Mapping[str, Provisioned]
    fetched: frozenset[str]


class Fetch(Effect, frozen=True):
    function: Function


class Keep(Effect, frozen=True):
    """``most``: vCPUs of the provider. ``refused`` is remembered: what comes beyond it is new."""

    function: Function
    count: int
    owner: Key
    provider: str
    most: int
    refused: int


class Drop(Effect, frozen=True):
    """Nothing of it is wanted any more."""

    function: Function
    owner: Key


class Managing:
    name = "lambda.managed"
    watches: tuple[str, ...] = (VERSION.name, CAPACITY.name)
    resync = 60.0

    def __init__(self, deps: ReconcilerDeps, facilities: Facilities) -> None:
        self._store = deps.store
        self._world = deps.world
        self._facilities = facilities
        self._ledger = Ledger()
        self._held: dict[Key, dict[str, _Memory]] = {}
        self._fetched: set[str] = set()

    def keys_of(self, change: Change) -> Iterable[Key]:
        record: Any = change.new or change.old
        if change.key.kind == CAPACITY.name:
            return [Key(*each.key[1:]) for each in self._store.find(VERSION, "provider", record.meta.arn)]
        key = Key(*change.key[1:])
        return (key,) if record.spec.config.managed is not None or key in self._held else ()

    def all_keys(self) -> Iterable[Key]:
        on_providers = (r for r in self._store.list(VERSION) if r.spec.config.managed is not None)
        return {Key(*record.key[1:]) for record in on_providers} | self._held.keys()

    def key_of(self, arn: str) -> Key | None:
        try:
            parsed = Arn.parse(arn)
        except ValueError:
            return None
        name, _, number = parsed.name.partition(":")
        if parsed.service != "lambda" or parsed.kind != "function" or not is_version(number):
            return None
        return Key(parsed.account, parsed.region, qualified(name, number))

    async def observe(self, key: Key) -> Seen | None:
        record = self._store.get(VERSION, *key)
        managed = record.spec.config.managed if record is not None else None
        memories = self._held.get(key, {})
        if managed is None:
            record = None
        if record is None and not memories:
            return None
        provider = None
        if managed is not None:
            provider = self._store.get(CAPACITY, key.account, key.region, Arn.parse(managed.provider).name)
        now = self._world.now()
        held = {
            id: Held(
                memory.function,
                memory.asked,
                self._ledger.has(memory.provider, id),
                now >= memory.changed + COOL_DOWN,
                memory.refused,
            )
            for id, memory in memories.items()
        }
        states = self._facilities.open_functions().provisioned()
        return Seen(now, record, provider, held, states, frozenset(self._fetched))

    def decide(self, seen: Seen) -> Plan:
        record = seen.record
        if record is None or seen.provider is None:
            return Plan(tuple(_drop(seen, each.function) for each in seen.held.values()))
        if bounds_of(record).off:
            return _switched_off(seen, record)
        serving = function_of(record)
        arriving = wanted_of(record) if updating(record) else None
        known = {f.id for f in (serving, arriving) if f is not None}
        effects: list[Effect] = [_drop(seen, h.function) for id, h in seen.held.items() if id not in known]
        writes: list[Update] = []
        reasons: list[str] = []
        wake = seen.now + LATER
        status = record.status
        if serving is not None:
            count = _scaled(seen, record, serving)
            effects += _kept(seen, record, serving, count)
            status = _settled(seen, record, status, serving)
            reasons += _short(seen, serving, count)
        if arriving is not None:
            effects += _kept(seen, record, arriving, bounds_of(record).least)
            status = _arrived(seen, record, status, arriving)
            wake = seen.now + SOON
        elif status.state == "Pending":
            wake = seen.now + SOON
        if status != record.status:
            writes.append(Update(record, status=status))
        return Plan(
            tuple(effects),
            tuple(writes),
            wake_at=wake,
            reasons=(*reasons, *_told(status)),
            on_failure=lambda effect, error: _unfetched(record, error),
        )

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {Fetch: self._fetch, Keep: self._keep, Drop: self._drop}

    async def _fetch(self, effect: Fetch) -> None:
        await self._facilities.open_functions().prepare(effect.function)
        self._fetched.add(effect.function.id)

    async def _keep(self, effect: Keep) -> None:
        function, memories = effect.function, self._held.setdefault(effect.owner, {})
        memory = memories.get(function.id)
        if memory is None:
            memory = memories[function.id] = _Memory(function, effect.provider, self._world.now())
        memory.asked, memory.refused = effect.count, effect.refused
        granted = self._ledger.claim(effect.provider, function.id, function.cpus, effect.count, effect.most)
        if granted != memory.granted:
            memory.granted, memory.changed = granted, self._world.now()
            await self._facilities.open_functions().provision(function, granted)

    async def _drop(self, effect: Drop) -> None:
        memories = self._held.get(effect.owner, {})
        memory = memories.pop(effect.function.id, None)
        if not memories:
            self._held.pop(effect.owner, None)
        self._fetched.discard(effect.function.id)
        if memory is not None:
            self._ledger.release(memory.provider, effect.function.id)
            await self._facilities.open_functions().provision(effect.function, 0)
            await self._facilities.open_functions().retire(effect.function.id)


class _Memory(msgspec.Struct):
    """``granted`` -1: nothing was asked of the nodes yet."""

    function: Function
    provider: str
    changed: float
    asked: int = 0
    granted: int = -1
    refused: int = 0


def _owner(record: VersionR) -> Key:
    return Key(*record.key[1:])


def _drop(seen: Seen, function: Function) -> Drop:
    number = function.arn.rpartition(":")[2]
    owner = Key(function.account, function.region, qualified(function.name, number))
    return Drop(f"drop {function.id}", function, owner)


def _kept(seen: Seen, record: VersionR, function: Function, count: int) -> list[Effect]:
    assert seen.provider is not None
    fetch = [] if function.id in seen.fetched else [Fetch(f"fetch {function.id}", function)]
    state, provider = seen.states.get(function.id, Provisioned()), seen.provider
    most, arn = provider.spec.max_vcpus, provider.meta.arn
    keep = Keep(f"keep {function.id}", function, count, _owner(record), arn, most, state.refused)
    return [*fetch, keep]


def _scaled(seen: Seen, record: VersionR, serving: Function) -> int:
    """Environments that it is to have now."""
    assert seen.provider is not None
    bounds, target = bounds_of(record), seen.provider.spec.target or TARGET
    held, state = seen.held.get(serving.id), seen.states.get(serving.id, Provisioned())
    now = held.granted if held is not None else record.status.environments
    if held is None:
        return bounds.hold(now)
    load = Load(state.ready, state.cpu, state.busy, state.refused > held.refused)
    return wanted(now, load, bounds, target, rested=held.rested)


def _settled(seen: Seen, record: VersionR, status: Readiness, serving: Function) -> Readiness:
    """Of what is served: how many there are to be, and whether it is switched on again."""
    held, bounds = seen.held.get(serving.id), bounds_of(record)
    if held is None:
        return status
    ready = seen.states.get(serving.id, Provisioned()).ready
    status = replace(status, environments=held.granted)
    if status.state in ("Deactivating", "Deactivated"):
        return replace(status, state="Pending", reason="The function is being activated.", reason_code="Restoring")
    if ready and ready >= min(bounds.least, held.granted):
        status = replace(status, applied=bounds)
        if status.state == "Pending":
            status = replace(status, state="Active", reason="", reason_code="")
    return status


def _arrived(seen: Seen, record: VersionR, status: Readiness, arriving: Function) -> Readiness:
    """Whether what was published is ready, or cannot be."""
    held = seen.held.get(arriving.id)
    if held is None:
        return status
    state, bounds = seen.states.get(arriving.id, Provisioned()), bounds_of(record)
    if held.granted == 0 and held.asked:
        assert seen.provider is not None
        most = seen.provider.spec.max_vcpus
        return _failed(record, f"The capacity provider has no vCPUs left of its maximum of {most}.", _NO_VCPUS)
    enough = state.ready >= min(bounds.least, held.granted) or state.short
    if state.ready and enough:
        return Readiness(
            generation=record.spec.generation,
            state="Active",
            reason="",
            reason_code="",
            serving=record.spec.config,
            prepared=arriving.id,
            environments=held.granted,
            applied=bounds,
        )
    if state.short and not state.ready:
        return _failed(record, state.error or "There is no room for an environment.", _NO_ROOM)
    if state.error and not state.ready:
        return _failed(record, state.error, _init_code(state.error))
    return status


def _init_code(error: str) -> str:
    """AWS's code for an environment that did not get ready."""
    if "timed out" in error:
        return "FunctionError.InitTimeout"
    if error.startswith("Extension."):
        return "FunctionError.ExtensionInitError"
    return "FunctionError.InvalidEntryPoint" if error.startswith("Runtime.InvalidEntry") else "FunctionError"


def _failed(record: VersionR, reason: str, code: str) -> Readiness:
    found = failed(record, reason)
    if record.status.serving is None:
        return replace(found, reason_code=code, update_code=code)
    return replace(found, update_code=code)


def _unfetched(record: VersionR, error: Exception) -> Plan:
    if not isinstance(error, Permanent) or not updating(record):
        raise error
    return Plan(writes=(Update(record, status=failed(record, error.reason)),), reasons=(error.reason,))


def _switched_off(seen: Seen, record: VersionR) -> Plan:
    """Environments go; a version that was never ready stays as it is until it is switched on."""
    effects = tuple(_drop(seen, each.function) for each in seen.held.values())
    status = record.status
    if status.serving is None:
        return Plan(effects)
    busy = bool(effects) or any(seen.states.get(id, Provisioned()).ready for id in seen.held)
    state = "Deactivating" if busy else "Deactivated"
    off = Bounds(0, 0)
    wanted_status = replace(
        status, state=state, reason="The function is deactivated.", reason_code="", environments=0, applied=off
    )
    writes = () if wanted_status == status else (Update(record, status=wanted_status),)
    if not effects and not writes:
        return NOTHING
    return Plan(effects, writes, wake_at=seen.now + SOON if busy else None)


def _short(seen: Seen, serving: Function, count: int) -> list[str]:
    state, held = seen.states.get(serving.id, Provisioned()), seen.held.get(serving.id)
    found = [f"environments: {state.error}"] if state.error else []
    if held is not None and held.granted < count:
        found.append(f"{count} environments are wanted, and the capacity provider has vCPUs for {held.granted}")
    return found


def _told(status: Readiness) -> tuple[str, ...]:
    told = (("creation", status.reason), ("update", status.update_reason))
    return tuple(f"{what}: {why}" for what, why in told if why)
