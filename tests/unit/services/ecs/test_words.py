"""The words in which ECS refuses, where tools look for them."""

from __future__ import annotations

import pytest
from tests.simulation.harness import ACCOUNT, DEFINITION, REGION, Harness

from havre.kernel.errors import ApiError

BARE = {"name": "app", "image": "app"}
FARGATE = {"requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512", "networkMode": "awsvpc"}


async def ready():
    h = Harness()
    await h.ready(DEFINITION, DEFINITION)
    return h


def register(container=BARE, **task):
    return {"family": "x", "containerDefinitions": [container], **task}


@pytest.mark.parametrize(
    ("operation", "request_", "code", "words"),
    [
        ("DeregisterTaskDefinition", {"taskDefinition": "web"}, "ClientException", "Revision is missing."),
        ("DeregisterTaskDefinition", {"taskDefinition": "web:new"}, "ClientException",
         "Invalid revision number. Number: new"),
        ("DescribeTaskDefinition", {"taskDefinition": "web:new"}, "ClientException",
         "Invalid revision number. Number: new"),
        ("DeregisterTaskDefinition", {"taskDefinition": "web:9"}, "ClientException",
         "Unable to describe task definition."),
        ("RegisterTaskDefinition", register({"image": "app"}, requiresCompatibilities=["FARGATE"]), "ClientException",
         "Container.name should not be null or empty."),
        ("RegisterTaskDefinition", register({"name": "app"}, requiresCompatibilities=["FARGATE"]), "ClientException",
         "Container.image should not be null or empty."),
        ("RegisterTaskDefinition", register(pidMode="host", **FARGATE), "ClientException",
         "Tasks using the Fargate launch type do not support pidMode 'host'. The supported value for pidMode is 'task'."),
        ("DescribeContainerInstances", {"containerInstances": []}, "InvalidParameterException",
         "Container Instances cannot be empty."),
        ("PutAccountSettingDefault", {"name": "taskLongArnFormat", "value": "disabled"}, "InvalidParameterException",
         "You can no longer disable taskLongArnFormat: every resource has the long format."),
    ],
)  # fmt: skip
async def test_refusals(operation, request_, code, words):
    h = await ready()
    with pytest.raises(ApiError) as told:
        await h.call(operation, request_)
    assert (told.value.code, told.value.message) == (code, words)


async def test_definitions_that_are_not_deleted_are_named_as_they_were_asked_for():
    h = await ready()
    await h.call("DeregisterTaskDefinition", taskDefinition="web:1")
    wanted = ["web:1", "web:2", "web", "web:9"]
    answer = await h.call("DeleteTaskDefinitions", taskDefinitions=wanted)
    assert [d["revision"] for d in answer["taskDefinitions"]] == [1]
    active, unclear, absent = answer["failures"]
    assert active["arn"].endswith(":task-definition/web:2") and "still in ACTIVE status" in active["reason"]
    assert unclear == {
        "arn": "web",
        "reason": "The specified task definition identifier is invalid. Specify a valid name or ARN and try again.",
    }
    assert absent == {
        "arn": "web:9",
        "reason": "The specified task definition does not exist. Specify a valid account, family, revision and try again.",
    }


async def test_arns_are_read_whole():
    h = await ready()
    service = (await h.call("CreateService", serviceName="web", taskDefinition="web:1", desiredCount=0))["service"]
    cluster, definition = service["clusterArn"], service["taskDefinition"]
    for old, new in (
        (":ecs:", ":lambda:"),
        ("arn:aws:", "arn:aws-cn:"),
        (f":{ACCOUNT}:", ":111122223333:"),
        (f":{REGION}:", ":eu-west-3:"),
        ("/", "/more/more/"),
    ):
        for arn, ask, member in (
            (cluster.replace(old, new), "DescribeClusters", "clusters"),
            (service["serviceArn"].replace(old, new, 1), "DescribeServices", "services"),
        ):
            answer = await h.call(ask, {member: [arn]})
            assert answer[member] == [] and answer["failures"] == [{"arn": arn, "reason": "MISSING"}]
        with pytest.raises(ApiError, match="Unable to describe task definition"):
            await h.call("DescribeTaskDefinition", taskDefinition=definition.replace(old, new))


async def test_the_statistics_of_a_cluster_tell_launch_types_apart():
    h = await ready()
    await h.call("CreateService", serviceName="web", taskDefinition="web:1", desiredCount=2)
    await h.pass_time(10)
    (cluster,) = (await h.call("DescribeClusters", include=["STATISTICS"]))["clusters"]
    names = [each["name"] for each in cluster["statistics"]]
    assert len(names) == 16 and names[:2] == ["runningEC2TasksCount", "runningFargateTasksCount"]
    told = {each["name"]: each["value"] for each in cluster["statistics"] if each["value"] != "0"}
    assert told == {"runningEC2TasksCount": "2", "activeEC2ServiceCount": "1"}
