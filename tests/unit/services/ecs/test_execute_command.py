"""ExecuteCommand: who gets a session, and what a session says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.simulation.harness import ACCOUNT, REGION, Harness

from havre.control.nodes import NODE
from havre.control.operation import Site
from havre.control.terminals.sessions import Sessions, Transcript
from havre.kernel.errors import ApiError
from havre.services import ecs
from havre.services.ecs.operations import execute_command
from havre.services.ecs.rules.execute_command import transcript

LOG = {"logDriver": "awslogs", "options": {"awslogs-group": "/app", "awslogs-region": REGION}}
ONE = {
    "family": "one",
    "taskRoleArn": "task",
    "containerDefinitions": [{"name": "app", "image": "example/app:1", "memory": 64}],
}
TWO = {
    **ONE,
    "family": "two",
    "containerDefinitions": [*ONE["containerDefinitions"], {"name": "side", "image": "example/app:1", "memory": 64}],  # type: ignore[misc]
}
ROLELESS = {**ONE, "family": "roleless", "taskRoleArn": ""}


class Allowing:
    """IAM's simulator, as ECS asks it."""

    def __init__(self, aws: Any) -> None:
        self.aws, self.denied, self.gone = aws, (), False

    async def __call__(self, service: str, operation: str, request: Any) -> Any:
        if operation != "SimulatePrincipalPolicy":
            return await self.aws(service, operation, request)
        assert request["PolicySourceArn"] == f"arn:aws:iam::{ACCOUNT}:role/task"
        if self.gone:
            raise ApiError("NoSuchEntity", "no")
        decided = {True: "implicitDeny", False: "allowed"}
        names = request["ActionNames"]
        return {"EvaluationResults": [{"EvalActionName": n, "EvalDecision": decided[n in self.denied]} for n in names]}


async def ready(definition=ONE, *, exec=True, settle=True, **site):
    h = Harness()
    h.site = Site(**site)
    h.sessions = Sessions()
    h.service = ecs.service(h.sessions)
    h.aws = Allowing(h.aws)
    await h.ready(definition)
    made = await h.call("RunTask", taskDefinition=definition["family"], enableExecuteCommand=exec)
    h.task = made["tasks"][0]["taskArn"]
    if settle:
        await h.settle()
    return h


async def execute(h, **members):
    return await h.call("ExecuteCommand", {"task": h.task, "command": "sh", "interactive": True, **members})


async def refused(h, **members):
    with pytest.raises(ApiError) as error:
        await execute(h, **members)
    return error.value


async def test_a_session_says_where_it_is_and_opens_with_its_token():
    h = await ready()
    made = await execute(h, command="sh -c 'ls \"a b\"'")
    session = made.pop("session")
    id = h.task.rsplit("/", 1)[-1]
    container = (await h.tasks())[0]["containers"][0]
    assert made == {
        "clusterArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/default",
        "containerArn": container["containerArn"],
        "containerName": "app",
        "interactive": True,
        "taskArn": h.task,
    }
    assert session["sessionId"].startswith("ecs-execute-command-")
    url = f"ws://127.0.0.1:4566/v1/data-channel/{session['sessionId']}?role=publish_subscribe"
    assert session["streamUrl"] == url
    opened = h.sessions.open(session["sessionId"], session["tokenValue"], h.now)
    assert opened.command == ("sh", "-c", 'ls "a b"')
    assert (opened.workload, opened.container, opened.node) == (id, "app", "node-1")
    assert opened.target == f"ecs:default_{id}_{container['runtimeId']}"


async def test_agents_are_shown():
    h = await ready(settle=False)
    agent = (await h.tasks())[0]["containers"][0]["managedAgents"]
    assert agent == [{"name": "ExecuteCommandAgent", "lastStatus": "PENDING"}]
    await h.settle()
    agent = (await h.tasks())[0]["containers"][0]["managedAgents"][0]
    assert agent["lastStatus"] == "RUNNING"
    await h.call("StopTask", task=h.task)
    await h.settle()
    stopped = (await h.tasks(desiredStatus="STOPPED"))[0]["containers"][0]
    assert stopped["managedAgents"][0]["lastStatus"] == "STOPPED"


