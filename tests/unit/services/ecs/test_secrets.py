"""Secrets of containers: where they lie, what comes of them, and why a task without them does not start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.simulation.harness import DEFINITION, Harness

from havre.control.nodes import WORKLOAD
from havre.control.operation import Aws
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.ecs.secrets import Place, place_of, values

SECRET = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:db-AbCdEf"
PARAMETER = "arn:aws:ssm:us-east-1:000000000000:parameter/a/b"
ROLE = "arn:aws:iam::000000000000:role/execution"
WHO = ("000000000000", "us-east-1", ROLE, "t")


class Kept:
    """Stands for both services; ``refuses`` is raised by every call."""

    def __init__(self) -> None:
        self.parameters = {"/a/b": "parameter", **{f"p{n}": str(n) for n in range(12)}}
        self.secret: dict[str, Any] = {"SecretString": json.dumps({"user": "u", "port": 5432})}
        self.refuses: ApiError | None = None
        self.asked: list[tuple[str, str, Mapping[str, Any]]] = []

    async def caller(self, account: str, region: str, role: str, task: str) -> Aws:
        assert (account, role) == ("000000000000", ROLE)

        async def call(service: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
            self.asked.append((region, operation, request))
            if self.refuses is not None:
                raise self.refuses
            return self.secret if service == "secretsmanager" else self._parameters(request["Names"])

        return call

    def _parameters(self, names: list[str]) -> Mapping[str, Any]:
        assert len(names) <= 10
        told = [(n.rpartition(":parameter")[2].partition(":")[0], n) for n in names]
        return {
            "Parameters": [
                {"Name": n, "ARN": f"arn:aws:ssm:us-east-1:000000000000:parameter{n}", "Value": self.parameters[n]}
                | ({"Selector": ":1"} if given.endswith(":1") else {})
                for n, given in told
                if n in self.parameters
            ],
            "InvalidParameters": [given for n, given in told if n not in self.parameters],
        }


@pytest.mark.parametrize(
    ("value_from", "place"),
    [
        ("name", Place("ssm", "us-east-1", "name")),
        ("/a/b", Place("ssm", "us-east-1", "/a/b")),
        (PARAMETER, Place("ssm", "us-east-1", PARAMETER)),
        (SECRET, Place("secretsmanager", "eu-west-1", SECRET)),
        (f"{SECRET}:user::", Place("secretsmanager", "eu-west-1", SECRET, "user")),
        (f"{SECRET}:user:AWSPREVIOUS:", Place("secretsmanager", "eu-west-1", SECRET, "user", "AWSPREVIOUS")),
        (f"{SECRET}:::0123", Place("secretsmanager", "eu-west-1", SECRET, "", "", "0123")),
    ],
)
def test_where_a_value_lies(value_from: str, place: Place) -> None:
    assert place_of(value_from, "us-east-1") == place


async def test_values_of_both_kinds() -> None:
    kept = Kept()
    wanted = {PARAMETER, "/a/b", f"{PARAMETER}:1", SECRET, f"{SECRET}:user::", f"{SECRET}:port::"}
    assert await values(kept.caller, WHO, wanted) == {
        PARAMETER: "parameter",
        "/a/b": "parameter",
        f"{PARAMETER}:1": "parameter",
        SECRET: kept.secret["SecretString"],
        f"{SECRET}:user::": "u",
        f"{SECRET}:port::": "5432",
    }
    assert {region for region, operation, _ in kept.asked if operation == "GetSecretValue"} == {"eu-west-1"}


async def test_ten_parameters_a_request() -> None:
    kept = Kept()
    wanted = {f"p{n}" for n in range(12)}
    assert await values(kept.caller, WHO, wanted) == {f"p{n}": str(n) for n in range(12)}
    assert [operation for _, operation, _ in kept.asked] == ["GetParameters"] * 2


@pytest.mark.parametrize(
    ("value_from", "secret", "words"),
    [
        ("nowhere", {}, "unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid"),
        (f"{SECRET}:user::", {"SecretString": "[1]"}, "is no JSON object"),
        (f"{SECRET}:user::", {"SecretString": "{"}, "is no JSON object"),
        (f"{SECRET}:nokey::", {"SecretString": "{}"}, "did not contain json key nokey"),
        (SECRET, {"SecretBinary": b"x"}, "is binary"),
    ],
)
async def test_values_that_cannot_be_had(value_from: str, secret: dict[str, Any], words: str) -> None:
    kept = Kept()
    kept.secret = secret
    with pytest.raises(Permanent) as told:
        await values(kept.caller, WHO, {value_from})
    assert words in told.value.reason


async def test_refusals_and_services_that_are_away() -> None:
    kept = Kept()
    kept.refuses = ApiError("AccessDeniedException", "no", 400)
    for each in ("/a/b", SECRET):
        with pytest.raises(Permanent, match="AccessDeniedException: no"):
            await values(kept.caller, WHO, {each})
    kept.refuses = ApiError("ServiceUnavailable", "later", 503)
    with pytest.raises(Temporary, match="later"):
        await values(kept.caller, WHO, {SECRET})
    with pytest.raises(Permanent, match="unable to find execution role credentials"):
        await values(kept.caller, ("000000000000", "us-east-1", "", "t"), {SECRET})


async def started(execution: dict[str, str], kept: Kept) -> Harness:
    h = Harness()
    app = {**DEFINITION["containerDefinitions"][0], "secrets": [{"name": "WORD", "valueFrom": "/a/b"}]}
    await h.ready({"family": "own", "containerDefinitions": [app], **execution})
    h.aws.GetParameters = lambda request: kept._parameters(request["Names"])
    await h.call("RunTask", taskDefinition="own")
    await h.settle()
    return h


async def test_a_node_is_told_where_a_value_lies_and_not_the_value() -> None:
    h = await started({"executionRoleArn": ROLE}, Kept())
    work = h.store.list(WORKLOAD)[0].spec.workload
    assert (work.containers[0].secrets, work.execution_role) == ({"WORD": "/a/b"}, ROLE)
    assert "WORD" not in work.containers[0].environment


@pytest.mark.parametrize("execution", [{}, {"executionRoleArn": ROLE}])
async def test_a_task_whose_secrets_cannot_be_had_does_not_start(execution: dict[str, str]) -> None:
    kept = Kept()
    kept.parameters.clear()
    h = await started(execution, kept)
    (task,) = await h.tasks(desiredStatus="STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith(
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
    )
    assert not h.store.list(WORKLOAD)
