"""What was deleted or used up goes when its time has come, and no earlier than nobody needs it."""

from __future__ import annotations

from tests.simulation.harness import DEFINITION, Harness
from tests.unit.services.ecs.ecs_services import create, ready

from havre.services.ecs.resources import CLUSTER, DEPLOYMENT, TASK_DEFINITION, TOKEN

DAY = 86_400


async def delete(h, definition):
    await h.call("DeregisterTaskDefinition", taskDefinition=definition)
    await h.call("DeleteTaskDefinitions", taskDefinitions=[definition])


def definitions(h):
    return [d.meta.name for d in h.store.list(TASK_DEFINITION)]


async def test_a_deleted_definition_goes_at_once_when_nobody_needs_it():
    h = await ready()
    await delete(h, "web:1")
    await h.settle()
    assert definitions(h) == ["web:2"]
    made = await h.call("RegisterTaskDefinition", DEFINITION)
    assert made["taskDefinition"]["revision"] == 3


async def test_a_deleted_definition_waits_for_its_tasks_and_services():
    h = await ready()
    await create(h)
    await h.pass_time(10)
    await delete(h, "web:1")
    await h.pass_time(600)
    assert definitions(h) == ["web:1", "web:2"]
    await h.call("UpdateService", service="web", desiredCount=4)
    await h.pass_time(10)
    assert len(await h.tasks()) == 4
    await h.call("DeleteService", service="web", force=True)
    await h.pass_time(8000)
    assert definitions(h) == ["web:2"] and not h.store.list(DEPLOYMENT)


async def test_a_deleted_cluster_is_described_for_a_day():
    h = Harness()
    await h.ready()
    await h.call("DeleteCluster", cluster="default")
    await h.pass_time(DAY - 100)
    shown = await h.call("DescribeClusters", clusters=["default"])
    assert shown["clusters"][0]["status"] == "INACTIVE"
    await h.pass_time(200)
    assert not h.store.list(CLUSTER)


async def test_client_tokens_are_forgotten_after_a_day():
    h = await ready()
    await h.call("RunTask", taskDefinition="web", clientToken="t")
    await h.pass_time(DAY - 1000)
    assert h.store.list(TOKEN)
    await h.pass_time(2000)
    assert not h.store.list(TOKEN)


async def test_the_last_good_deployment_is_never_forgotten():
    h = await ready()
    await create(h)
    await h.pass_time(10)
    h.nodes.behave = lambda workload: "fail" if workload.metadata.get("Revision") == "2" else "ok"
    for _ in range(60):
        await h.call("UpdateService", service="web", taskDefinition="web:2", forceNewDeployment=True)
    kept = sorted(d.spec.number for d in h.store.list(DEPLOYMENT))
    assert kept[0] == 1 and kept[-1] == 61 and len(kept) <= 53
