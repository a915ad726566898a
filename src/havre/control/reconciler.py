"""Reconciler: observe, decide, act, for one resource at a time. Level-triggered: a wake-up may come twice or never."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from havre.kernel.effects import Effect, Plan
from havre.store.ports import Change

Seen = TypeVar("Seen")

Executor = Callable[[Any], Awaitable[Any]]
"""Carries out one effect. Raises Temporary or Permanent; "already so" is success."""


class Reconciler(Protocol[Seen]):
    """One per kind. ``Seen`` is a frozen record with all that the decision may look at, ``now`` included."""

    name: str
    """As in ``/_havre/health``: ``ecs.service``."""
    watches: tuple[str, ...]
    """Names of the kinds whose changes may matter."""
    resync: float
    """Every how many seconds each key is looked at even if nothing changed."""

    def keys_of(self, change: Change) -> Iterable[Any]:
        """Which of my keys does this change touch?"""
        ...

    def all_keys(self) -> Iterable[Any]:
        """Every key there is, for the start and for resync."""
        ...

    async def observe(self, key: Any) -> Seen | None:
        """Snapshot of store and engines; None when there is nothing (any more) to look after."""
        ...

    def decide(self, seen: Seen) -> Plan:
        """Pure."""
        ...

    def key_of(self, arn: str) -> Any | None:
        """The key behind this ARN if it is one of mine: ``havre explain`` observes and decides without acting."""
        ...

    @property
    def executors(self) -> Mapping[type[Effect], Executor]: ...
