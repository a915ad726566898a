"""The words in which ECS refuses, where tools look for them."""

from __future__ import annotations

import pytest
from tests.simulation.harness import DEFINITION, Harness

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
