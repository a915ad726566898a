"""Services on fakes: scaled, updated, healed, rolled back, deleted."""

from __future__ import annotations

import pytest
from tests.simulation.harness import DEFINITION, Harness
from tests.unit.services.ecs.ecs_services import BALANCED, BREAKER, GROUP, create, described, ready, told

from havre.kernel.errors import ApiError


async def test_a_service_starts_its_tasks_and_says_so():
    h = await ready()
    made = await create(h)
    assert made["status"] == "ACTIVE" and made["runningCount"] == 0
    assert made["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    await h.pass_time(10)
    service = await described(h)
    assert (service["runningCount"], service["pendingCount"], service["desiredCount"]) == (3, 0, 3)
    (deployment,) = service["deployments"]
    assert deployment["status"] == "PRIMARY" and deployment["rolloutState"] == "COMPLETED"
    assert deployment["rolloutStateReason"] == f"ECS deployment {deployment['id']} completed."
    ids = [t["taskArn"].rsplit("/", 1)[-1] for t in await h.tasks()]
    messages = told(service)
    assert messages[0].startswith("(service web) has started 3 tasks: (task ")
    assert all(f"(task {id})" in messages[0] for id in ids)
    assert messages[1:] == [
        "(service web) has reached a steady state.",
        f"(service web) (deployment {deployment['id']}) deployment completed.",
    ]
    tasks = await h.tasks()
    assert {t["group"] for t in tasks} == {"service:web"}
    assert {t["startedBy"] for t in tasks} == {deployment["id"]}


async def test_a_killed_task_is_replaced():
    h = await ready()
    await create(h)
    await h.pass_time(10)
    victim = (await h.tasks())[0]["taskArn"].rsplit("/", 1)[-1]
    await h.nodes.kill(victim)
    await h.pass_time(10)
    service = await described(h)
    assert service["runningCount"] == 3
    assert victim not in [t["taskArn"].rsplit("/", 1)[-1] for t in await h.tasks()]
    assert told(service)[-1] == "(service web) has reached a steady state."


async def test_an_update_replaces_tasks_without_going_below_the_minimum():
    h = await ready()
    await create(h)
    await h.pass_time(10)
    before = (await described(h))["deployments"][0]["id"]
    answer = (await h.call("UpdateService", service="web", taskDefinition="web:2"))["service"]
    assert [d["status"] for d in answer["deployments"]] == ["PRIMARY", "ACTIVE"]
    lowest = 3
    for _ in range(200):
        while await h.runner.step():
            pass
        lowest = min(lowest, sum(t["lastStatus"] == "RUNNING" for t in await h.tasks()))
        if not await h.nodes.step():
            break
    await h.pass_time(10)
    assert lowest >= 3
    service = await described(h)
    (deployment,) = service["deployments"]
    assert deployment["id"] != before and deployment["taskDefinition"].endswith("web:2")
    assert {t["taskDefinitionArn"].rsplit("/", 1)[-1] for t in await h.tasks()} == {"web:2"}
    stopped = await h.tasks(desiredStatus="STOPPED")
    assert {t["stoppedReason"] for t in stopped} == {f"Scaling activity initiated by (deployment {deployment['id']})"}
    assert {t["stopCode"] for t in stopped} == {"ServiceSchedulerInitiated"}
    assert any(m.startswith("(service web) has stopped 3 running tasks: ") for m in told(service))


async def test_the_circuit_breaker_rolls_back():
    h = await ready()
    await create(h, **BREAKER)
    await h.pass_time(10)
    good = (await described(h))["deployments"][0]["id"]
    h.nodes.behave = lambda workload: "crash" if workload.metadata.get("Revision") == "2" else "ok"
    bad = (await h.call("UpdateService", service="web", taskDefinition="web:2"))["service"]["deployments"][0]["id"]
    await h.pass_time(30)
    service = await described(h)
    (deployment,) = service["deployments"]
    assert deployment["id"] == good and deployment["rolloutState"] == "COMPLETED"
    assert service["taskDefinition"].endswith("web:1") and service["runningCount"] == 3
    messages = told(service)
    assert f"(service web) (deployment {bad}) deployment failed: tasks failed to start." in messages
    assert f"(service web) rolling back to deployment {good}." in messages


async def test_without_rollback_the_deployment_fails_and_the_old_tasks_stay():
    h = await ready()
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    await create(h, deploymentConfiguration=breaker)
    await h.pass_time(10)
    h.nodes.behave = lambda workload: "fail" if workload.metadata.get("Revision") == "2" else "ok"
    await h.call("UpdateService", service="web", taskDefinition="web:2")
    await h.pass_time(60)
    service = await described(h)
    primary = next(d for d in service["deployments"] if d["status"] == "PRIMARY")
    assert primary["rolloutState"] == "FAILED" and 3 <= primary["failedTasks"] <= 6
    assert primary["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    assert service["runningCount"] == 3


async def test_new_tasks_have_to_be_healthy_before_old_ones_leave():
    h = await ready()
    await create(h, desiredCount=1, **BALANCED)
    await h.pass_time(10)
    old = (await h.tasks())[0]["taskArn"]
    healthy = set(h.aws.groups[GROUP])
    h.aws.health = lambda id, port: "healthy" if (id, port) in healthy else "initial"
    await h.call("UpdateService", service="web", taskDefinition="web:2")
    await h.pass_time(60)
    assert old in [t["taskArn"] for t in await h.tasks()]
    h.aws.health = lambda id, port: "healthy"
    await h.pass_time(400)
    tasks = await h.tasks()
    assert [t["taskDefinitionArn"].rsplit("/", 1)[-1] for t in tasks] == ["web:2"]
    order = [op for _, op, _ in h.aws.calls if op in ("RegisterTargets", "DeregisterTargets")]
    assert order == ["RegisterTargets", "RegisterTargets", "DeregisterTargets"]


async def test_an_unhealthy_target_is_replaced_after_the_grace_period():
    h = await ready()
    await create(h, desiredCount=1, healthCheckGracePeriodSeconds=60, **BALANCED)
    await h.pass_time(10)
    first = (await h.tasks())[0]["taskArn"]
    sick = set(h.aws.groups[GROUP])
    h.aws.health = lambda id, port: "unhealthy" if (id, port) in sick else "healthy"
    await h.pass_time(30)
    assert [t["taskArn"] for t in await h.tasks()] == [first]
    await h.pass_time(400)
    assert first not in [t["taskArn"] for t in await h.tasks()]
    stopped = [t for t in await h.tasks(desiredStatus="STOPPED") if t["taskArn"] == first]
    assert stopped[0]["stoppedReason"] == f"Task failed ELB health checks in (target-group {GROUP})"
    assert any("is unhealthy in (target-group" in m for m in told(await described(h)))


async def test_deleting_stops_everything_and_the_name_is_free_again():
    h = await ready()
    await create(h)
    await h.pass_time(10)
    with pytest.raises(ApiError, match="The service cannot be stopped while it is scaled above 0"):
        await h.call("DeleteService", service="web")
    answer = (await h.call("DeleteService", service="web", force=True))["service"]
    assert answer["status"] == "DRAINING" and answer["desiredCount"] == 0
    with pytest.raises(ApiError, match="Unable to Start a service that is still Draining"):
        await create(h)
    await h.pass_time(10)
    assert (await described(h))["status"] == "INACTIVE"
    assert await h.tasks() == []
    await create(h)
    await h.pass_time(10)
    assert (await described(h))["runningCount"] == 3
    await h.call("DeleteService", service="web", force=True)
    await h.pass_time(8000)
    answer = await h.call("DescribeServices", services=["web"])
    assert answer["services"] == [] and answer["failures"][0]["reason"] == "MISSING"
    assert {r.kind for kind in h.service.kinds for r in h.store.list(kind)} == {
        "ecs.cluster",
        "ecs.container_instance",
        "ecs.family",
        "ecs.task_definition",
    }


async def test_a_daemon_runs_once_on_every_instance():
    h = await ready(nodes=3)
    made = (await h.call("CreateService", serviceName="web", taskDefinition="web:1", schedulingStrategy="DAEMON"))[
        "service"
    ]
    assert made["schedulingStrategy"] == "DAEMON"
    await h.pass_time(10)
    service = await described(h)
    assert service["desiredCount"] == 3 and service["runningCount"] == 3
    assert len({t["containerInstanceArn"] for t in await h.tasks()}) == 3
    await h.call("UpdateService", service="web", taskDefinition="web:2")
    await h.pass_time(30)
    assert {t["taskDefinitionArn"].rsplit("/", 1)[-1] for t in await h.tasks()} == {"web:2"}


async def test_what_cannot_be_placed_says_why_and_waits():
    h = await ready(memory=128)
    await create(h)
    await h.pass_time(1)
    service = await described(h)
    assert service["runningCount"] == 2
    instance = (await h.call("ListContainerInstances"))["containerInstanceArns"][0].rsplit("/", 1)[-1]
    assert (
        "(service web) was unable to place a task because no container instance met all of its requirements. "
        f"The closest matching (container-instance {instance}) has insufficient memory available. "
        "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
    ) in told(service)
    reasons = await h.runner.explain(service["serviceArn"])
    assert any("has insufficient memory available" in r for r in reasons)
    await h.pass_time(100)
    assert len([m for m in told(await described(h)) if "unable to place" in m]) == 1
    await h.call("UpdateService", service="web", desiredCount=2)
    await h.pass_time(10)
    assert told(await described(h))[-1].endswith("deployment completed.")


async def test_creating_it_again_is_idempotent_or_refused():
    h = await ready()
    first = await create(h)
    assert (await create(h))["deployments"][0]["id"] == first["deployments"][0]["id"]
    with pytest.raises(ApiError, match="Creation of service was not idempotent"):
        await create(h, desiredCount=4)


@pytest.mark.parametrize(
    ("members", "code", "words"),
    [
        ({"cluster": "no"}, "ClusterNotFoundException", "Cluster not found."),
        ({"taskDefinition": "no:1"}, "ClientException", "TaskDefinition not found."),
        ({"desiredCount": -1}, "InvalidParameterException", "desired count"),
        ({"schedulingStrategy": "DAEMON"}, "InvalidParameterException", "does not support a desired count"),
        ({"healthCheckGracePeriodSeconds": 5}, "InvalidParameterException", "only valid for services configured"),
        (
            {"deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 100}},
            "InvalidParameterException",
            "cannot be 100 as this will block deployments",
        ),
        ({"launchType": "FARGATE"}, "InvalidParameterException", "does not support launch_type FARGATE"),
        (
            {"loadBalancers": [{"targetGroupArn": GROUP, "containerName": "no", "containerPort": 80}]},
            "InvalidParameterException",
            "The container no does not exist in the task definition.",
        ),
        (
            {"loadBalancers": [{"targetGroupArn": GROUP, "containerName": "app", "containerPort": 81}]},
            "InvalidParameterException",
            "The container app did not have a container port 81 defined.",
        ),
        (
            {"loadBalancers": [{"targetGroupArn": "arn:missing", "containerName": "app", "containerPort": 80}]},
            "InvalidParameterException",
            "The specified target group does not exist.",
        ),
        (
            {"loadBalancers": [{"targetGroupArn": "arn:ip", "containerName": "app", "containerPort": 80}]},
            "InvalidParameterException",
            "has target type ip, which is incompatible with the bridge network mode",
        ),
        (
            {"loadBalancers": [{"targetGroupArn": "arn:lonely-instance", "containerName": "app", "containerPort": 80}]},
            "InvalidParameterException",
            "does not have an associated load balancer",
        ),
        ({"platformVersion": "1.4.0"}, "InvalidParameterException", "The platform version must be null"),
        ({"enableExecuteCommand": True}, "InvalidParameterException", "a valid taskRoleArn is not being used"),
        ({"serviceRegistries": [{"registryArn": "x"}]}, "NotImplementedException", "serviceRegistries"),
        ({"deploymentController": {"type": "EXTERNAL"}}, "NotImplementedException", "EXTERNAL"),
    ],
)
async def test_what_aws_refuses_is_refused_and_nothing_is_made(members, code, words):
    h = await ready()
    with pytest.raises(ApiError) as error:
        await create(h, **members)
    assert error.value.code == code and words in error.value.message
    assert (await h.call("ListServices"))["serviceArns"] == []


async def test_tasks_that_replace_others_keep_to_the_spread_over_subnets():
    h = Harness()
    await h.ready({**DEFINITION, "family": "vpc", "networkMode": "awsvpc"})
    network = {"awsvpcConfiguration": {"subnets": ["subnet-a", "subnet-b"]}}
    await create(h, taskDefinition="vpc", desiredCount=2, networkConfiguration=network)

    async def where():
        tasks = [t for t in await h.tasks() if t["lastStatus"] == "RUNNING"]
        return {t["attachments"][0]["details"][0]["value"]: t["taskArn"] for t in tasks}

    for subnet in ("subnet-a", "subnet-b", "subnet-a"):
        await h.settle()
        there = await where()
        assert sorted(there) == ["subnet-a", "subnet-b"]
        await h.call("StopTask", task=there[subnet])
