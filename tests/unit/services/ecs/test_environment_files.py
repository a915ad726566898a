"""Containers' environment files: what is in them, whose permissions read them, why a task without them does not start."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tests.simulation.harness import DEFINITION, Harness

from havre.control.nodes import WORKLOAD
from havre.control.operation import Aws
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.ecs import environment_files
from havre.services.ecs.environment_files import LARGEST, variables

FILE = "arn:aws:s3:::settings/web/prod.env"
ROLE = "arn:aws:iam::000000000000:role/execution"
WHO = ("000000000000", "us-east-1", ROLE, "t")


class Bucket:
    """Stands for S3; ``refuses`` is raised by every call."""

    def __init__(self, objects: Mapping[str, bytes], refuses: ApiError | None = None) -> None:
        self.objects, self.refuses = objects, refuses

    async def caller(self, account: str, region: str, role: str, task: str) -> Aws:
        assert (account, region, role, task) == WHO

        async def call(service: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
            assert (service, operation, request["Bucket"]) == ("s3", "GetObject", "settings")
            if self.refuses is not None:
                raise self.refuses
            return {"Body": self._pieces(self.objects[request["Key"]])}

        return call

    async def _pieces(self, data: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(data), 1 << 16):
            yield data[at : at + (1 << 16)]


async def test_what_files_say() -> None:
    text = b"# a comment\nA=1\n\nB=two words # all of it\nURL=http://x/?a=b\nEMPTY=\n=x\nnothing\n C=spaces\r\nA=last\n"
    bucket = Bucket({"web/prod.env": text, "more.env": b"A=other\nD=4"})
    found = await variables(bucket.caller, WHO, [FILE, "arn:aws:s3:::settings/more.env"])
    told = {"A": "last", "B": "two words # all of it", "URL": "http://x/?a=b", " C": "spaces", "D": "4"}
    assert found == told, "the first file has the word"


@pytest.mark.parametrize(
    ("data", "words"), [(b"A=\xff", "is no text in UTF-8"), (b"#" * (LARGEST + 1), f"has more than {LARGEST} bytes")]
)
async def test_files_that_cannot_be_read(data: bytes, words: str) -> None:
    with pytest.raises(Permanent, match=words):
        await variables(Bucket({"web/prod.env": data}).caller, WHO, [FILE])


async def test_refusals() -> None:
    for refusal, kind in (
        (ApiError("AccessDenied", "no", 403), Permanent),
        (ApiError("Slow", "later", 503), Temporary),
    ):
        with pytest.raises(kind):
            await variables(Bucket({}, refusal).caller, WHO, [FILE])
    with pytest.raises(Permanent, match="unable to find execution role credentials"):
        await variables(Bucket({}).caller, ("000000000000", "us-east-1", "", "t"), [FILE])


async def started(execution: dict[str, str], body: bytes | None = b"A=1", **more: Any) -> Harness:
    h = Harness()
    app = {**DEFINITION["containerDefinitions"][0], "environmentFiles": [{"type": "s3", "value": FILE}]}
    await h.ready({"family": "own", "containerDefinitions": [app], **execution})

    def get(request: Mapping[str, Any]) -> Mapping[str, Any]:
        if body is None:
            raise ApiError("NoSuchKey", "The specified key does not exist.", 404)
        return {"Body": body}

    h.aws.GetObject = get
    await h.call("RunTask", taskDefinition="own", **more)
    await h.settle()
    return h


async def test_a_node_is_told_which_files_and_not_what_they_say() -> None:
    h = await started({"executionRoleArn": ROLE})
    work = h.store.list(WORKLOAD)[0].spec.workload
    assert (work.containers[0].environment_files, work.execution_role) == ((FILE,), ROLE)
    assert "A" not in work.containers[0].environment
    other = [{"type": "s3", "value": "arn:aws:s3:::settings/other.env"}]
    h = await started(
        {"executionRoleArn": ROLE}, overrides={"containerOverrides": [{"name": "app", "environmentFiles": other}]}
    )
    assert h.store.list(WORKLOAD)[0].spec.workload.containers[0].environment_files == (other[0]["value"],)


@pytest.mark.parametrize(("execution", "words"), [({}, "unable to find"), ({"executionRoleArn": ROLE}, "NoSuchKey")])
async def test_a_task_whose_files_cannot_be_had_does_not_start(execution: dict[str, str], words: str) -> None:
    h = await started(execution, None)
    (task,) = await h.tasks(desiredStatus="STOPPED")
    assert (task["stopCode"], h.store.list(WORKLOAD)) == ("TaskFailedToStart", [])
    assert task["stoppedReason"].startswith(environment_files.FAILED) and words in task["stoppedReason"]


@pytest.mark.parametrize(
    "files",
    [
        [{"type": "s3", "value": "arn:aws:s3:::settings/prod.txt"}],
        [{"type": "s3", "value": "prod.env"}],
        [{"type": "ssm", "value": FILE}],
        [{"type": "s3", "value": FILE}] * 11,
    ],
)
async def test_files_that_cannot_be_are_refused(files: list[dict[str, str]]) -> None:
    h = Harness()
    await h.ready()
    app = {**DEFINITION["containerDefinitions"][0], "environmentFiles": files}
    with pytest.raises(ApiError) as refused:
        await h.call("RegisterTaskDefinition", family="no", containerDefinitions=[app])
    assert refused.value.code == "ClientException"
    override = {"containerOverrides": [{"name": "app", "environmentFiles": files}]}
    with pytest.raises(ApiError):
        await h.call("RunTask", taskDefinition="web", overrides=override)
