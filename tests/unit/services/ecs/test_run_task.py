"""RunTask to RUNNING to STOPPED, on fakes."""

from __future__ import annotations

import pytest
from tests.simulation.harness import DEFINITION, Harness

from havre.control.nodes import WORKLOAD
from havre.kernel.errors import ApiError

AWSVPC = {**DEFINITION, "family": "vpc", "networkMode": "awsvpc"}
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-a"], "securityGroups": ["sg-1"]}}


async def test_a_task_runs_and_stops_when_told():
    h = Harness()
    await h.ready()
    made = await h.call("RunTask", taskDefinition="web", count=2, startedBy="me")
    assert [t["lastStatus"] for t in made["tasks"]] == ["PENDING", "PENDING"]
    assert made["failures"] == []
    await h.settle()
    tasks = await h.tasks()
    assert [t["lastStatus"] for t in tasks] == ["RUNNING", "RUNNING"]
    assert tasks[0]["containers"][0]["networkBindings"][0]["containerPort"] == 80
    assert tasks[0]["group"] == "family:web" and tasks[0]["startedBy"] == "me"

    await h.call("StopTask", task=tasks[0]["taskArn"], reason="enough")
    await h.settle()
    stopped = (await h.tasks(desiredStatus="STOPPED"))[0]
    assert stopped["lastStatus"] == "STOPPED" and stopped["stopCode"] == "UserInitiated"
    assert stopped["stoppedReason"] == "enough"
    assert len(h.store.list(WORKLOAD)) == 1
    await h.pass_time(3700)
    assert await h.tasks(desiredStatus="STOPPED") == []


async def test_an_awsvpc_task_has_an_interface_until_it_stops():
    h = Harness()
    await h.ready(AWSVPC)
    made = await h.call("RunTask", taskDefinition="vpc", networkConfiguration=NETWORK)
    assert made["tasks"][0]["lastStatus"] == "PROVISIONING"
    await h.settle()
    task = (await h.tasks())[0]
    assert task["lastStatus"] == "RUNNING"
    details = {d["name"]: d["value"] for d in task["attachments"][0]["details"]}
    assert details["networkInterfaceId"] in h.aws.interfaces
    assert task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] == details["privateIPv4Address"]
    await h.call("StopTask", task=task["taskArn"])
    await h.settle()
    assert h.aws.interfaces == {}


async def test_an_essential_container_that_exits_ends_the_task():
    h = Harness()
    await h.ready()
    h.nodes.behave = lambda workload: "crash"
    await h.call("RunTask", taskDefinition="web")
    await h.settle()
    task = (await h.tasks(desiredStatus="STOPPED"))[0]
    code = task["containers"][0]["exitCode"]
    assert f"Container app exited with {code}." in await h.runner.explain(task["taskArn"])
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["stoppedReason"] == "Essential container in task exited"
    assert task["containers"][0]["exitCode"] == 1


async def test_a_subnet_that_has_gone_is_told_in_words():
    h = Harness()
    await h.ready(AWSVPC)
    network = {"awsvpcConfiguration": {"subnets": ["subnet-bad"]}}
    await h.call("RunTask", taskDefinition="vpc", networkConfiguration=network)
    await h.settle()
    task = (await h.tasks(desiredStatus="STOPPED"))[0]
    assert task["stopCode"] == "TaskFailedToStart"
    assert "InvalidSubnetID.NotFound" in task["stoppedReason"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"subnets": ["subnet-none"]},
            "Error retrieving subnet information for [subnet-none]: The subnet ID 'subnet-none' does not exist "
            "(ErrorCode: InvalidSubnetID.NotFound)",
        ),
        (
            {"subnets": ["subnet-a"], "securityGroups": ["sg-none"]},
            "Error retrieving security group information for [sg-none]: The security group 'sg-none' does not exist "
            "(ErrorCode: InvalidGroup.NotFound)",
        ),
        (
            {"subnets": ["subnet-a", "subnet-of-vpc-2"]},
            "The subnets [subnet-a, subnet-of-vpc-2] do not belong to the same VPC.",
        ),
        (
            {"subnets": ["subnet-a"], "securityGroups": ["sg-1", "sg-of-vpc-2"]},
            "Security group sg-of-vpc-2 does not appear to belong to the same VPC as the input subnets.",
        ),
    ],
)
async def test_networks_that_are_not_there_are_refused_at_once(config, words):
    h = Harness()
    await h.ready(AWSVPC)
    network = {"awsvpcConfiguration": config}
    for operation, more in (("RunTask", {}), ("CreateService", {"serviceName": "s", "desiredCount": 1})):
        with pytest.raises(ApiError) as error:
            await h.call(operation, taskDefinition="vpc", networkConfiguration=network, **more)
        assert (error.value.code, error.value.message) == ("InvalidParameterException", words)
    assert (await h.call("ListTasks"))["taskArns"] == []


