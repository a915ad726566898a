"""Load balancers as ECS meets them: targets become healthy after a while, drain for a while, and each change wakes ECS."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Any

from havre.control.nodes import BALANCER, BalancerReport, BalancerSpec
from havre.kernel.balancer import Balancer, BalancerStatus, TargetHealth
from havre.kernel.errors import Temporary
from havre.kernel.world import World
from havre.store.ports import Store, Transaction
from tests.simulation.fakes import FakeAws

INSTANCES = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/instance/1"
ADDRESSES = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/addresses/1"
CHECKED = 1.5
"""Seconds until a new target has passed its first health check."""


class Balanced(FakeAws):
    """``serves`` says whether somebody listens at (id, port). ``sick`` targets fail their checks all the same."""

    def __init__(self, world: World, store: Store, serves: Callable[[str, int], bool]) -> None:
        super().__init__(world)
        self.serves = serves
        self.store = store
        self.delay = 5.0
        self.since: dict[tuple[str, int], float] = {}
        self.sick: set[tuple[str, int]] = set()
        self.health = self._health
        self._tasks: set[asyncio.Task[None]] = set()

    def _health(self, id: str, port: int) -> str:
        if self.world.now() < self.since.get((id, port), 0.0) + CHECKED:
            return "initial"
        return "healthy" if self.serves(id, port) and (id, port) not in self.sick else "unhealthy"

    def RegisterTargets(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        for each in request["Targets"]:
            if self._group(request).get((each["Id"], each["Port"])) != "in":
                self.since[each["Id"], each["Port"]] = self.world.now()
        answer = super().RegisterTargets(request)
        self.look(0.0)
        self.look(CHECKED)
        return answer

    def DeregisterTargets(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = super().DeregisterTargets(request)
        self.look(0.0)
        self.look(self.delay)
        return answer

    def look(self, after: float) -> None:
        """The balancer's node reports what it sees."""

        async def report() -> None:
            await asyncio.sleep(after + 0.01)
            while True:
                try:
                    await self.store.transact(self._report)
                    return
                except Temporary:
                    await asyncio.sleep(0.5)

        task = asyncio.get_running_loop().create_task(report(), context=Context())  # whoever caused it may die
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _report(self, tx: Transaction) -> None:
        targets = []
        for group in sorted(self.groups):
            for each in self.DescribeTargetHealth({"TargetGroupArn": group})["TargetHealthDescriptions"]:
                at = each["Target"]
                targets.append(TargetHealth(group, f"{at['Id']}:{at['Port']}", each["TargetHealth"]["State"]))
        said = BalancerReport(BalancerStatus("b", "active", targets=tuple(targets)))
        found = tx.get(BALANCER, "000000000000", "us-east-1", "b")
        if found is None:
            key = {"account": "000000000000", "region": "us-east-1", "name": "b", "arn": "b"}
            balancer = Balancer("b", "b", "vpc-1", (), "127.0.0.1")
            tx.create(BALANCER, **key, spec=BalancerSpec("elsewhere", balancer), status=said)
        elif found.status != said:
            tx.update(found, status=said)
