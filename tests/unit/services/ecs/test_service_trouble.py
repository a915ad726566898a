"""Services on fakes when things are in the way: balancers that do not know, tasks that fail, no room, changes of mind."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.simulation.fakes import add_node
from tests.simulation.harness import DEFINITION, Harness
from tests.unit.services.ecs.ecs_services import BALANCED, GROUP, create, described, ready, told

from havre.kernel.errors import ApiError


async def test_a_balancer_that_does_not_know_yet_takes_no_old_task_down():
    h = await ready()
    await create(h, desiredCount=2, **BALANCED)
    await h.pass_time(10)
    old = {t["taskArn"] for t in await h.tasks()}
    h.aws.health = lambda id, port: "initial"
    await h.call("UpdateService", service="web", taskDefinition="web:2")
    await h.pass_time(120)
    assert old <= {t["taskArn"] for t in await h.tasks()}
    h.aws.health = lambda id, port: "healthy"
    await h.pass_time(400)
    assert {t["taskDefinitionArn"].rsplit("/", 1)[-1] for t in await h.tasks()} == {"web:2"}


async def test_a_target_group_that_is_gone_holds_nobody_up():
    h = await ready()
    await create(h, desiredCount=1, **BALANCED)
    await h.pass_time(10)

    def gone(request):
        raise ApiError("TargetGroupNotFound", "One or more target groups not found")

    h.aws.DescribeTargetHealth = gone
    await h.call("UpdateService", service="web", desiredCount=2)
    await h.pass_time(10)
    assert (await described(h))["runningCount"] == 2
    assert told(await described(h))[-1] == "(service web) has reached a steady state."


async def test_tasks_that_keep_failing_are_started_more_slowly_and_it_says_so():
    h = await ready()
    h.nodes.behave = lambda workload: "fail"
    await create(h, desiredCount=1)
    await h.pass_time(60)
    service = await described(h)
    slow = (
        "(service web) is unable to consistently start tasks successfully. "
        "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
    )
    assert slow in told(service)
    assert 4 <= service["deployments"][0]["failedTasks"] <= 12
    assert any("more are started in" in r for r in await h.runner.explain(service["serviceArn"]))
    h.nodes.behave = lambda workload: "ok"
    await h.pass_time(1000)
    assert (await described(h))["runningCount"] == 1


async def test_a_deployment_that_can_go_nowhere_says_so():
    h = await ready()
    one = {"minimumHealthyPercent": 50, "maximumPercent": 100}
    await create(h, desiredCount=1, deploymentConfiguration=one)
    await h.pass_time(10)
    await h.call("UpdateService", service="web", taskDefinition="web:2")
    await h.pass_time(60)
    service = await described(h)
    assert [d["status"] for d in service["deployments"]] == ["PRIMARY", "ACTIVE"]
    assert (
        "(service web) was unable to stop or start tasks during a deployment because of the service deployment "
        "configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
    ) in told(service)
    await h.call("UpdateService", service="web", deploymentConfiguration={"maximumPercent": 200})
    await h.pass_time(30)
    assert len((await described(h))["deployments"]) == 1


async def test_scaling_to_nothing_and_back():
    h = await ready()
    await create(h)
    await h.pass_time(10)
    await h.call("UpdateService", service="web", desiredCount=0)
    await h.pass_time(10)
    service = await described(h)
    assert (service["runningCount"], service["desiredCount"]) == (0, 0) and await h.tasks() == []
    await h.call("DeleteService", service="web")
    await h.pass_time(1)
    assert (await described(h))["status"] == "INACTIVE"


async def test_a_task_that_a_user_stops_is_replaced_and_counts_as_no_failure():
    h = await ready()
    await create(h)
    await h.pass_time(10)
    victim = (await h.tasks())[0]["taskArn"]
    await h.call("StopTask", task=victim, reason="try")
    await h.pass_time(10)
    service = await described(h)
    assert service["runningCount"] == 3 and service["deployments"][0]["failedTasks"] == 0
    assert victim not in [t["taskArn"] for t in await h.tasks()]


async def test_an_update_during_an_update_supersedes_it():
    h = await ready()
    await create(h)
    await h.pass_time(10)
    first = (await h.call("UpdateService", service="web", taskDefinition="web:2"))["service"]["deployments"][0]["id"]
    await h.settle()
    await h.call("UpdateService", service="web", taskDefinition="web:1")
    await h.pass_time(30)
    service = await described(h)
    (deployment,) = service["deployments"]
    assert deployment["id"] != first and deployment["rolloutState"] == "COMPLETED"
    assert {t["taskDefinitionArn"].rsplit("/", 1)[-1] for t in await h.tasks()} == {"web:1"}
    listed = (await h.call("ListServiceDeployments", service="web"))["serviceDeployments"]
    assert [d["status"] for d in listed] == ["SUCCESSFUL", "STOPPED", "SUCCESSFUL"]


async def test_host_ports_make_room_for_one_another_where_the_minimum_allows_it():
    """One machine, a fixed port: the new task can only start when the old one has ended."""
    h = Harness()
    app = {**DEFINITION["containerDefinitions"][0], "portMappings": [{"containerPort": 80, "hostPort": 8080}]}
    await h.ready({**DEFINITION, "containerDefinitions": [app]}, {**DEFINITION, "containerDefinitions": [app]})
    none = {"minimumHealthyPercent": 0, "maximumPercent": 200}
    await create(h, desiredCount=1, deploymentConfiguration=none)
    await h.pass_time(10)
    await h.call("UpdateService", service="web", taskDefinition="web:2")
    await h.pass_time(60)
    assert [t["taskDefinitionArn"].rsplit("/", 1)[-1] for t in await h.tasks()] == ["web:2"]


async def test_a_cluster_with_services_is_not_deleted():
    h = await ready()
    await create(h, desiredCount=0)
    with pytest.raises(ApiError) as error:
        await h.call("DeleteCluster", cluster="default")
    assert error.value.code == "ClusterContainsServicesException"


async def test_fargate_tasks_are_shared_out_over_capacity_providers():
    h = Harness()
    far = {
        "family": "far",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [{"name": "app", "image": "example/app:1"}],
    }
    await h.ready(far)
    strategy = [
        {"capacityProvider": "FARGATE", "base": 2, "weight": 1},
        {"capacityProvider": "FARGATE_SPOT", "weight": 3},
    ]
    await h.call(
        "CreateService",
        serviceName="web",
        taskDefinition="far",
        desiredCount=6,
        capacityProviderStrategy=strategy,
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-a", "subnet-b"]}},
    )
    await h.pass_time(10)
    tasks = await h.tasks()
    names = sorted(t["capacityProviderName"] for t in tasks)
    assert names == ["FARGATE"] * 3 + ["FARGATE_SPOT"] * 3
    assert sorted(t["availabilityZone"] for t in tasks) == ["us-east-1a"] * 3 + ["us-east-1b"] * 3
    service = await described(h)
    assert "launchType" not in service and service["platformVersion"] == "LATEST"
    assert service["deployments"][0]["platformVersion"] == tasks[0]["platformVersion"] == "1.4.0"
    assert service["capacityProviderStrategy"][0] == strategy[0]


async def test_targets_are_reached_where_ipv4_is_bound():
    """Docker binds another host port for IPv6, which nobody may take for the one of IPv4."""
    h = await ready()
    plain = h.nodes._containers

    def both(*told, **more):
        return tuple(
            replace(c, ports=tuple(b for p in c.ports for b in (replace(p, host_port=1000, bind_ip="::"), p)))
            for c in plain(*told, **more)
        )

    h.nodes._containers = both
    await create(h, desiredCount=1, **BALANCED)
    await h.pass_time(10)
    bindings = {b["bindIP"]: b["hostPort"] for b in (await h.tasks())[0]["containers"][0]["networkBindings"]}
    assert [port for _, port in h.aws.groups[GROUP]] == [bindings["0.0.0.0"]] != [bindings["::"]]


async def test_fargate_without_capacity_says_so_and_starts_when_there_is_some():
    h = Harness()
    far = {
        "family": "far",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [{"name": "app", "image": "example/app:1"}],
    }
    await h.ready(far, memory=600)
    network = {"awsvpcConfiguration": {"subnets": ["subnet-a"]}}
    await create(h, taskDefinition="far", desiredCount=2, launchType="FARGATE", networkConfiguration=network)
    await h.pass_time(10)
    service = await described(h)
    assert service["runningCount"] == 1
    assert any(
        m.startswith(
            "(service web) was unable to place a task. Reason: Capacity is unavailable at this time. Please try again "
            "later or in a different availability zone."
        )
        for m in told(service)
    )
    await add_node(h.store, "node-2", memory=600)
    await h.pass_time(1)
    assert (await described(h))["runningCount"] == 2