@pytest.mark.parametrize(
    ("demand", "reason"),
    [({"cpu": 100_000}, "RESOURCE:CPU"), ({"memory": 1_000_000}, "RESOURCE:MEMORY")],
)
async def test_what_does_not_fit_fails_with_the_resource(demand, reason):
    h = Harness()
    big = {"family": "big", "containerDefinitions": [{**DEFINITION["containerDefinitions"][0], **demand}]}
    await h.ready(big)
    made = await h.call("RunTask", taskDefinition="big")
    assert made["tasks"] == [] and made["failures"][0]["reason"] == reason
    assert ":container-instance/default/" in made["failures"][0]["arn"]


async def test_host_ports_are_held_until_the_task_is_over():
    h = Harness()
    app = {**DEFINITION["containerDefinitions"][0], "portMappings": [{"containerPort": 80, "hostPort": 8080}]}
    await h.ready({"family": "port", "containerDefinitions": [app]})
    first = await h.call("RunTask", taskDefinition="port", count=2)
    assert len(first["tasks"]) == 1 and first["failures"][0]["reason"] == "RESOURCE:PORTS"
    await h.settle()
    await h.call("StopTask", task=first["tasks"][0]["taskArn"])
    await h.settle()
    assert len((await h.call("RunTask", taskDefinition="port"))["tasks"]) == 1


async def test_ports_that_the_node_has_chosen_and_those_that_ecs_keeps_are_taken():
    h = Harness()
    await h.ready()
    await h.call("RunTask", taskDefinition="web")
    await h.settle()
    (chosen,) = (await h.tasks())[0]["containers"][0]["networkBindings"]
    for port in (chosen["hostPort"], 22):
        app = {**DEFINITION["containerDefinitions"][0], "portMappings": [{"containerPort": 80, "hostPort": port}]}
        await h.call("RegisterTaskDefinition", family="fixed", containerDefinitions=[app])
        made = await h.call("RunTask", taskDefinition="fixed")
        assert [f["reason"] for f in made["failures"]] == ["RESOURCE:PORTS"]
    await h.call("StopTask", task=(await h.tasks())[0]["taskArn"])
    await h.settle()
    assert len((await h.call("RunTask", taskDefinition="fixed:1"))["tasks"]) == 1


async def test_images_of_our_own_registry_are_pulled_with_the_execution_role():
    h = Harness()
    app = {**DEFINITION["containerDefinitions"][0], "image": "127.0.0.1:4566/hello:v1"}
    await h.ready(
        {"family": "own", "containerDefinitions": [app], "executionRoleArn": "arn:aws:iam::000000000000:role/x"}
    )
    await h.call("RunTask", taskDefinition="own")
    await h.settle()
    registry = h.store.list(WORKLOAD)[0].spec.workload.containers[0].registry
    assert (registry.server, registry.username, registry.password) == ("127.0.0.1:4566", "AWS", "secret")
    assert "ecs-tasks.amazonaws.com" in h.aws.principals


async def test_a_role_that_nobody_may_assume_is_told():
    h = Harness()
    app = {**DEFINITION["containerDefinitions"][0], "image": "127.0.0.1:4566/hello:v1"}
    role = "arn:aws:iam::000000000000:role/denied"
    await h.ready({"family": "own", "containerDefinitions": [app], "executionRoleArn": role})
    await h.call("RunTask", taskDefinition="own")
    await h.settle()
    task = (await h.tasks(desiredStatus="STOPPED"))[0]
    assert task["stoppedReason"].startswith("ResourceInitializationError: unable to pull secrets or registry auth")


async def test_a_client_token_starts_tasks_once():
    h = Harness()
    await h.ready()
    first = await h.call("RunTask", taskDefinition="web", clientToken="t")
    again = await h.call("RunTask", taskDefinition="web", clientToken="t")
    assert [t["taskArn"] for t in first["tasks"]] == [t["taskArn"] for t in again["tasks"]]
    with pytest.raises(ApiError) as error:
        await h.call("RunTask", taskDefinition="web", clientToken="t", count=2)
    assert error.value.code == "ConflictException"


async def test_passing_a_role_needs_permission():
    h = Harness()
    await h.ready({**DEFINITION, "taskRoleArn": "arn:aws:iam::000000000000:role/r"})
    h.allowed = lambda action, resources: action != "iam:PassRole"
    with pytest.raises(ApiError) as error:
        await h.call("RunTask", taskDefinition="web")
    assert error.value.code == "AccessDeniedException"
