"""AWS/ECS: what services use of what they asked for."""

from __future__ import annotations

from typing import Any

import pytest
from tests.simulation.harness import REGION, Harness
from tests.unit.services.ecs.ecs_services import create, ready
from tests.unit.services.metrics_fakes import CountedMetrics

from havre.control.deps import ReconcilerDeps
from havre.control.nodes import NODE
from havre.core.usage import MIB
from havre.kernel.errors import Temporary
from havre.services.ecs.utilization import Utilization

WEB = {"ClusterName": "default", "ServiceName": "web"}


class Scene:
    """``used``: by the id of a task, of which each has ten CPU units and 64 MiB."""

    def __init__(self, h: Harness) -> None:
        self.h = h
        self.metrics = CountedMetrics()
        self.used: dict[str, tuple[int, int]] = {}
        self.asked: list[str] = []
        self.away = False
        deps = ReconcilerDeps(h.store, h.journal, h.world, h.site, h.aws.for_, None, self.metrics)
        self.utilization = Utilization(deps, self.ask)

    async def ask(self, node: str) -> dict[str, tuple[int, int]]:
        self.asked.append(node)
        if self.away:
            raise Temporary("the node is not connected")
        return self.used

    async def tasks(self) -> list[str]:
        return [str(task["taskArn"]).rsplit("/", 1)[1] for task in await self.h.tasks()]

    def of(self, metric: str) -> dict[float, float]:
        found = self.metrics.of(metric, "AWS/ECS", **WEB)
        self.metrics.seen.clear()
        return {round(value, 6): count for value, count in found.items()}


@pytest.fixture
async def scene() -> Scene:
    h = await ready()
    await create(h, desiredCount=2)
    await h.pass_time(20)
    return Scene(h)


async def test_each_task_is_a_sample(scene: Scene) -> None:
    one, other = await scene.tasks()
    scene.used = {one: (0, 16 * MIB), other: (0, 32 * MIB)}
    await scene.h.pass_time(100)
    await scene.utilization.turn()
    assert scene.of("MemoryUtilization") == {25.0: 1.0, 50.0: 1.0}
    assert scene.of("CPUUtilization") == {}, "of tasks that are older than a minute nobody knows yet"
    tenth = 60 * 10**9 * 10 // 1024
    scene.used = {one: (tenth, 0), other: (tenth * 2, 0)}
    await scene.h.pass_time(60)
    await scene.utilization.turn()
    assert scene.of("CPUUtilization") == {100.0: 1.0, 200.0: 1.0}
    assert scene.metrics.units["CPUUtilization"] == "Percent" and len(set(scene.asked)) == 1
    assert scene.utilization.progress == scene.h.now


async def test_a_task_that_has_just_begun_counts_since_then(scene: Scene) -> None:
    one, _ = await scene.tasks()
    (task,) = [t for t in await scene.h.tasks() if str(t["taskArn"]).endswith(one)]
    passed = scene.h.now - float(task["startedAt"])
    assert 0 < passed <= 60
    scene.used = {one: (round(passed * 10**9 * 10 / 1024 / 2), 0)}
    await scene.utilization.turn()
    assert scene.of("CPUUtilization") == {50.0: 1.0}


async def test_a_node_that_is_away_for_a_moment(scene: Scene) -> None:
    one, other = await scene.tasks()
    scene.used = {one: (0, 0), other: (0, 0)}
    await scene.h.pass_time(100)
    await scene.utilization.turn()
    scene.of("CPUUtilization")
    scene.away = True
    await scene.h.pass_time(60)
    await scene.utilization.turn()
    assert scene.of("CPUUtilization") == {}
    scene.away = False
    scene.used = {one: (120 * 10**9 * 10 // 1024, 0)}
    await scene.h.pass_time(60)
    await scene.utilization.turn()
    assert scene.of("CPUUtilization") == {100.0: 1.0}, "of two minutes"


async def test_all_tasks_on_instances_count_for_their_cluster(scene: Scene) -> None:
    await scene.h.call("RunTask", taskDefinition="web:1")
    await scene.h.pass_time(100)
    tasks = await scene.tasks()
    assert len(tasks) == 3
    scene.used = dict.fromkeys(tasks, (0, 16 * MIB))
    await scene.utilization.turn()
    scene.used = dict.fromkeys(tasks, (60 * 10**9, 16 * MIB))
    scene.metrics.seen.clear()
    await scene.h.pass_time(60)
    await scene.utilization.turn()
    (node,) = scene.h.store.list(NODE)

    def of(metric: str) -> float:
        return next(iter(scene.metrics.of(metric, "AWS/ECS", ClusterName="default")))

    assert of("CPUUtilization") == 100 * 3 * 1024 / node.status.cpu
    assert of("MemoryUtilization") == 100 * 48 / node.status.memory
    assert of("CPUReservation") == 100 * 30 / node.status.cpu
    assert of("MemoryReservation") == 100 * 192 / node.status.memory
    assert sum(scene.metrics.of("CPUUtilization", "AWS/ECS", **WEB).values()) == 2, "two of them are the service's"


async def test_nobody_is_asked_while_nothing_runs(scene: Scene) -> None:
    await scene.h.call("DeleteService", service="web", force=True)
    await scene.h.pass_time(8000)
    scene.asked.clear()
    await scene.utilization.turn()
    assert scene.asked == [] and scene.metrics.seen == {}


async def test_it_is_told_in_the_region_of_the_service(scene: Scene, monkeypatch: Any) -> None:
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(scene.metrics, "add", lambda *values: told.append(values))
    (one, *_) = await scene.tasks()
    scene.used = {one: (0, 64 * MIB)}
    await scene.utilization.turn()
    assert ("000000000000", REGION, "AWS/ECS", "MemoryUtilization") in [values[:4] for values in told]
