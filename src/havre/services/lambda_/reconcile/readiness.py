"""Makes functions and versions ready: what their users want becomes what invocations run once it is prepared.

A failed creation or update says why, and leaves running what was before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.kernel.arn import Arn
from havre.kernel.effects import NOTHING, Effect, Plan, Update
from havre.kernel.errors import Permanent
from havre.kernel.function import Function
from havre.kernel.resource import Kind
from havre.services.lambda_.capacity import ACTIVE_ONLY_PUBLISHED
from havre.services.lambda_.compile import wanted_of
from havre.services.lambda_.facilities import Facilities
from havre.services.lambda_.present import updating
from havre.services.lambda_.queries import is_version
from havre.services.lambda_.resources import FUNCTION, LATEST, VERSION, FunctionR, Readiness, VersionR, qualified
from havre.store.ports import Change

_MACHINE = ("functions need root", "control groups lack", "libseccomp is not installed")
"""Words of the engine when it is this machine that runs no function: nothing is wrong with the code."""


class Place(NamedTuple):
    """A function or a version that is there."""

    kind: str
    account: str
    region: str
    name: str


class Retired(NamedTuple):
    """A kernel function that nothing is invoked by any more. Forgotten with the process: idle environments go by themselves
    after a time."""

    id: str


Key = Place | Retired


class Seen(msgspec.Struct, frozen=True):
    """``unlogged``: why its lines are not in CloudWatch Logs; "" when they are. ``lost``: it is ready, but its snapshot is
    of a former life."""

    record: Any = None
    retired: str = ""
    unlogged: str = ""
    lost: bool = False


class Prepare(Effect, frozen=True):
    function: Function


class Retire(Effect, frozen=True):
    id: str


class Readying:
    name = "lambda.readiness"
    watches: tuple[str, ...] = (FUNCTION.name, VERSION.name)
    resync = 300.0

    def __init__(self, deps: ReconcilerDeps, facilities: Facilities) -> None:
        self._store = deps.store
        self._facilities = facilities
        self._snapshots: set[str] = set()
        """Functions with SnapStart that were prepared, or could not be, in this life."""

    def keys_of(self, change: Change) -> Iterable[Key]:
        if change.new is not None:
            yield Place(*change.key)
        old = change.old
        if old is not None and old.status.prepared:
            now = change.new.status.prepared if change.new is not None else ""
            if now != old.status.prepared:
                yield Retired(old.status.prepared)

    def all_keys(self) -> Iterable[Key]:
        kinds: tuple[Kind[Any, Any], ...] = (FUNCTION, VERSION)
        return [Place(*record.key) for kind in kinds for record in self._store.list(kind)]

    def key_of(self, arn: str) -> Key | None:
        try:
            parsed = Arn.parse(arn)
        except ValueError:
            return None
        if parsed.service != "lambda" or parsed.kind != "function":
            return None
        name, _, number = parsed.name.partition(":")
        if is_version(number):
            return Place(VERSION.name, parsed.account, parsed.region, qualified(name, number))
        return Place(FUNCTION.name, parsed.account, parsed.region, name) if number in ("", LATEST) else None

    async def observe(self, key: Key) -> Seen | None:
        if isinstance(key, Retired):
            return Seen(retired=key.id)
        record = self._store.get(self._store.kind(key.kind), key.account, key.region, key.name)
        return None if record is None else Seen(record, unlogged=self._unlogged(record), lost=self._lost(record))

    def _lost(self, record: FunctionR | VersionR) -> bool:
        status = record.status
        taken = record.kind == VERSION.name and record.spec.config.snap_start and status.serving is not None
        return taken and status.prepared not in self._snapshots

    def _unlogged(self, record: FunctionR | VersionR) -> str:
        serving = record.status.serving
        if serving is None:
            return ""
        meta = record.meta
        return self._facilities.unlogged(meta.account, meta.region, serving.logs.group, serving.role)

    def decide(self, seen: Seen) -> Plan:
        if seen.retired:
            return Plan((Retire(f"retire {seen.retired}", seen.retired),))
        record: FunctionR | VersionR = seen.record
        if record.kind == VERSION.name and record.spec.config.managed is not None:
            return NOTHING  # lambda.managed's
        if not updating(record):
            reasons = _reasons(record.status, seen.unlogged)
            again = _again(record) if seen.lost else ()
            return Plan(again, reasons=reasons, on_failure=_not_again) if reasons or again else NOTHING
        function = wanted_of(record)
        done = Update(record, status=ready(record, function))
        return Plan(
            (Prepare(f"prepare {function.id}", function),),
            (done,),
            reasons=(f"version {function.version} is being prepared",),
            on_failure=lambda effect, error: _failed(record, error),
        )

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {Prepare: self._prepare, Retire: self._retire}

    async def _prepare(self, effect: Prepare) -> None:
        try:
            await self._facilities.open_functions().prepare(effect.function)
        except Permanent:
            self._asked(effect.function)
            raise
        self._asked(effect.function)

    def _asked(self, function: Function) -> None:
        if function.snap_start:
            self._snapshots.add(function.id)

    async def _retire(self, effect: Retire) -> None:
        self._snapshots.discard(effect.id)
        await self._facilities.open_functions().retire(effect.id)


def _again(record: FunctionR | VersionR) -> tuple[Effect, ...]:
    """It is made once more, in advance; who invokes meanwhile waits for it."""
    function = wanted_of(record)
    return (Prepare(f"prepare {function.id} again", function),)


def _not_again(effect: Effect, error: Exception) -> Plan:
    """What fails for good is told to who invokes."""
    if not isinstance(error, Permanent):
        raise error
    return NOTHING


def ready(record: FunctionR | VersionR, function: Function) -> Readiness:
    managed = record.spec.config.managed is not None
    return Readiness(
        generation=record.spec.generation,
        state=ACTIVE_ONLY_PUBLISHED if managed else "Active",
        reason="",
        reason_code="",
        serving=record.spec.config,
        prepared=function.id,
    )


def failed(record: FunctionR | VersionR, reason: str) -> Readiness:
    """Of the creation, or of an update: then what was before goes on."""
    status, code = record.status, reason_code(record, reason)
    dealt = replace(status, generation=record.spec.generation)
    if status.serving is None:
        return replace(
            dealt,
            state="Failed",
            reason=reason,
            reason_code=code,
            update="Failed",
            update_reason=reason,
            update_code=code,
        )
    return replace(dealt, update="Failed", update_reason=reason, update_code=code)


def reason_code(record: FunctionR | VersionR, reason: str) -> str:
    """AWS's code for why code could not be made ready."""
    config = record.spec.config
    if reason.startswith(_MACHINE):
        return "InternalError"
    if config.package == "Image":
        return "InvalidImage"
    if record.kind == VERSION.name and config.snap_start and "on this machine" not in reason:
        return "FunctionError"
    return "InvalidRuntime" if "runtime" in reason.lower() else "InvalidZipFileException"


def _failed(record: FunctionR | VersionR, error: Exception) -> Plan:
    if not isinstance(error, Permanent):
        raise error
    return Plan(writes=(Update(record, status=failed(record, error.reason)),), reasons=(error.reason,))


def _reasons(status: Readiness, unlogged: str) -> tuple[str, ...]:
    told = (
        ("creation", status.reason),
        ("update", status.update_reason),
        ("its log lines are not written", unlogged),
    )
    return tuple(f"{what}: {why}" for what, why in told if why)
