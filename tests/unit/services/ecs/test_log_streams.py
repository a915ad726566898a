"""A task's log streams are there before its containers are; a task that cannot log does not start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.simulation.harness import DEFINITION, Harness

from havre.engines.docker.spec import Surroundings, create_body
from havre.kernel.errors import ApiError, Temporary
from havre.kernel.workload import Container, LogTarget, Workload

ROLE = "arn:aws:iam::000000000000:role/execution"


class Logs:
    """CreateLogGroup and CreateLogStream, for the fake AWS."""

    def __init__(self, h: Harness) -> None:
        self.groups: set[str] = set()
        self.streams: set[tuple[str, str]] = set()
        self.busy = 0
        h.aws.CreateLogGroup = self.create_group  # type: ignore[attr-defined]
        h.aws.CreateLogStream = self.create_stream  # type: ignore[attr-defined]

    def create_group(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if request["logGroupName"] in self.groups:
            raise ApiError("ResourceAlreadyExistsException")
        self.groups.add(request["logGroupName"])
        return {}

    def create_stream(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.busy:
            self.busy -= 1
            raise Temporary("the disk is full")
        if request["logGroupName"] not in self.groups:
            raise ApiError("ResourceNotFoundException", "The specified log group does not exist.")
        key = (request["logGroupName"], request["logStreamName"])
        if key in self.streams:
            raise ApiError("ResourceAlreadyExistsException")
        self.streams.add(key)
        return {}


def definition(family: str = "web", **options: str) -> dict[str, Any]:
    app: dict[str, Any] = dict(DEFINITION["containerDefinitions"][0])  # type: ignore[arg-type]
    given = {"awslogs-group": "/web", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p", **options}
    app["logConfiguration"] = {"logDriver": "awslogs", "options": given}
    return {"family": family, "containerDefinitions": [app]}


async def started(h: Harness) -> dict[str, Any]:
    await h.call("RunTask", taskDefinition="web")
    await h.settle()
    running = await h.tasks()
    return dict((running or await h.tasks(desiredStatus="STOPPED"))[0])


async def test_streams_are_made_before_the_task_starts() -> None:
    h = Harness()
    logs = Logs(h)
    logs.groups.add("/web")
    await h.ready(definition())
    task = await started(h)
    assert task["lastStatus"] == "RUNNING"
    assert logs.streams == {("/web", f"p/app/{task['taskArn'].rsplit('/', 1)[-1]}")}


async def test_a_group_is_made_only_where_it_is_asked_for() -> None:
    h = Harness()
    logs = Logs(h)
    await h.ready(definition(**{"awslogs-create-group": "true"}))
    assert (await started(h))["lastStatus"] == "RUNNING"
    assert logs.groups == {"/web"}


async def test_a_missing_group_ends_the_task_in_words() -> None:
    h = Harness()
    Logs(h)
    await h.ready(definition())
    task = await started(h)
    assert (task["lastStatus"], task["stopCode"]) == ("STOPPED", "TaskFailedToStart")
    assert task["stoppedReason"] == (
        "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to "
        "create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. : exit status 1"
    )


async def test_what_passes_is_waited_for() -> None:
    h = Harness()
    logs = Logs(h)
    logs.groups.add("/web")
    logs.busy = 3
    await h.ready(definition())
    await h.call("RunTask", taskDefinition="web")
    for _ in range(5):
        await h.settle()
        await h.pass_time(5)
    assert [t["lastStatus"] for t in await h.tasks()] == ["RUNNING"]
    assert len(logs.streams) == 1


@pytest.mark.parametrize("launch", ["EC2", "FARGATE"])
async def test_fargate_logs_as_the_execution_role(launch: str) -> None:
    h = Harness()
    Logs(h).groups.add("/web")
    given = {**definition(), "executionRoleArn": ROLE, "cpu": "256", "memory": "512", "networkMode": "awsvpc"}
    given["requiresCompatibilities"] = [launch]
    await h.ready(given)
    network = {"awsvpcConfiguration": {"subnets": ["subnet-a"]}}
    await h.call("RunTask", taskDefinition="web", launchType=launch, networkConfiguration=network)
    await h.settle()
    assert [t["lastStatus"] for t in await h.tasks()] == ["RUNNING"]
    assumed = [r["RoleArn"] for _, operation, r in h.aws.calls if operation == "AssumeRole"]
    assert assumed == ([ROLE] if launch == "FARGATE" else [])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"awslogs-multiline-pattern": "^\\["}, "NotImplementedException"),
        ({"awslogs-datetime-format": "%Y"}, "NotImplementedException"),
        ({"mode": "sometimes"}, "ClientException"),
        ({"mode": "non-blocking", "max-buffer-size": "lots"}, "ClientException"),
        ({"awslogs-group": ""}, "ClientException"),
        ({"mode": "non-blocking", "max-buffer-size": "4m"}, ""),
    ],
)
async def test_an_option_has_an_effect_or_is_refused(options: dict[str, str], code: str) -> None:
    h = Harness()
    try:
        await h.call("RegisterTaskDefinition", **definition(**options))
    except ApiError as refusal:
        assert refusal.code == code
    else:
        assert code == ""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, {}),
        ({"mode": "blocking", "max-buffer-size": "4m"}, {}),
        ({"mode": "non-blocking", "max-buffer-size": "4m"}, {"mode": "non-blocking", "max-buffer-size": "4m"}),
    ],
)
def test_the_engine_is_told_how_lines_wait(options: dict[str, str], told: dict[str, str]) -> None:
    container = Container("c", "image", log=LogTarget("awslogs", "/g", "s", "us-east-1", options))
    whole = Workload("w", "arn", "1", "r", (container,))
    config = create_body(Surroundings("havre", "/lines.sock"), whole, container, "image", "")["HostConfig"]["LogConfig"]
    assert config["Type"] == "fluentd"
    assert {k: v for k, v in config["Config"].items() if k in ("mode", "max-buffer-size")} == told
