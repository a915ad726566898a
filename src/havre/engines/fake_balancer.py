"""Load balancers in memory: what a client would be answered, decided by AWS's words alone.

It shares no code with the real engine, so that each is checked against the other. It can be told that targets are
unhealthy (``health``), that addresses are taken (``taken``) and to fail (``failure``).
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from random import Random

import msgspec

from havre.kernel.balancer import (
    Balancer,
    BalancerAction,
    BalancerCondition,
    BalancerPool,
    BalancerRule,
    BalancerStatus,
    BalancerTarget,
    PoolTraffic,
    TargetHealth,
)
from havre.kernel.errors import Permanent, Temporary

_LEAVING = ("Target.DeregistrationInProgress", "Target deregistration is in progress")


class Asked(msgspec.Struct, frozen=True):
    """A request as far as rules look at it. ``headers`` by lower-case name."""

    method: str = "GET"
    host: str = ""
    path: str = "/"
    query: str | None = None
    headers: Mapping[str, str] = {}
    source: str = "127.0.0.1"


class Answer(msgspec.Struct, frozen=True):
    """``target`` is whom a forwarded request went to (id), "" for answers of the balancer's own."""

    status: int
    target: str = ""
    location: str = ""
    body: str = ""


def wildcard(pattern: str, text: str) -> bool:
    """``*`` any characters, ``?`` exactly one, a backslash takes the next one literally. Greedy with one way back."""
    units: list[tuple[str, bool]] = []
    position = 0
    while position < len(pattern):
        if pattern[position] == "\\" and position + 1 < len(pattern):
            units.append((pattern[position + 1], False))
            position += 2
        else:
            units.append((pattern[position], pattern[position] in "*?"))
            position += 1
    reached = {0}
    for unit, special in units:
        if special and unit == "*":
            reached = set(range(min(reached), len(text) + 1)) if reached else set()
        else:
            reached = {i + 1 for i in reached if i < len(text) and (special or text[i] == unit)}
    return len(text) in reached


def holds(condition: BalancerCondition, asked: Asked) -> bool:
    """Whether one of the condition's values fits."""
    field = condition.field
    if field == "path-pattern":
        return any(wildcard(v, asked.path) for v in condition.values)
    if field == "host-header":
        host = asked.host.rpartition(":")[0] or asked.host
        return any(wildcard(v.lower(), host.lower()) for v in condition.values)
    if field == "http-header":
        value = asked.headers.get(condition.name.lower())
        return value is not None and any(wildcard(v.lower(), value.lower()) for v in condition.values)
    if field == "http-request-method":
        return asked.method in condition.values
    if field == "query-string":
        return any(_asks(v, asked.query) for v in condition.values)
    if field == "source-ip":
        source = ipaddress.ip_address(asked.source)
        return any(source in ipaddress.ip_network(v, strict=False) for v in condition.values)
    raise Permanent(f"unknown condition {field!r}")


def _asks(wanted: str, query: str | None) -> bool:
    key, equals, value = wanted.partition("=")
    if not equals:
        key, value = "", wanted
    for parameter in (query or "").split("&") if query is not None else ():
        name, has, text = parameter.partition("=")
        if has and (not key or wildcard(key.lower(), name.lower())) and wildcard(value.lower(), text.lower()):
            return True
    return False


def first_rule(rules: Sequence[BalancerRule], asked: Asked) -> BalancerRule:
    """The rule that decides: the first whose conditions all hold."""
    return next(rule for rule in rules if all(holds(c, asked) for c in rule.conditions))


class FakeBalancerEngine:
    """``health`` says how a target is: (pool id, target) → state."""

    def __init__(self, chance: Random | None = None) -> None:
        self.balancers: tuple[Balancer, ...] = ()
        self.namespaces: Mapping[str, str] = {}
        self.health: Callable[[str, BalancerTarget], str] = lambda pool, target: "healthy"
        self.taken: dict[tuple[str, int], str] = {}
        self.counted: dict[str, PoolTraffic] = {}
        self.failure = ""
        self.stopped = False
        self._chance = chance or Random(1)
        self._changed: set[asyncio.Event] = set()

    async def apply(self, balancers: Sequence[Balancer], namespaces: Mapping[str, str]) -> None:
        if self.failure:
            raise Temporary(self.failure)
        self.balancers, self.namespaces, self.stopped = tuple(balancers), dict(namespaces), False
        self.changed()

    async def status(self) -> Sequence[BalancerStatus]:
        return [self._status(balancer) for balancer in self.balancers]

    async def traffic(self) -> Mapping[str, PoolTraffic]:
        pools = [pool.id for balancer in self.balancers for pool in balancer.pools]
        return {id: self.counted.get(id, PoolTraffic()) for id in pools}

    def changed(self) -> None:
        """Wake those that follow ``changes``."""
        for event in self._changed:
            event.set()

    async def changes(self) -> AsyncIterator[None]:
        event = asyncio.Event()
        event.set()
        self._changed.add(event)
        try:
            while True:
                await event.wait()
                event.clear()
                yield
        finally:
            self._changed.discard(event)

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        self.balancers, self.stopped = (), True

    def ask(self, balancer: str, port: int, asked: Asked) -> Answer:
        """What a client of this balancer's own address is answered. Raises KeyError where nothing listens."""
        found = {b.id: b for b in self.balancers}[balancer]
        listener = {each.port: each for each in found.listeners}[port]
        if (found.host_address, port) in self.taken:
            raise KeyError(port)
        return self._answer(found, first_rule(listener.rules, asked).action)

    def _answer(self, balancer: Balancer, action: BalancerAction) -> Answer:
        if action.kind == "fixed-response":
            return Answer(action.status, body=action.body)
        if action.kind == "redirect":
            return Answer(action.status or 301)
        live = [(pool, weight) for pool, weight in action.pools if weight > 0]
        if not live:
            return Answer(503)
        chosen = self._chance.choices([pool for pool, _ in live], [weight for _, weight in live])[0]
        working = self._working({pool.id: pool for pool in balancer.pools}[chosen])
        seen = self.counted.get(chosen, PoolTraffic())
        ok, moved, wrong, broken = seen.answered
        answered = (ok + bool(working), moved, wrong, broken)
        self.counted[chosen] = PoolTraffic(seen.requests + 1, answered, seen.refused, seen.failed + (not working))
        return Answer(200, target=self._chance.choice(working).id) if working else Answer(503)

    def _working(self, pool: BalancerPool) -> list[BalancerTarget]:
        """The healthy ones; without any, the unhealthy: load balancers fail open."""
        here = [(t, self.health(pool.id, t)) for t in pool.targets if not t.draining]
        return [t for t, s in here if s == "healthy"] or [t for t, s in here if s == "unhealthy"]

    def _status(self, balancer: Balancer) -> BalancerStatus:
        ports = {listener.port for listener in balancer.listeners}
        taken = {port for port in ports if (balancer.host_address, port) in self.taken}
        state = "active" if not taken else "failed" if taken == ports else "active_impaired"
        reasons = [f"{balancer.host_address}:{port}: {self.taken[balancer.host_address, port]}" for port in taken]
        targets = [self._target(pool, target) for pool in balancer.pools for target in pool.targets]
        return BalancerStatus(balancer.id, state, "; ".join(reasons), tuple(targets), tuple(sorted(ports - taken)))

    def _target(self, pool: BalancerPool, target: BalancerTarget) -> TargetHealth:
        if target.draining:
            return TargetHealth(pool.id, target.id, "draining", *_LEAVING)
        return TargetHealth(pool.id, target.id, self.health(pool.id, target))
