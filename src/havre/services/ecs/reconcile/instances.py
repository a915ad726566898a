"""Every node in every cluster, as a container instance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from havre.control.deps import ReconcilerDeps
from havre.control.nodes import NODE
from havre.control.reconciler import Executor
from havre.kernel.effects import Effect, Plan, Remove, Write
from havre.kernel.resource import scoped
from havre.services.ecs.instances import new_instance
from havre.services.ecs.ledger import ClusterKey
from havre.services.ecs.queries import ClusterRecord, InstanceRecord
from havre.services.ecs.resources import CLUSTER, INSTANCE
from havre.store.ports import Change


class Seen(msgspec.Struct, frozen=True):
    """A cluster, its instances, the nodes that are none of them yet, and all nodes."""

    cluster: ClusterRecord
    instances: tuple[InstanceRecord, ...]
    missing: tuple[str, ...]
    nodes: frozenset[str]


class Instances:
    """Keyed by cluster."""

    name = "ecs.container_instance"
    watches: tuple[str, ...] = ("node.node", "ecs.cluster")
    resync = 300.0

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._store = deps.store

    def keys_of(self, change: Change) -> Iterable[ClusterKey]:
        if change.key.kind == "ecs.cluster":
            return ((change.key.account, change.key.region, change.key.name),)
        if change.old is None or change.new is None:
            return self.all_keys()
        return ()

    def all_keys(self) -> Iterable[ClusterKey]:
        return [(c.meta.account, c.meta.region, c.meta.name) for c in self._store.list(CLUSTER)]

    def key_of(self, arn: str) -> ClusterKey | None:
        return None

    async def observe(self, key: ClusterKey) -> Seen | None:
        cluster = self._store.get(CLUSTER, *key)
        if cluster is None:
            return None
        account, region, name = key
        found = self._store.find(INSTANCE, "cluster", scoped(account, region, name))
        gone = [i for i in self._store.list(INSTANCE, account, region) if i.spec.state == "INACTIVE"]
        known = {i.spec.node for i in (*found, *gone) if i.spec.cluster == name}
        nodes = [n.meta.name for n in self._store.list(NODE)]
        return Seen(cluster, tuple(found), tuple(n for n in nodes if n not in known), frozenset(nodes))

    def decide(self, seen: Seen) -> Plan:
        """Pure."""
        m = seen.cluster.meta
        if not seen.cluster.spec.active:
            return Plan(writes=tuple(Remove(i) for i in seen.instances))
        missing: list[Write] = [new_instance((m.account, m.region, m.name), node) for node in seen.missing]
        missing += [Remove(i) for i in seen.instances if i.spec.node not in seen.nodes]
        return Plan(writes=tuple(missing))

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {}