async def test_without_a_role_no_agent_runs():
    h = await ready(ROLELESS)
    agent = (await h.tasks())[0]["containers"][0]["managedAgents"][0]
    assert agent["lastStatus"] == "STOPPED" and "role" in agent["reason"]
    assert (await refused(h)).message == execute_command.NOT_ENABLED


async def test_a_task_that_was_run_without_it_is_refused():
    h = await ready(exec=False)
    assert "managedAgents" not in (await h.tasks())[0]["containers"][0]
    error = await refused(h)
    assert (error.code, error.message) == ("InvalidParameterException", execute_command.NOT_ENABLED)


async def test_a_task_that_does_not_run_is_refused():
    h = await ready(settle=False)
    assert (await refused(h)).message == execute_command.NOT_ENABLED
    await h.settle()
    await h.call("StopTask", task=h.task)
    await h.settle()
    assert (await refused(h)).message == execute_command.NOT_ENABLED


@pytest.mark.parametrize(
    ("members", "code", "words"),
    [
        ({"interactive": False}, "InvalidParameterException", "Interactive is the only mode supported currently."),
        ({"cluster": "none"}, "ClusterNotFoundException", "Cluster not found."),
        ({"task": "0" * 32}, "InvalidParameterException", "The referenced task was not found."),
        ({"task": "short"}, "InvalidParameterException", "taskId length should be one of [32,36]"),
        ({"container": "none"}, "InvalidParameterException", "The container none does not exist in the task."),
        ({"command": "sh -c 'open"}, "InvalidParameterException", "Failed to parse commands input"),
        ({"command": "x" * 100_000}, "InvalidParameterException", "command can have at most"),
    ],
)
async def test_what_aws_refuses_is_refused(members, code, words):
    h = await ready()
    error = await refused(h, **members)
    assert error.code == code and words in error.message
    assert h.sessions.count(h.task.rsplit("/", 1)[-1], "app", h.now) == 0


async def test_one_of_several_containers_has_to_be_named():
    h = await ready(TWO)
    assert "Container name must be specified" in (await refused(h)).message
    assert (await execute(h, container="side"))["containerName"] == "side"


async def test_no_command_is_a_shell():
    h = await ready()
    session = (await execute(h, command=" "))["session"]
    assert h.sessions.open(session["sessionId"], session["tokenValue"], h.now).command == ("sh",)


async def test_a_container_has_two_sessions_at_most():
    h = await ready(TWO)
    for _ in range(2):
        await execute(h, container="app")
    error = await refused(h, container="app")
    assert error.code == "ClientException"
    assert "the maximum session limit of 2 has been reached" in error.message
    await execute(h, container="side")
    h.now += 121
    await execute(h, container="app")


async def test_a_role_that_may_not_open_channels_is_told_of():
    h = await ready()
    h.aws.denied = ("ssmmessages:OpenDataChannel",)
    error = await refused(h)
    assert error.code == "TargetNotConnectedException"
    assert error.message.startswith("The execute command failed due to an internal error. Try again later.")
    assert "ssmmessages:OpenDataChannel" in error.message and "CreateControlChannel" not in error.message
    h.aws.gone = True
    assert (await refused(h)).code == "TargetNotConnectedException"


async def test_where_nobody_is_asked_who_he_is_roles_are_not_looked_at():
    h = await ready(auth="open")
    h.aws.denied = execute_command.PERMISSIONS
    await execute(h)


async def test_a_machine_that_is_away_is_told_of():
    h = await ready()

    def away(tx):
        found = tx.get(NODE, "", "", "node-1")
        tx.update(found, status=msgspec.structs.replace(found.status, connected=False))

    await h.store.transact(away)
    assert (await refused(h)).code == "TargetNotConnectedException"


async def test_with_tls_the_stream_is_secure():
    h = await ready(tls=True)
    assert (await execute(h))["session"]["streamUrl"].startswith("wss://127.0.0.1:4566/")


