"""Effects and plans: what a decision wants done, as data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T", bound=msgspec.Struct)


class Effect(msgspec.Struct, frozen=True, tag=True):
    """One thing to do outside the store. Doing it twice must be harmless; ``key`` makes it recognisable.

    Each effect is a subclass in the package that decides on it; an executor is registered for each subclass.
    """

    key: str


class Create(msgspec.Struct, Generic[S, T], frozen=True):
    """Write a new resource; a Conflict when the name is taken."""

    kind: str
    account: str
    region: str
    name: str
    arn: str
    spec: S
    status: T


class Update(msgspec.Struct, frozen=True):
    """Replace spec and/or status of the resource as it was seen; a Conflict when it has moved on since."""

    seen: Any
    spec: Any = None
    status: Any = None


class Remove(msgspec.Struct, frozen=True):
    """Purge the resource as it was seen; a Conflict when it has moved on since."""

    seen: Any


Write = Create[Any, Any] | Update | Remove


class Plan(msgspec.Struct, frozen=True):
    """The outcome of one decision: effects first, in order; then the writes, in one transaction, if no effect failed.

    ``on_failure`` turns the exception of a failed effect into the plan to carry out instead (writes only); without
    it a Temporary failure is retried and a Permanent one is logged and retried with back-off. ``wake_at`` asks to be
    run again at that time (seconds since the epoch) even if nothing changes; a write that changes nothing wakes nobody,
    so a decision that goes step by step asks to be run again ``now``. ``reasons`` say in words why things
    are as they are; ``havre explain`` shows them.
    """

    effects: tuple[Effect, ...] = ()
    writes: tuple[Write, ...] = ()
    wake_at: float | None = None
    reasons: tuple[str, ...] = ()
    on_failure: Callable[[Effect, Exception], Plan] | None = None


NOTHING = Plan()
