"""The ledger: what is reserved on every machine, kept in memory so that placement never counts tasks.

The store stays the truth: the ledger loads from it once, follows the feed (reconcilers hand it every change), and
drops what is older than what it knows. A reservation is entered the moment placement decides, before the transaction
that writes the task; it is taken back if that fails. So two decisions never give the same memory away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from havre.control.nodes import NODE, NodeSpec, NodeStatus
from havre.core.placement import Demand, Machine, Place
from havre.core.placement.model import FARGATE_CPU_OVERCOMMIT
from havre.kernel.resource import Key, Resource
from havre.services.ecs.resources import INSTANCE, TASK, Instance, Task, TaskStatus
from havre.store.ports import Change, Reader

ClusterKey = tuple[str, str, str]
"""(account, region, name)."""
INSTANCE_TYPE = "havre.node"
RESERVED_PORTS = frozenset((22, 2375, 2376, 51678, 51679))
"""TCP ports that ECS takes as taken on every instance."""
_CAPABILITIES = (
    "com.amazonaws.ecs.capability.docker-remote-api.1.18",
    "com.amazonaws.ecs.capability.ecr-auth",
    "com.amazonaws.ecs.capability.logging-driver.awslogs",
    "com.amazonaws.ecs.capability.logging-driver.json-file",
    "com.amazonaws.ecs.capability.privileged-container",
    "com.amazonaws.ecs.capability.task-iam-role",
    "ecs.capability.container-health-check",
    "ecs.capability.container-ordering",
    "ecs.capability.env-files.s3",
    "ecs.capability.private-registry-authentication.secretsmanager",
    "ecs.capability.execution-role-awslogs",
    "ecs.capability.execution-role-ecr-pull",
)
_BY_STORE: WeakKeyDictionary[Any, Ledger] = WeakKeyDictionary()


class _Entry(NamedTuple):
    version: int
    place: Place
    demand: Demand


def ledger_of(store: Reader) -> Ledger:
    """The one ledger of this store in this process; made and filled at first use."""
    found = _BY_STORE.get(store)
    if found is None:
        found = _BY_STORE[store] = Ledger()
        found.load(store)
    return found


def forget(store: Reader) -> None:
    """What a crash does to it (for the simulation)."""
    _BY_STORE.pop(store, None)


def scope(account: str, region: str, cluster: str, group: str) -> str:
    """A task group, unique over clusters; queries see what stands behind the zero."""
    return f"{account}/{region}/{cluster}\0{group}"


def zone_of(region: str, zone: str) -> str:
    """``us-east-1a``; nodes name only the letter."""
    return f"{region}{zone}"


def demand_of(task: Resource[Task, TaskStatus]) -> Demand:
    """What a task holds on its machine: also the ports that its node has chosen. Fargate's CPU is overcommitted."""
    t, m = task.spec, task.meta
    bound = {(p.protocol, p.host_port) for c in task.status.containers for p in c.ports}
    tcp = (*t.tcp, *sorted(port for protocol, port in bound if protocol == "tcp" and port not in t.tcp))
    udp = (*t.udp, *sorted(port for protocol, port in bound if protocol == "udp" and port not in t.udp))
    cpu = t.cpu // FARGATE_CPU_OVERCOMMIT if t.launch == "FARGATE" else t.cpu
    return Demand(cpu, t.memory, tcp, udp, scope(m.account, m.region, t.cluster, t.group))


