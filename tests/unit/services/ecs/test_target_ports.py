"""A host port passes from a task that has ended to the next one, and its target with it."""

from __future__ import annotations

import pytest
from tests.simulation.harness import ACCOUNT, REGION, Harness

from havre.control.nodes import WORKLOAD, WorkloadReport, WorkloadSpec
from havre.kernel.workload import Container, Workload, WorkloadStatus
from havre.services.ecs.life import Deregister
from havre.services.ecs.reconcile.effects import TaskEffects
from havre.services.ecs.registries import Registries
from havre.services.ecs.resources import TASK, Target, Task, TaskStatus

GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/instance/1"
AT = {"account": ACCOUNT, "region": REGION}
TARGET = (GROUP, "i-1", 32768)


async def task(h: Harness, name: str, phase: str, registered: bool = True, desired: str = "RUNNING") -> None:
    spec = Task("default", "web:1", "EC2", "node-1", targets=(Target(GROUP, "app", 80),), desired=desired)
    status = TaskStatus("RUNNING", registered=(TARGET,) if registered else ())
    work = Workload(name, name, ACCOUNT, REGION, (Container("app", "image"),))
    report = WorkloadReport(WorkloadStatus(name, phase))
    await h.store.transact(lambda tx: tx.create(TASK, **AT, name=name, arn=name, spec=spec, status=status))
    told = WorkloadSpec("node-1", work)
    await h.store.transact(lambda tx: tx.create(WORKLOAD, **AT, name=name, arn=name, spec=told, status=report))


async def leave(h: Harness, name: str) -> None:
    effects = TaskEffects(h.deps, Registries(h.deps))
    await effects.deregister(Deregister(name, ACCOUNT, REGION, *TARGET, "", name, "node-1"))


@pytest.mark.parametrize(
    ("phase", "registered", "desired", "stays"),
    [
        ("RUNNING", True, "RUNNING", True),
        ("RUNNING", False, "RUNNING", False),
        ("RUNNING", True, "STOPPED", False),
        ("DEPROVISIONING", True, "RUNNING", False),
    ],
)
async def test_a_target_stays_with_the_task_that_serves_there_now(
    phase: str, registered: bool, desired: str, stays: bool
) -> None:
    h = Harness()
    h.aws.groups[GROUP] = {TARGET[1:]: "in"}
    await task(h, "old", "DEPROVISIONING")
    await task(h, "new", phase, registered, desired)
    await leave(h, "old")
    assert h.aws.groups[GROUP].get(TARGET[1:]) == ("in" if stays else "draining")


async def test_two_that_have_ended_pass_it_to_nobody() -> None:
    h = Harness()
    h.aws.groups[GROUP] = {TARGET[1:]: "in"}
    await task(h, "one", "DEPROVISIONING")
    await task(h, "two", "STOPPED")
    for name in ("one", "two"):
        await leave(h, name)
    assert h.aws.groups[GROUP].get(TARGET[1:]) == "draining"
