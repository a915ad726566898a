"""From balancers to what is checked and what gets work. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from havre.engines.haproxy.checker import Key, Watched
from havre.engines.haproxy.checks import Place
from havre.engines.haproxy.health import Health, routed
from havre.engines.haproxy.slots import Route
from havre.kernel.balancer import Balancer, BalancerPool


def watched(balancers: Sequence[Balancer], spaces: Mapping[str, tuple[str, int]]) -> dict[Key, Watched]:
    """Every target that is not leaving. Inside its VPC a balancer asks from its own address, as with requests."""
    found: dict[Key, Watched] = {}
    for balancer in balancers:
        own = balancer.addresses[0][1] if balancer.addresses else ""
        for pool in balancer.pools:
            for target in pool.targets:
                if target.draining:
                    continue
                namespace = spaces.get(target.vpc, ("", 0))[0] if target.vpc else ""
                source = own if namespace and target.vpc == balancer.vpc else ""
                place = Place(target.address, target.port, namespace, source)
                found[pool.id, target.id] = Watched(place, pool.health_check)
    return found


def routes(pool: BalancerPool, health: Mapping[Key, Health]) -> dict[str, Route]:
    """Who gets work, in the pool's order."""
    states = {t.id: health[pool.id, t.id].state for t in pool.targets if (pool.id, t.id) in health}
    working = routed(states)
    return {t.id: Route(t.address, t.port, t.vpc, t.weight) for t in pool.targets if t.id in working and not t.draining}


def room(balancer: Balancer, pool: BalancerPool, spaces: Mapping[str, tuple[str, int]]) -> dict[str, int]:
    """How many places a pool may need, by VPC, however its targets' health turns out; the balancer's VPC always has some."""
    needed = {balancer.vpc if balancer.vpc in spaces else "": 0}
    for target in pool.targets:
        needed[target.vpc] = needed.get(target.vpc, 0) + 1
    return needed
