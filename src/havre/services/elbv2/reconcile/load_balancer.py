"""A load balancer gets an interface in each of its subnets, and what it does is written down for a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from havre.control.certificates.records import KEY_PAIR, users
from havre.control.deps import ReconcilerDeps
from havre.control.interfaces import Attached, DropInterface, Interfaces, MakeInterface, Regroup
from havre.control.nodes import BALANCER, NODE, BalancerReport, BalancerSpec, NodeSpec, NodeStatus, ec2_instance
from havre.control.reconciler import Executor
from havre.core import balancing
from havre.kernel.arn import Arn
from havre.kernel.effects import Create, Effect, Plan, Remove, Update, Write
from havre.kernel.resource import Key, Resource
from havre.services.elbv2 import compile, queries
from havre.services.elbv2.network import PRINCIPAL
from havre.services.elbv2.resources import (
    LISTENER,
    LOAD_BALANCER,
    RULE,
    TARGET_GROUP,
    TRUST_STORE,
    ListenerR,
    LoadBalancerR,
    LoadBalancerStatus,
    RuleR,
    TargetGroupR,
)
from havre.services.elbv2.state import state_of
from havre.services.elbv2.tls import pairs_of
from havre.services.elbv2.trust import stores_of, used_by
from havre.store.ports import Change

BalancerR = Resource[BalancerSpec, BalancerReport]
NodeR = Resource[NodeSpec, NodeStatus]


class Seen(msgspec.Struct, frozen=True):
    """``groups`` by ARN: those that a rule names. ``on_node`` is what was written for a node before."""

    lb: LoadBalancerR
    listeners: tuple[tuple[ListenerR, tuple[RuleR, ...]], ...]
    groups: Mapping[str, TargetGroupR]
    nodes: tuple[NodeR, ...]
    secrets: compile.Secrets
    on_node: BalancerR | None


class LoadBalancers:
    name = "elbv2.load_balancer"
    watches: tuple[str, ...] = (
        LOAD_BALANCER.name,
        LISTENER.name,
        RULE.name,
        TARGET_GROUP.name,
        NODE.name,
        BALANCER.name,
        KEY_PAIR.name,
        TRUST_STORE.name,
    )
    resync = 300.0

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._store = deps.store
        self._interfaces = Interfaces(deps, PRINCIPAL, LOAD_BALANCER, LoadBalancerStatus)

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return self._interfaces.executors

    def all_keys(self) -> Iterable[Key]:
        return [lb.key for lb in self._store.list(LOAD_BALANCER)]

    def key_of(self, arn: str) -> Key | None:
        try:
            parsed = Arn.parse(arn)
        except ValueError:
            return None
        parts = parsed.resource.split("/")
        if parsed.service != "elasticloadbalancing" or len(parts) < 4 or parts[1] != "app":
            return None
        return Key(LOAD_BALANCER.name, parsed.account, parsed.region, "/".join(parts[2:4]))

    def keys_of(self, change: Change) -> Iterable[Key]:
        kind, touched = change.key.kind, [r for r in (change.old, change.new) if r is not None]
        if kind == LOAD_BALANCER.name:
            return (change.key,)
        if kind in (LISTENER.name, RULE.name):
            return {Key(LOAD_BALANCER.name, r.meta.account, r.meta.region, r.spec.balancer) for r in touched}
        if kind == TARGET_GROUP.name:
            rules = [rule for r in touched[-1:] for rule in self._store.find(RULE, "group", r.meta.arn)]
            return {Key(LOAD_BALANCER.name, r.meta.account, r.meta.region, r.spec.balancer) for r in rules}
        if kind == KEY_PAIR.name:
            arns = {arn for r in touched for arn in users(self._store, r.meta.arn)}
            return {key for arn in arns if (key := self.key_of(arn)) is not None}
        if kind == TRUST_STORE.name:
            used = [each for r in touched[-1:] for each in used_by(self._store, r)]
            return {Key(LOAD_BALANCER.name, r.meta.account, r.meta.region, r.spec.balancer) for r in used}
        if kind == NODE.name:
            return self.all_keys() if _matters(change) else ()
        # a node's report changes with every health check; only that somebody took the order away matters here
        gone = change.new is None
        return [k for k in self.all_keys() if k.name.replace("/", "-") == change.key.name] if gone else ()

    async def observe(self, key: Any) -> Seen | None:
        lb = self._store.get(LOAD_BALANCER, key.account, key.region, key.name)
        if lb is None:
            return None
        listeners = sorted(queries.listeners_of(self._store, lb), key=lambda each: (each.spec.port, each.meta.name))
        ruled = tuple((each, tuple(queries.rules_of(self._store, each))) for each in listeners)
        named = {arn for _, rules in ruled for rule in rules for arn, _ in rule.spec.action.groups}
        groups = {arn: group for arn in named if (group := self._group(arn))}
        secrets = compile.Secrets(pairs_of(self._store, listeners), stores_of(self._store, listeners))
        return Seen(lb, ruled, groups, tuple(self._store.list(NODE)), secrets, queries.on_node(self._store, lb))

    def _group(self, arn: str) -> TargetGroupR | None:
        parsed = Arn.parse(arn)
        return self._store.get(TARGET_GROUP, parsed.account, parsed.region, parsed.name)

    def decide(self, seen: Seen) -> Plan:
        return _tear_down(seen) if seen.lb.meta.deleting else _bring_up(seen)


def _matters(change: Change) -> bool:
    old, new = change.old, change.new
    if old is None or new is None:
        return True
    return bool((old.status.connected, old.status.address) != (new.status.connected, new.status.address))


def _tear_down(seen: Seen) -> Plan:
    lb = seen.lb
    if seen.on_node is not None:
        return Plan(writes=(Remove(seen.on_node),))
    if lb.status.interfaces:
        return Plan(effects=tuple(_drop(lb, each) for each in lb.status.interfaces))
    return Plan(writes=(Remove(lb),))


def _bring_up(seen: Seen) -> Plan:
    lb = seen.lb
    wanted = {p.subnet: p for p in lb.spec.placements}
    have = {i.subnet: i for i in lb.status.interfaces}
    effects: list[Effect] = [
        MakeInterface(
            key=f"{lb.meta.arn} {subnet}",
            owner=lb.key,
            subnet=subnet,
            description=f"ELB app/{lb.meta.name}",
            groups=lb.spec.security_groups,
            token=f"{lb.spec.id}-{subnet}",
        )
        for subnet in wanted
        if subnet not in have
    ]
    if effects:
        return Plan(effects=tuple(effects), reasons=("waiting for network interfaces",))
    effects += [_regroup(lb, i) for i in have.values() if i.subnet in wanted and i.groups != lb.spec.security_groups]
    in_use = {address for _, address in seen.on_node.spec.balancer.addresses} if seen.on_node else set()
    effects += [_drop(lb, i) for i in have.values() if i.subnet not in wanted and i.address not in in_use]
    node, reason = _node(seen)
    if not node:
        return Plan(effects=tuple(effects), reasons=(reason,))
    return Plan(effects=tuple(effects), writes=_order(seen, node, set(wanted)), reasons=_reasons(seen))


def _node(seen: Seen) -> tuple[str, str]:
    current = seen.on_node.spec.node if seen.on_node else ""
    connected = [n.meta.name for n in seen.nodes if n.status.connected]
    node = balancing.choose_node(current, (n.meta.name for n in seen.nodes), connected)
    return node, "" if node else "no node is connected that could run the load balancer"


def _order(seen: Seen, node: str, subnets: set[str]) -> tuple[Write, ...]:
    lb = seen.lb
    placed = replace(lb.status, interfaces=tuple(i for i in lb.status.interfaces if i.subnet in subnets))
    instances = {ec2_instance(n.meta.name): n.status.address for n in seen.nodes}
    id = queries.node_name(lb)
    wanted = BalancerSpec(
        node, compile.balancer(id, replace(lb, status=placed), seen.listeners, seen.groups, instances, seen.secrets)
    )
    if seen.on_node is not None:
        return (Update(seen.on_node, spec=wanted),)
    meta = lb.meta
    return (Create(BALANCER.name, meta.account, meta.region, id, meta.arn, wanted, BalancerReport()),)


def _reasons(seen: Seen) -> tuple[str, ...]:
    code, reason = state_of(seen.lb, seen.on_node.status.report if seen.on_node else None)
    told = [part for part in (code, reason) if part]
    for listener, rules in seen.listeners:
        protocol, port = listener.spec.protocol, listener.spec.port
        told.append(f"{protocol.lower()}://{seen.lb.spec.dns_name}:{port} has {len(rules)} rules")
    return (*told, *(() if seen.listeners else ("it has no listener: nothing answers",)))


def _drop(lb: LoadBalancerR, interface: Attached) -> DropInterface:
    return DropInterface(interface.eni, lb.key, interface.eni)


def _regroup(lb: LoadBalancerR, interface: Attached) -> Regroup:
    groups = lb.spec.security_groups
    return Regroup(f"{interface.eni} {' '.join(groups)}", lb.key, interface.eni, groups)
