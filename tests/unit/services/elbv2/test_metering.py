"""AWS/ApplicationELB: what load balancers did, and how many of their targets are well."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from tests.unit.services.metrics_fakes import CountedMetrics

from havre.control import nodes
from havre.control.deps import ReconcilerDeps
from havre.control.nodes import BALANCER, BalancerReport, BalancerSpec
from havre.control.operation import Site
from havre.kernel.balancer import Balancer, BalancerPool, BalancerStatus, PoolTraffic, TargetHealth
from havre.kernel.errors import Temporary
from havre.kernel.world import World
from havre.services.elbv2.metering import Traffic
from havre.store.memory import MemoryStore

LB, GROUP = "app/web/0123", "targetgroup/my-tg/4567"
OWN, OF_GROUP = {"LoadBalancer": LB}, {"LoadBalancer": LB, "TargetGroup": GROUP}


class Scene:
    def __init__(self) -> None:
        self.world = World(lambda: 1_000_000.0, Random(1))
        self.store = MemoryStore([*nodes.KINDS], self.world)
        self.metrics = CountedMetrics()
        self.seen: dict[str, PoolTraffic] = {}
        self.away = False
        deps: Any = ReconcilerDeps(self.store, None, self.world, Site(), None, None, self.metrics)  # type: ignore[arg-type]
        self.traffic = Traffic(deps, self.ask)

    async def ask(self, node: str) -> dict[str, PoolTraffic]:
        assert node == "n"
        if self.away:
            raise Temporary("the node is not connected")
        return self.seen

    async def make(self, *states: str, kind: str = "loadbalancer/app/web/0123") -> None:
        arn = f"arn:aws:elasticloadbalancing:us-east-1:111122223333:{kind}"
        pool = BalancerPool("my-tg-4567", "HTTP")
        spec = BalancerSpec("n", Balancer(kind, "web.localhost", "vpc", (), "127.1.0.1", pools=(pool,)))
        targets = tuple(TargetHealth(pool.id, f"i-{n}", state) for n, state in enumerate(states))
        report = BalancerReport(BalancerStatus("b", "active", targets=targets))
        key = {"account": "111122223333", "region": "us-east-1", "name": kind.replace("/", "-")}
        await self.store.transact(lambda tx: tx.create(BALANCER, **key, arn=arn, spec=spec, status=report))

    async def look(self, *traffic: PoolTraffic) -> None:
        self.metrics.seen.clear()
        if traffic:
            self.seen = {"my-tg-4567": traffic[0]}
        await self.traffic.turn()

    def of(self, metric: str, **where: str) -> dict[float, float]:
        return self.metrics.of(metric, "AWS/ApplicationELB", **where)


@pytest.fixture
async def scene() -> Scene:
    made = Scene()
    await made.make("healthy", "healthy", "unhealthy", "draining")
    return made


async def test_what_came_since_the_last_look(scene: Scene) -> None:
    await scene.look(PoolTraffic(100, (90, 5, 3, 2)))
    assert scene.of("RequestCount", **OWN) == {}, "what was before the first look, somebody else has told"
    assert scene.of("HealthyHostCount", **OF_GROUP) == {2.0: 1.0}
    assert scene.of("UnHealthyHostCount", **OF_GROUP) == {1.0: 1.0}
    await scene.look(PoolTraffic(111, (95, 6, 5, 2), 1, 2))
    assert scene.of("RequestCount", **OWN) == scene.of("RequestCount", **OF_GROUP) == {11.0: 1.0}
    assert scene.of("RequestCountPerTarget", TargetGroup=GROUP) == {5.5: 1.0}
    assert scene.of("RequestCountPerTarget", **OF_GROUP) == {5.5: 1.0}
    assert scene.of("HTTPCode_Target_2XX_Count", **OF_GROUP) == {5.0: 1.0}
    assert scene.of("HTTPCode_Target_4XX_Count", **OWN) == {2.0: 1.0}
    assert scene.of("HTTPCode_Target_5XX_Count", **OWN) == {}
    assert scene.of("HTTPCode_ELB_4XX_Count", **OWN) == {1.0: 1.0}
    assert scene.of("HTTPCode_ELB_5XX_Count", **OWN) == {2.0: 1.0}


async def test_no_requests_are_told_of_each_target(scene: Scene) -> None:
    await scene.look(PoolTraffic(100))
    await scene.look(PoolTraffic(100))
    assert scene.of("RequestCountPerTarget", TargetGroup=GROUP) == {0.0: 1.0}
    assert scene.of("RequestCount", **OWN) == {}


async def test_a_node_that_is_away_for_a_moment(scene: Scene) -> None:
    await scene.look(PoolTraffic(100))
    scene.away = True
    await scene.look(PoolTraffic(110))
    assert scene.of("RequestCount", **OWN) == {}
    scene.away = False
    await scene.look(PoolTraffic(130))
    assert scene.of("RequestCount", **OWN) == {30.0: 1.0}


async def test_ways_into_networks_are_no_load_balancers() -> None:
    scene = Scene()
    await scene.make("healthy", kind="/vpclinks/abc")
    await scene.look(PoolTraffic(1))
    await scene.look(PoolTraffic(2))
    assert scene.metrics.seen == {}
