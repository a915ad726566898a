"""The end of what nobody needs any more: deleted clusters, deleted task definitions, used client tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.kernel.effects import Effect, Plan, Remove
from havre.kernel.resource import scoped
from havre.services.ecs.queries import ClusterRecord, DefinitionRecord, Record
from havre.services.ecs.resources import CLUSTER, DEPLOYMENT, TASK, TASK_DEFINITION, TOKEN
from havre.store.ports import Change

EVERYTHING = "everything"
"""The one key."""
KEPT = 86_400.0
"""Seconds for which a deleted cluster is described, and a client token known."""
AT_ONCE = 500


class Seen(msgspec.Struct, frozen=True):
    """``definitions`` are to be deleted, and no task and no deployment needs them."""

    now: float
    clusters: tuple[ClusterRecord, ...]
    definitions: tuple[DefinitionRecord, ...]
    tokens: tuple[Record, ...]


class Leftovers:
    name = "ecs.leftovers"
    watches: tuple[str, ...] = ("ecs.cluster", "ecs.task_definition")
    resync = 300.0
    executors: Mapping[type[Effect], Executor] = {}

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._store, self._world = deps.store, deps.world

    def keys_of(self, change: Change) -> Iterable[str]:
        return (EVERYTHING,) if change.new is not None else ()

    def all_keys(self) -> Iterable[str]:
        return (EVERYTHING,)

    def key_of(self, arn: str) -> None:
        return None

    async def observe(self, key: str) -> Seen | None:
        return Seen(
            self._world.now(),
            tuple(c for c in self._store.list(CLUSTER) if not c.spec.active),
            tuple(d for d in self._store.find(TASK_DEFINITION, "deleting", "1") if not self._needed(d)),
            tuple(self._store.list(TOKEN)),
        )

    def _needed(self, definition: DefinitionRecord) -> bool:
        m = definition.meta
        value = scoped(m.account, m.region, m.name)
        return bool(self._store.count(TASK, "definition", value) or self._store.count(DEPLOYMENT, "definition", value))

    def decide(self, seen: Seen) -> Plan:
        """Pure."""
        aged: list[tuple[float, Record]] = [(c.spec.deleted + KEPT, c) for c in seen.clusters]
        aged += [(t.meta.created + KEPT, t) for t in seen.tokens]
        gone: list[Record] = [*seen.definitions, *(r for at, r in aged if at <= seen.now)]
        later = min((at for at, _ in aged if at > seen.now), default=None)
        wake = seen.now if len(gone) > AT_ONCE else later
        return Plan(writes=tuple(Remove(r) for r in gone[:AT_ONCE]), wake_at=wake)