class Ledger:
    def __init__(self) -> None:
        self._machines: dict[str, Machine] = {}
        self._nodes: dict[str, Resource[NodeSpec, NodeStatus]] = {}
        self._clusters: dict[ClusterKey, dict[str, Place]] = {}
        self._fargate: dict[tuple[ClusterKey, str], Place] = {}
        self._entries: dict[str, _Entry] = {}
        self._versions: dict[Key, int] = {}

    def load(self, store: Reader) -> None:
        """Take over what the store says, whatever was missed. Reservations that are being written stay."""
        nodes, instances, tasks = store.list(NODE), store.list(INSTANCE), store.list(TASK)
        for node in nodes:
            self._node(node)
        for instance in instances:
            self._instance(instance)
        for task in tasks:
            self._task(task)
        for gone in self._nodes.keys() - {n.meta.name for n in nodes}:
            self._forget_node(gone)
        known = {(i.meta.account, i.meta.region, i.meta.name) for i in instances}
        for (account, region, _), places in self._clusters.items():
            for name in [n for n in places if (account, region, n) not in known]:
                self._forget_instance(account, region, name)
        alive = {t.meta.name for t in tasks}
        self.release([id for id, e in self._entries.items() if e.version and id not in alive])

    # What changed

    def apply(self, change: Change) -> None:
        """Follow one change of the feed."""
        kind, (_, account, region, name) = change.key.kind, change.key
        new = change.new
        if kind == "ecs.task":
            self._task(new) if new is not None else self.release((name,))
        elif kind == "ecs.container_instance":
            if new is not None:
                self._instance(new)
            else:
                self._forget_instance(account, region, name)
        elif kind == "node.node":
            if new is not None:
                self._node(new)
            else:
                self._forget_node(name)

    def _forget_node(self, name: str) -> None:
        if self._nodes.pop(name, None) is not None:
            self._machines[name].error = "the node is gone"
            self._versions.pop(Key(NODE.name, "", "", name), None)

    def _forget_instance(self, account: str, region: str, name: str) -> None:
        self._clusters.get((account, region, name.split("/", 1)[0]), {}).pop(name, None)
        self._versions.pop(Key(INSTANCE.name, account, region, name), None)

    def note(self, resource: Resource[Any, Any]) -> None:
        """A write of this process, before the feed brings it."""
        self.apply(Change(resource.meta.version, resource.key, None, resource))

    def _stale(self, resource: Resource[Any, Any]) -> bool:
        key = resource.key
        if resource.kind == NODE.name:
            key = Key(NODE.name, "", "", resource.meta.name)
        if resource.meta.version < self._versions.get(key, 0):
            return True
        self._versions[key] = resource.meta.version
        return False

    def _node(self, node: Resource[NodeSpec, NodeStatus]) -> None:
        if self._stale(node):
            return
        machine = self.machine(node.meta.name)
        s = node.status
        machine.resize(s.cpu, s.memory)
        machine.error = s.engine_error or ("" if s.connected else "the node is not connected")
        if not node.spec.active:
            machine.error = "the node is draining"
        machine.network_error = s.network_error
        machine.architecture = s.architecture
        machine.busy = RESERVED_PORTS | frozenset(s.used_host_ports)
        machine.busy_udp = frozenset(s.used_udp_ports)
        self._nodes[node.meta.name] = node

    def machine(self, node: str) -> Machine:
        found = self._machines.get(node)
        if found is None:
            found = self._machines[node] = Machine(node)
            found.error = "the node is not known"
        return found

    def _instance(self, instance: Resource[Instance, Any]) -> None:
        if self._stale(instance):
            return
        m, spec = instance.meta, instance.spec
        places = self._clusters.setdefault((m.account, m.region, spec.cluster), {})
        place = places.get(m.name)
        if place is None:
            place = places[m.name] = Place(m.name, self.machine(spec.node), {}, m.arn)
            place.registered = m.created
        place.accepting = spec.state == "ACTIVE"
        custom = {k: v or "" for k, v in spec.attributes.items()}
        place.attributes = {**self.builtin(spec.node, m.region), "ec2InstanceId": spec.ec2, **custom}

    def builtin(self, node: str, region: str) -> dict[str, str]:
        """The attributes that ECS sets itself; those without a value are ""."""
        known = self._nodes.get(node)
        s = known.status if known is not None else NodeStatus()
        return {
            "ecs.availability-zone": zone_of(region, s.zone),
            "ecs.instance-type": INSTANCE_TYPE,
            "ecs.os-type": "linux",
            "ecs.os-family": "LINUX",
            "ecs.cpu-architecture": s.architecture,
            **dict.fromkeys(_CAPABILITIES, ""),
            **({} if s.network_error else {"ecs.capability.task-eni": ""}),
        }

    def _task(self, task: Resource[Task, TaskStatus]) -> None:
        name, version = task.meta.name, task.meta.version
        entry = self._entries.get(name)
        if entry is not None and entry.version >= version:
            return
        if task.status.last == "STOPPED":
            self.release((name,))
        elif entry is not None:
            self._entries[name] = _Entry(version, entry.place, self._grown(entry, task))
        else:
            place, demand = self._place_of(task), demand_of(task)
            place.take(demand)
            self._entries[name] = _Entry(version, place, demand)

    def _grown(self, entry: _Entry, task: Resource[Task, TaskStatus]) -> Demand:
        """What it holds by now: its node may have chosen ports."""
        if not any(c.ports for c in task.status.containers):
            return entry.demand
        now = demand_of(task)
        if (now.tcp, now.udp) == (entry.demand.tcp, entry.demand.udp):
            return entry.demand
        grown = replace(entry.demand, tcp=now.tcp, udp=now.udp)
        entry.place.give_back(entry.demand)
        entry.place.take(grown)
        return grown

    def _place_of(self, task: Resource[Task, TaskStatus]) -> Place:
        m, t = task.meta, task.spec
        cluster = (m.account, m.region, t.cluster)
        if t.launch == "FARGATE":
            return self._fargate_place(cluster, t.node)
        found = self._clusters.get(cluster, {}).get(t.instance)
        return found or Place(t.instance, self.machine(t.node), {})

    # Deciding

    def _fargate_place(self, cluster: ClusterKey, node: str) -> Place:
        found = self._fargate.get((cluster, node))
        if found is None:
            found = self._fargate[cluster, node] = Place(node, self.machine(node), self.builtin(node, cluster[1]))
        return found

    def places(self, cluster: ClusterKey, launch: str) -> list[Place]:
        """Where tasks of this launch type may go: the machines, or the cluster's ACTIVE container instances."""
        if launch == "FARGATE":
            return [self._fargate_place(cluster, node) for node in self._nodes]
        return [p for p in self._clusters.get(cluster, {}).values() if p.accepting]

    def place_at(self, cluster: ClusterKey, instance: str) -> Place | None:
        return self._clusters.get(cluster, {}).get(instance)

    def reserve(self, task: str, place: Place, demand: Demand) -> None:
        """Enter what ``core.placement.place`` has taken already, under the task's id."""
        self._entries[task] = _Entry(0, place, demand)

    def release(self, tasks: Iterable[str]) -> None:
        for task in tasks:
            entry = self._entries.pop(task, None)
            if entry is not None:
                entry.place.give_back(entry.demand)

    # Showing

    def known(self, node: str) -> bool:
        """Whether the node is there, connected or not."""
        return node in self._nodes

    def heard(self, node: str) -> float:
        """Since when the node tells what becomes of its tasks; infinity while it does not."""
        found = self._nodes.get(node)
        return found.status.since if found is not None and found.status.connected else math.inf

    def zone(self, node: str) -> str:
        """The letter of its availability zone."""
        found = self._nodes.get(node)
        return found.status.zone if found is not None else "a"
