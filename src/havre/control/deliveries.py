"""Deliveries that survive: written with the change that asks for them, carried until they arrive or are given up.

A service makes a kind of its own (``delivery_kind``), creates a record in the transaction that acknowledges the message,
and brings a courier. Each delivery is carried at least once, also when the process is killed at any instant: the record
goes only when the courier has come back. Records of one lane are carried one after the other, in the order of their names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.core.delivery import RetryPolicy, next_attempt
from havre.kernel.effects import Effect, Plan, Remove, Update
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.kernel.resource import Kind, Resource, scoped
from havre.store.ports import Change, Transaction

log = logging.getLogger("havre.control")

CONCURRENCY = 128
RESYNC = 600.0
BURIALS = 10
"""So often is a dead-letter queue tried."""
BURIAL_DELAY = 5.0
_PASSING = frozenset({"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"})


class Delivery(msgspec.Struct, frozen=True):
    """``parcel`` is the service's own record of what goes where. ``lane`` is the delivery's own name, or what it shares with
    those that must not overtake it. ``began``: when it was asked for, seconds since the epoch."""

    parcel: bytes
    lane: str
    began: float
    policy: RetryPolicy


class Progress(msgspec.Struct, frozen=True):
    """``failed`` attempts; ``due``: not before this time; ``code`` and ``error`` of the last failure; ``lost``: given up,
    and on its way to the dead-letter queue, which was tried ``burials`` times."""

    failed: int = 0
    due: float = 0.0
    code: str = ""
    error: str = ""
    lost: bool = False
    burials: int = 0


Parcel: TypeAlias = Resource[Delivery, Progress]
DeliveryKind: TypeAlias = Kind[Delivery, Progress]
Lane = tuple[str, str, str]
"""(account, region, lane)."""


def delivery_kind(name: str) -> DeliveryKind:
    return Kind(name, Delivery, Progress, {"lane": lambda r: scoped(r.meta.account, r.meta.region, r.spec.lane)})


def send(tx: Transaction, kind: DeliveryKind, account: str, region: str, name: str, spec: Delivery) -> None:
    """Ask for a delivery. Names are unique, and in the order in which a lane is to be carried."""
    tx.create(kind, account=account, region=region, name=name, arn="", spec=spec, status=Progress())


class Courier(Protocol):
    async def carry(self, parcel: Parcel) -> None:
        """Raises Temporary to be sent again, anything else that is expected (Permanent, ApiError) to give up at once."""
        ...

    async def bury(self, parcel: Parcel) -> None:
        """Hand a parcel that was given up to its dead-letter queue, if it has one. Errors as of ``carry``."""
        ...


class Seen(msgspec.Struct, frozen=True):
    """``head`` is the first of its lane; ``chance`` a number from 0 to 1."""

    now: float
    chance: float
    head: Parcel


class Carry(Effect, frozen=True):
    parcel: Any


class Bury(Effect, frozen=True):
    parcel: Any


def temporary(error: ApiError) -> Temporary | ApiError:
    """What of a target's refusals may pass by itself: throttling, and faults that are not the sender's."""
    if error.code in _PASSING or ((error.status or 400) >= 500 and error.code != "NotImplementedException"):
        return Temporary(f"{error.code}: {error.message}")
    return error


class Deliveries:
    """The reconciler of one kind of deliveries. Its keys are lanes."""

    resync = RESYNC

    def __init__(
        self, kind: DeliveryKind, courier: Courier, deps: ReconcilerDeps, concurrency: int = CONCURRENCY
    ) -> None:
        self.name = kind.name
        self.watches: tuple[str, ...] = (kind.name,)
        self.concurrency = concurrency
        self._kind = kind
        self._courier = courier
        self._deps = deps

    def keys_of(self, change: Change) -> Iterable[Lane]:
        record = change.new or change.old
        if record is None:
            return ()
        lane = (change.key.account, change.key.region, record.spec.lane)
        if change.new is None and not self._deps.store.count(self._kind, "lane", scoped(*lane)):
            return ()
        return (lane,)

    def all_keys(self) -> Iterable[Lane]:
        return list(dict.fromkeys((r.meta.account, r.meta.region, r.spec.lane) for r in self._list()))

    def _list(self) -> Iterable[Parcel]:
        return self._deps.store.list(self._kind)

    def key_of(self, arn: str) -> Lane | None:
        return None

    async def observe(self, key: Lane) -> Seen | None:
        head = self._deps.store.first(self._kind, "lane", scoped(*key))
        return None if head is None else Seen(self._deps.world.now(), self._deps.world.chance.random(), head)

    def decide(self, seen: Seen) -> Plan:
        head, status = seen.head, seen.head.status
        if status.due > seen.now:
            return Plan(wake_at=status.due)
        name = f"{head.kind} {head.meta.name}"
        if status.lost:
            return Plan((Bury(f"bury {name}", head),), (Remove(head),), on_failure=_unburied(seen))
        return Plan((Carry(f"carry {name}", head),), (Remove(head),), on_failure=_not_carried(seen))

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {Carry: self._carry, Bury: self._bury}

    async def _carry(self, effect: Carry) -> None:
        await self._courier.carry(effect.parcel)

    async def _bury(self, effect: Bury) -> None:
        parcel, status = effect.parcel, effect.parcel.status
        words = "%s %s is given up after %d attempts: %s: %s"
        log.warning(words, parcel.kind, parcel.meta.name, status.failed, status.code, status.error[:500])
        await self._courier.bury(parcel)


def _not_carried(seen: Seen) -> Callable[[Effect, Exception], Plan]:
    def answer(effect: Effect, failure: Exception) -> Plan:
        head, status = seen.head, seen.head.status
        code, words = _told(failure)
        failed = status.failed + 1
        due = None
        if isinstance(failure, Temporary):
            due = next_attempt(head.spec.policy, failed, head.spec.began, seen.now, seen.chance)
        later = Progress(failed, due or 0.0, code, words, lost=due is None)
        return Plan(writes=(Update(head, status=later),), wake_at=due or seen.now, reasons=(f"{code}: {words}",))

    return answer


def _unburied(seen: Seen) -> Callable[[Effect, Exception], Plan]:
    def answer(effect: Effect, failure: Exception) -> Plan:
        head, burials = seen.head, seen.head.status.burials + 1
        code, words = _told(failure)
        if isinstance(failure, Temporary) and burials < BURIALS:
            due = seen.now + BURIAL_DELAY * burials
            later = msgspec.structs.replace(head.status, burials=burials, due=due)
            return Plan(writes=(Update(head, status=later),), wake_at=due)
        log.error("%s %s is lost: its dead-letter queue refused it: %s: %s", head.kind, head.meta.name, code, words)
        return Plan(writes=(Remove(head),))

    return answer


def _told(failure: Exception) -> tuple[str, str]:
    if isinstance(failure, ApiError):
        return failure.code, failure.message
    if isinstance(failure, Temporary | Permanent):
        return _coded(failure.reason, "SERVICE_ERROR" if isinstance(failure, Temporary) else "SDK_CLIENT_ERROR")
    return type(failure).__name__, str(failure)


def _coded(reason: str, otherwise: str) -> tuple[str, str]:
    """``ThrottlingException: …``, also with the operation in front (control/patient.py), as code and words."""
    parts = reason.split(": ")
    for n, part in enumerate(parts[:2]):
        if part.isalnum() and n + 1 < len(parts):
            return part, ": ".join(parts[n + 1 :])
    return otherwise, reason
