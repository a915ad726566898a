"""AWS/ApplicationELB: what load balancers did in each minute, and how many of their targets are well."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from havre.control.deps import ReconcilerDeps
from havre.control.metrics import until_look
from havre.control.nodes import BALANCER, BalancerReport, BalancerSpec
from havre.core.traffic import since
from havre.kernel.balancer import PoolTraffic
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.resource import Resource

log = logging.getLogger("havre.elbv2")
NAMESPACE = "AWS/ApplicationELB"
TARGET_CODES = tuple(f"HTTPCode_Target_{hundred}XX_Count" for hundred in (2, 3, 4, 5))
BalancerR = Resource[BalancerSpec, BalancerReport]
Ask = Callable[[str], Awaitable[Mapping[str, PoolTraffic]]]
"""A node's name → what its pools have done since their proxy began. Raises Temporary, Permanent."""
Dimensions = tuple[tuple[str, str], ...]


class Traffic:
    def __init__(self, deps: ReconcilerDeps, ask: Ask) -> None:
        self._deps = deps
        self._ask = ask
        self._seen: dict[tuple[str, str], PoolTraffic] = {}
        """By balancer and pool."""
        self.progress: float | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(until_look(self._deps.world.now()))
            await self.turn()

    async def turn(self) -> None:
        """Everything once."""
        by_node: dict[str, list[BalancerR]] = {}
        for found in self._deps.store.list(BALANCER):
            if "loadbalancer/" in found.meta.arn:
                by_node.setdefault(found.spec.node, []).append(found)
        before, self._seen = self._seen, {}
        await asyncio.gather(*(self._look(node, found, before) for node, found in by_node.items()))
        self.progress = self._deps.world.now()

    async def _look(self, node: str, balancers: list[BalancerR], before: Mapping[tuple[str, str], PoolTraffic]) -> None:
        try:
            told = await self._ask(node)
        except (Temporary, Permanent) as error:
            log.info("node %s does not tell what its load balancers do: %s", node, error)
            told = {}
        for balancer in balancers:
            for pool in balancer.spec.balancer.pools:
                key = balancer.meta.arn, pool.id
                now = told.get(pool.id)
                if now is not None:
                    self._seen[key] = now
                elif key in before:
                    self._seen[key] = before[key]
            self._tell(balancer, {pool: seen for (arn, pool), seen in before.items() if arn == balancer.meta.arn}, told)

    def _tell(self, balancer: BalancerR, before: Mapping[str, PoolTraffic], told: Mapping[str, PoolTraffic]) -> None:
        """Nothing of a pool's requests until a second look: what was before the first one was told by a former process."""
        own = ("LoadBalancer", balancer.meta.arn.partition("loadbalancer/")[2])
        refused = failed = 0
        for pool in balancer.spec.balancer.pools:
            name, _, id = pool.id.rpartition("-")
            group = ("TargetGroup", f"targetgroup/{name}/{id}")
            healthy = self._tell_health(balancer, pool.id, (own, group))
            if pool.id not in told or pool.id not in before:
                continue
            done = since(before[pool.id], told[pool.id])
            refused, failed = refused + done.refused, failed + done.failed
            for metric, count in (("RequestCount", done.requests), *zip(TARGET_CODES, done.answered, strict=True)):
                if count:
                    self._add(balancer, metric, count, (own,), (own, group))
            if healthy or done.requests:
                self._add(balancer, "RequestCountPerTarget", done.requests / max(1, healthy), (group,), (own, group))
        for metric, count in (("HTTPCode_ELB_4XX_Count", refused), ("HTTPCode_ELB_5XX_Count", failed)):
            if count:
                self._add(balancer, metric, count, (own,))

    def _tell_health(self, balancer: BalancerR, pool: str, where: Dimensions) -> int:
        """How many targets are healthy."""
        report = balancer.status.report
        states = [each.state for each in report.targets if each.pool == pool] if report is not None else []
        healthy = states.count("healthy")
        if states:
            self._add(balancer, "HealthyHostCount", healthy, where)
            self._add(balancer, "UnHealthyHostCount", states.count("unhealthy"), where)
        return healthy

    def _add(self, balancer: BalancerR, metric: str, value: float, *where: Dimensions) -> None:
        m = balancer.meta
        for dimensions in where:
            self._deps.metrics.add(m.account, m.region, NAMESPACE, metric, dimensions, float(value))
