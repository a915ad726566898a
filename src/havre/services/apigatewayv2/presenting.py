"""A custom domain name is written down for a node, which presents its certificate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from havre.control.certificates.records import KEY_PAIR, KeyPair, key_pair, users
from havre.control.deps import ReconcilerDeps
from havre.control.nodes import BALANCER, NODE, BalancerReport, BalancerSpec
from havre.control.reconciler import Executor
from havre.core import balancing
from havre.kernel.effects import NOTHING, Create, Effect, Plan, Remove, Update
from havre.kernel.resource import Resource
from havre.services.apigatewayv2 import domains
from havre.services.apigatewayv2.resources import DOMAIN, Domain
from havre.store.ports import Change

Key = tuple[str, str, str, str]
"""(account, region, domain name, id)"""
PREFIX = "d-"


class Seen(msgspec.Struct, frozen=True):
    """``connected`` and ``known``: names of nodes. ``on_node`` is what was written for one before."""

    domain: Domain | None
    pair: KeyPair | None
    known: tuple[str, ...]
    connected: tuple[str, ...]
    on_node: Resource[BalancerSpec, BalancerReport] | None


class Presenting:
    name = "apigateway.domain"
    watches: tuple[str, ...] = (DOMAIN.name, KEY_PAIR.name, NODE.name, BALANCER.name)
    resync = 300.0
    executors: Mapping[type[Effect], Executor] = {}

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._store = deps.store

    def all_keys(self) -> Iterable[Key]:
        left = [r for r in self._store.list(BALANCER) if r.meta.name.startswith(PREFIX)]
        gone = [(r.meta.account, r.meta.region, r.meta.arn.rpartition("/")[2], r.meta.name) for r in left]
        return {*(_key(r) for r in self._store.list(DOMAIN)), *gone}

    def key_of(self, arn: str) -> Key | None:
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[2] != "apigateway" or not parts[5].startswith("/domainnames/"):
            return None
        found = self._store.first(DOMAIN, "name", parts[5].removeprefix("/domainnames/"))
        return _key(found) if found is not None else None

    def keys_of(self, change: Change) -> Iterable[Key]:
        kind, latest = change.key.kind, change.new or change.old
        if kind == DOMAIN.name:
            return (_key(latest),) if latest is not None else ()
        if kind == KEY_PAIR.name:
            arns = users(self._store, latest.meta.arn) if latest is not None else []
            return {key for arn in arns if (key := self.key_of(arn)) is not None}
        if kind == NODE.name:
            return self.all_keys() if _matters(change) else ()
        if not change.key.name.startswith(PREFIX) or (change.old is not None and change.new is not None):
            return ()
        return [key for key in self.all_keys() if key[3] == change.key.name]

    async def observe(self, key: Key) -> Seen | None:
        account, region, name, id = key
        found = self._store.get(DOMAIN, account, region, name)
        if found is not None and found.spec.id != id:
            found = None
        on_node = self._store.get(BALANCER, account, region, id)
        if found is None and on_node is None:
            return None
        pair = key_pair(self._store, found.spec.certificate) if found is not None else None
        nodes = self._store.list(NODE)
        known = tuple(n.meta.name for n in nodes)
        connected = tuple(n.meta.name for n in nodes if n.status.connected)
        return Seen(found, pair.spec if pair is not None else None, known, connected, on_node)

    def decide(self, seen: Seen) -> Plan:
        if seen.domain is None:
            return Plan(writes=(Remove(seen.on_node),)) if seen.on_node is not None else NOTHING
        if seen.pair is None or not seen.pair.certificate:
            return Plan(reasons=("Its certificate is not there.",))
        current = seen.on_node.spec.node if seen.on_node is not None else ""
        node = balancing.choose_node(current, seen.known, seen.connected)
        if not node:
            return Plan(reasons=("No node is connected that could present its certificate.",))
        wanted = BalancerSpec(node, domains.presented(seen.domain, seen.pair))
        if seen.on_node is not None:
            report = seen.on_node.status.report
            words = (report.state, report.reason) if report is not None else ()
            return Plan(writes=(Update(seen.on_node, spec=wanted),), reasons=tuple(filter(None, words)))
        meta, id = seen.domain.meta, seen.domain.spec.id
        return Plan(writes=(Create(BALANCER.name, meta.account, meta.region, id, meta.arn, wanted, BalancerReport()),))


def _key(found: Domain) -> Key:
    return (found.meta.account, found.meta.region, found.spec.name, found.spec.id)


def _matters(change: Change) -> bool:
    old, new = change.old, change.new
    return old is None or new is None or bool(old.status.connected != new.status.connected)
