"""A VPC link gets an interface in each of its subnets, and its ways to load balancers are written down for a node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from havre.control.deps import ReconcilerDeps
from havre.control.interfaces import DropInterface, Interfaces, MakeInterface
from havre.control.nodes import BALANCER, NODE, BalancerReport, BalancerSpec
from havre.control.reconciler import Executor
from havre.core import balancing
from havre.kernel.balancer import Balancer
from havre.kernel.effects import NOTHING, Create, Effect, Plan, Remove, Update, Write
from havre.kernel.errors import ApiError
from havre.kernel.resource import Key, Resource
from havre.services.apigatewayv2 import links
from havre.services.apigatewayv2.resources import DEPLOYMENT, INTEGRATION, LINK, Link, LinkStatus, Part
from havre.services.apigatewayv2.roles import PRINCIPAL
from havre.store.ports import Change

OnNode = Resource[BalancerSpec, BalancerReport]
Behind = tuple[str, int, Balancer]
"""(listener, its port, its load balancer)"""


class Seen(msgspec.Struct, frozen=True):
    """``behind``: what integrations reach by it. ``on_node`` is what was written for a node before."""

    link: Link
    behind: tuple[Behind, ...]
    known: tuple[str, ...]
    connected: tuple[str, ...]
    on_node: OnNode | None


class Linking:
    name = "apigateway.vpclink"
    watches: tuple[str, ...] = (LINK.name, INTEGRATION.name, DEPLOYMENT.name, BALANCER.name, NODE.name)
    resync = 300.0

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._store = deps.store
        self._interfaces = Interfaces(deps, PRINCIPAL, LINK, LinkStatus)

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return self._interfaces.executors

    def all_keys(self) -> Iterable[Key]:
        return [each.key for each in self._store.list(LINK)]

    def key_of(self, arn: str) -> Key | None:
        return next((each.key for each in self._store.list(LINK) if each.meta.arn == arn), None)

    def keys_of(self, change: Change) -> Iterable[Key]:
        kind, old, new = change.key.kind, change.old, change.new
        if kind == LINK.name:
            return (change.key,)
        if kind in (INTEGRATION.name, DEPLOYMENT.name):
            named = {id for part in (old, new) if part is not None for id, _ in _uses(part)}
            return [Key(LINK.name, change.key.account, change.key.region, id) for id in named]
        if kind == NODE.name:
            same = old is not None and new is not None and old.status.connected == new.status.connected
            return () if same else self.all_keys()
        # reports change with every health check: only what a balancer is matters here
        same = old is not None and new is not None and old.spec == new.spec
        return () if same else self.all_keys()

    async def observe(self, key: Key) -> Seen | None:
        link = self._store.get(LINK, key.account, key.region, key.name)
        if link is None:
            return None
        on_node = self._store.get(BALANCER, key.account, key.region, f"{links.PREFIX}{key.name}")
        nodes = self._store.list(NODE)
        connected = tuple(n.meta.name for n in nodes if n.status.connected)
        behind = tuple(sorted(self._behind(link), key=lambda way: way[0]))
        return Seen(link, behind, tuple(n.meta.name for n in nodes), connected, on_node)

    def _behind(self, link: Link) -> Iterator[Behind]:
        where = link.meta.account, link.meta.region
        parts = [*self._store.list(INTEGRATION, *where), *self._store.list(DEPLOYMENT, *where)]
        for arn in {arn for part in parts for id, arn in _uses(part) if id == link.spec.id}:
            asked = links.listener_parts(arn)
            found = self._store.get(BALANCER, *where, asked["balancer"].replace("/", "-"))
            for listener in found.spec.balancer.listeners if found is not None else ():
                if listener.id == asked["listener"] and found is not None:
                    yield listener.id, listener.port, found.spec.balancer

    def decide(self, seen: Seen) -> Plan:
        return _tear_down(seen) if seen.link.meta.deleting is not None else _bring_up(seen)


def _uses(part: Part) -> Iterator[tuple[str, str]]:
    """(link, listener) of an integration, or of those that are deployed."""
    members = part.spec.members
    deployed: Mapping[str, Mapping[str, Any]] = members.get(INTEGRATION.name) or {}
    for each in (members, *deployed.values()):
        if each.get("ConnectionType") == "VPC_LINK":
            yield each["ConnectionId"], each["IntegrationUri"]


def _tear_down(seen: Seen) -> Plan:
    link = seen.link
    if seen.on_node is not None:
        return Plan(writes=(Remove(seen.on_node),))
    if link.status.interfaces:
        return Plan(tuple(DropInterface(i.eni, link.key, i.eni) for i in link.status.interfaces))
    return Plan(writes=(Remove(link),))


def _bring_up(seen: Seen) -> Plan:
    link, meta = seen.link, seen.link.meta
    have = {i.subnet for i in link.status.interfaces}
    missing = tuple(
        MakeInterface(
            key=f"{meta.arn} {subnet}",
            owner=link.key,
            subnet=subnet,
            description=f"API Gateway VPC link {meta.name}",
            groups=link.spec.groups,
            token=f"{meta.name}-{subnet}",
        )
        for subnet in dict.fromkeys(link.spec.subnets)
        if subnet not in have
    )
    if missing:
        return Plan(missing, reasons=("waiting for network interfaces",), on_failure=_failed(seen))
    if not seen.behind:
        return Plan(writes=(Remove(seen.on_node),)) if seen.on_node is not None else NOTHING
    node = balancing.choose_node(seen.on_node.spec.node if seen.on_node else "", seen.known, seen.connected)
    if not node:
        return Plan(reasons=("no node is connected that could carry its requests",))
    return Plan(writes=(_order(seen, BalancerSpec(node, links.compiled(link, seen.behind))),))


def _order(seen: Seen, wanted: BalancerSpec) -> Write:
    if seen.on_node is not None:
        return Update(seen.on_node, spec=wanted)
    meta = seen.link.meta
    name = wanted.balancer.id
    return Create(BALANCER.name, meta.account, meta.region, name, meta.arn, wanted, BalancerReport())


def _failed(seen: Seen) -> Callable[[Effect, Exception], Plan]:
    """What EC2 refuses is shown as the link's state, and tried again with what changes."""

    def answer(effect: Effect, failure: Exception) -> Plan:
        if not isinstance(failure, ApiError):
            raise failure
        words = f"{failure.code}: {failure.message}"
        return Plan(writes=(Update(seen.link, status=replace(seen.link.status, failure=words)),), reasons=(words,))

    return answer