def test_iam_decides_on_cluster_and_task_by_the_containers_name():
    sessions = execute_command.operations(Sessions())
    operation = sessions.all["ExecuteCommand"]

    class Call:
        account, region, store = ACCOUNT, REGION, None

        def arn(self, resource):
            return f"arn:aws:ecs:{REGION}:{ACCOUNT}:{resource}"

    request = {"cluster": "c", "task": "0" * 32, "container": "app"}
    cluster, task = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/c", f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/c/{'0' * 32}"
    assert operation.resources(Call(), request) == [cluster, task]
    assert operation.conditions(Call(), request) == {
        "ecs:cluster": cluster,
        "ecs:task": task,
        "ecs:container-name": "app",
    }


OVERRIDE = {"logging": "OVERRIDE", "logConfiguration": {"cloudWatchLogGroupName": "/exec"}}


@pytest.mark.parametrize(
    ("configuration", "container", "group"),
    [
        (None, {"logConfiguration": LOG}, "/app"),
        ({}, {"logConfiguration": LOG}, "/app"),
        ({"logging": "DEFAULT"}, {"logConfiguration": LOG}, "/app"),
        ({"logging": "DEFAULT"}, {}, ""),
        ({"logging": "DEFAULT"}, {"logConfiguration": {"logDriver": "json-file"}}, ""),
        ({"logging": "NONE"}, {"logConfiguration": LOG}, ""),
        (OVERRIDE, {"logConfiguration": LOG}, "/exec"),
        (OVERRIDE, {}, "/exec"),
    ],
)
def test_where_a_session_is_written_down(configuration, container, group):
    told = {} if configuration is None else {"executeCommandConfiguration": configuration}
    assert transcript(told, container, REGION, "role") == (Transcript(group, "role") if group else None)


@pytest.mark.parametrize(
    ("configuration", "code", "words"),
    [
        ({"kmsKeyId": "k"}, "NotImplementedException", "kmsKeyId"),
        ({"logging": "SOME"}, "InvalidParameterException", "logging"),
        ({"logging": "OVERRIDE"}, "InvalidParameterException", "logConfiguration"),
        (
            {"logging": "NONE", **{"logConfiguration": OVERRIDE["logConfiguration"]}},
            "InvalidParameterException",
            "OVERRIDE",
        ),
        ({"logging": "OVERRIDE", "logConfiguration": {"s3KeyPrefix": "p"}}, "InvalidParameterException", "OVERRIDE"),
        (
            {"logging": "OVERRIDE", "logConfiguration": {"s3BucketName": "b", "s3EncryptionEnabled": True}},
            "NotImplementedException",
            "s3EncryptionEnabled",
        ),
        (
            {"logging": "OVERRIDE", "logConfiguration": {"cloudWatchEncryptionEnabled": True}},
            "NotImplementedException",
            "cloudWatchEncryptionEnabled",
        ),
    ],
)
@pytest.mark.parametrize("operation", ["CreateCluster", "UpdateCluster"])
async def test_what_a_cluster_cannot_have_is_refused_by_name(operation, configuration, code, words):
    h = await ready()
    named = {"clusterName": "other"} if operation == "CreateCluster" else {"cluster": "default"}
    with pytest.raises(ApiError) as error:
        await h.call(operation, {**named, "configuration": {"executeCommandConfiguration": configuration}})
    assert error.value.code == code and words in error.value.message
    described = await h.call("DescribeClusters", clusters=["default", "other"], include=["CONFIGURATIONS"])
    assert [c["clusterName"] for c in described["clusters"]] == ["default"]
    assert "configuration" not in described["clusters"][0]


def test_a_session_can_be_written_into_a_bucket():
    target = {"s3BucketName": "b", "s3KeyPrefix": "p", "cloudWatchLogGroupName": "/exec"}
    told = {"executeCommandConfiguration": {"logging": "OVERRIDE", "logConfiguration": target}}
    assert transcript(told, {}, REGION, "role") == Transcript("/exec", "role", "b", "p")


async def test_a_session_knows_where_its_cluster_has_it_written_down():
    h = await ready()
    await h.call("UpdateCluster", cluster="default", configuration={"executeCommandConfiguration": OVERRIDE})
    session = (await execute(h))["session"]
    opened = h.sessions.open(session["sessionId"], session["tokenValue"], h.now)
    assert opened.transcript == Transcript("/exec", f"arn:aws:iam::{ACCOUNT}:role/task")
