"""Credentials of private registries: who is asked, what a node is told, why a task without them does not start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.simulation.harness import DEFINITION, Harness

from havre.control.nodes import WORKLOAD
from havre.control.operation import Aws
from havre.kernel.errors import ApiError, Permanent
from havre.kernel.workload import Registry
from havre.services.ecs.private_registries import credentials

SECRET = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:hub-AbCdEf"
ROLE = "arn:aws:iam::000000000000:role/execution"
WHO = ("000000000000", "us-east-1", ROLE, "t")
LOGIN = json.dumps({"username": "me", "password": "word"})


def caller(text: str, asked: list[tuple[str, str]]) -> Any:
    async def give(account: str, region: str, role: str, task: str) -> Aws:
        async def call(service: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
            assert (service, operation) == ("secretsmanager", "GetSecretValue")
            asked.append((region, request["SecretId"]))
            return {"SecretString": text}

        return call

    return give


@pytest.mark.parametrize(
    ("secret", "image", "asked", "server"),
    [
        (SECRET, "registry.example:5000/team/web:1", ("eu-west-1", SECRET), "registry.example:5000"),
        (SECRET, "team/web", ("eu-west-1", SECRET), "docker.io"),
        ("hub", "nginx", ("us-east-1", "hub"), "docker.io"),
    ],
)
async def test_a_secret_is_read_where_it_lies(secret: str, image: str, asked: tuple[str, str], server: str) -> None:
    found: list[tuple[str, str]] = []
    assert await credentials(caller(LOGIN, found), WHO, secret, image) == Registry(server, "me", "word")
    assert found == [asked]


@pytest.mark.parametrize("text", ["word", "[1]", '{"username": "me"}', "null"])
async def test_secrets_that_are_no_login(text: str) -> None:
    with pytest.raises(Permanent, match="no JSON object with a username and a password"):
        await credentials(caller(text, []), WHO, SECRET, "nginx")


async def started(text: str | None, **execution: str) -> Harness:
    h = Harness()
    given = {"repositoryCredentials": {"credentialsParameter": SECRET}, "image": "127.0.0.1:4566/web:1"}
    app = {**DEFINITION["containerDefinitions"][0], **given}
    await h.ready({"family": "own", "containerDefinitions": [app], **execution})

    def get(request: Mapping[str, Any]) -> Mapping[str, Any]:
        if text is None:
            raise ApiError("AccessDeniedException", "no", 400)
        return {"SecretString": text}

    h.aws.GetSecretValue = get
    await h.call("RunTask", taskDefinition="own")
    await h.settle()
    return h


async def test_a_node_is_told_where_they_lie() -> None:
    h = await started(LOGIN, executionRoleArn=ROLE)
    container = h.store.list(WORKLOAD)[0].spec.workload.containers[0]
    assert (container.registry_secret, container.registry) == (SECRET, None)


@pytest.mark.parametrize(("execution", "words"), [({}, "unable to find"), ({"executionRoleArn": ROLE}, "AccessDenied")])
async def test_a_task_whose_registry_cannot_be_entered_does_not_start(execution: dict[str, str], words: str) -> None:
    h = await started(None, **execution)
    (task,) = await h.tasks(desiredStatus="STOPPED")
    assert (task["stopCode"], h.store.list(WORKLOAD)) == ("TaskFailedToStart", [])
    assert "execution resource retrieval failed" in task["stoppedReason"] and words in task["stoppedReason"]


async def test_what_names_no_secret_is_refused() -> None:
    h = Harness()
    await h.ready()
    app = {**DEFINITION["containerDefinitions"][0], "repositoryCredentials": {"credentialsParameter": "no secret!"}}
    with pytest.raises(ApiError, match="Invalid credentialsParameter"):
        await h.call("RegisterTaskDefinition", family="no", containerDefinitions=[app])
