"""What a task definition, RunTask and CreateService may ask for: it has an effect, or is refused when it is asked for."""

from __future__ import annotations

import pytest
from tests.simulation.harness import DEFINITION, Harness

from havre.control.nodes import WORKLOAD
from havre.engines.docker.spec import Surroundings, create_body
from havre.kernel.errors import ApiError
from havre.kernel.workload import Container, Workload

TMPFS = {"containerPath": "/t", "size": 1}
FARGATE = {"networkMode": "awsvpc", "requiresCompatibilities": ["EC2", "FARGATE"], "cpu": "256", "memory": "512"}
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-a"], "securityGroups": ["sg-1"]}}
APP = DEFINITION["containerDefinitions"][0]


async def refused(h: Harness, operation: str, **request: object) -> ApiError:
    with pytest.raises(ApiError) as error:
        await h.call(operation, **request)
    return error.value


@pytest.mark.parametrize(
    ("container", "task", "words"),
    [
        ({"systemControls": [{"namespace": "net.core.somaxconn"}]}, {}, "a namespace and a value"),
        ({"linuxParameters": {"sharedMemorySize": -1}}, {}, "sharedMemorySize"),
        ({"stopTimeout": 121}, FARGATE, "stopTimeout can be at most 120"),
        ({"startTimeout": 121}, FARGATE, "startTimeout can be at most 120"),
        ({"portMappings": [{"containerPort": 80, "name": "X Y"}]}, {}, "portMappings.name"),
        ({"portMappings": [{"containerPort": p, "name": "web"} for p in (80, 81)]}, {}, "web is given twice"),
        ({"linuxParameters": {"tmpfs": [TMPFS | {"mountOptions": ["fast"]}]}}, {}, "Invalid tmpfs mount option: fast"),
        ({"dependsOn": [{"containerName": "db", "condition": "START"}]}, {}, "Cannot depend on container + 'db'"),
    ],
)
async def test_definitions_that_could_not_run_are_refused(container, task, words):
    h = Harness()
    await h.ready()
    app = {**APP, "portMappings": [], **container}
    error = await refused(h, "RegisterTaskDefinition", family="no", containerDefinitions=[app], **task)
    assert error.code == "ClientException" and words in error.message


@pytest.mark.parametrize("condition", ["SUCCESS", "COMPLETE"])
async def test_what_a_task_does_not_go_on_without_is_not_waited_for_to_end(condition):
    h = Harness()
    await h.ready()
    app = {**APP, "portMappings": [], "dependsOn": [{"containerName": "db", "condition": condition}]}
    db = {"name": "db", "image": "db", "memory": 64}
    error = await refused(h, "RegisterTaskDefinition", family="no", containerDefinitions=[app, db])
    assert error.code == "ClientException" and "cannot be an essential container" in error.message
    await h.call("RegisterTaskDefinition", family="yes", containerDefinitions=[app, {**db, "essential": False}])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"containerOverrides": [{"name": "app", "memory": 2}]}, "at least 6 MiB"),
        ({"containerOverrides": [{"name": "app", "memory": 10, "memoryReservation": 20}]}, "memoryReservation"),
        ({"containerOverrides": [{"name": "app", "cpu": -5}]}, "'cpu'"),
        ({"containerOverrides": [{"name": "app", "environment": [{"value": "1"}]}]}, "names must not be null"),
        ({"containerOverrides": [{"name": "other", "cpu": 5}]}, "not a container"),
        ({"ephemeralStorage": {"sizeInGiB": 30}}, "only supported by Fargate"),
        ({"executionRoleArn": "no role!"}, "Role is not valid"),
        ({"memory": "3"}, "'memory'"),
    ],
)
async def test_overrides_that_could_not_run_are_refused(overrides, words):
    h = Harness()
    await h.ready({**DEFINITION, "family": "f", "containerDefinitions": [{**APP, "name": "app"}]})
    error = await refused(h, "RunTask", taskDefinition="f", overrides=overrides)
    assert words in error.message
    assert h.store.list(WORKLOAD) == [] and await h.tasks() == []


@pytest.mark.parametrize("overrides", [{"cpu": "300"}, {"ephemeralStorage": {"sizeInGiB": 5000}}])
async def test_overrides_keep_to_fargates_sizes(overrides):
    h = Harness()
    await h.ready({**DEFINITION, **FARGATE, "family": "f"})
    request = {"taskDefinition": "f", "launchType": "FARGATE", "networkConfiguration": NETWORK}
    assert (await refused(h, "RunTask", overrides=overrides, **request)).code == "ClientException"
    assert (await h.call("RunTask", overrides={"cpu": "512", "memory": "1024"}, **request))["failures"] == []


async def test_a_fargate_task_says_that_it_shares_a_kernel():
    h = Harness()
    await h.ready({**DEFINITION, **FARGATE, "family": "f"})
    request = {"taskDefinition": "f", "networkConfiguration": NETWORK}
    said = {}
    for launch in ("FARGATE", "EC2"):
        made = await h.call("RunTask", launchType=launch, **request)
        await h.settle()
        said[launch] = await h.runner.explain(made["tasks"][0]["taskArn"])
    assert any("shares the kernel" in line for line in said["FARGATE"])
    assert not any("kernel" in line for line in said["EC2"])


async def test_a_task_role_that_nobody_may_assume_is_told():
    h = Harness()
    role = "arn:aws:iam::000000000000:role/denied"
    await h.ready({**DEFINITION, "taskRoleArn": role})
    error = await refused(h, "RunTask", taskDefinition="web")
    assert error.code == "ClientException" and error.message.startswith(f"ECS was unable to assume the role '{role}'")
    await h.call("CreateService", serviceName="s", taskDefinition="web", desiredCount=1)
    await h.settle()
    stopped = (await h.tasks(desiredStatus="STOPPED"))[0]
    assert stopped["stoppedReason"].startswith(f"ECS was unable to assume the role '{role}'")


async def test_early_success_is_refused_by_name():
    h = Harness()
    await h.ready()
    wanted = {"earlySuccessCriteria": {"enable": True, "healthyPercent": 50}}
    request = {"serviceName": "s", "taskDefinition": "web", "desiredCount": 1}
    error = await refused(h, "CreateService", deploymentConfiguration=wanted, **request)
    assert error.code == "NotImplementedException" and "earlySuccessCriteria" in error.message


@pytest.mark.parametrize(("network", "own"), [("bridge", True), ("none", True), ("awsvpc", False)])
def test_sysctls_of_the_network_are_set_where_the_network_is_the_containers_own(network, own):
    """Those of an awsvpc task are set in its namespace. What a task's processes share changes nothing about that."""
    container = Container("app", "image", sysctls={"net.core.somaxconn": "77", "kernel.msgmax": "9000"})
    workload = Workload("t", "arn", "0", "r", (container,), network=network, pid_mode="task")
    made = create_body(Surroundings("havre"), workload, container, "image", "sandbox")["HostConfig"]["Sysctls"]
    assert ("net.core.somaxconn" in made) is own and made["kernel.msgmax"] == "9000"
