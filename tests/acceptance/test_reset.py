"""``POST /_havre/reset``: every resource goes at once, and what ran with it; the next test starts on clean ground."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.images import busybox_image, own

from .conftest import Instance, Starter, eventually
from .lambda_world import need_runtime, packed

pytestmark = [pytest.mark.docker, pytest.mark.root]
IMAGE = own("havre-test-reset")
ANYONE = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


@pytest.fixture(scope="module", autouse=True)
def image() -> Iterator[None]:
    with busybox_image(IMAGE, "exec sleep 600"):
        yield


def _run_two(instance: Instance) -> Any:
    """A suite's set-up: an image pushed without a login, two tasks that run it."""
    uri = instance.client("ecr", **ANYONE).create_repository(repositoryName="app")["repository"]["repositoryUri"]
    for command in (["tag", IMAGE, f"{uri}:1"], ["push", "-q", f"{uri}:1"], ["rmi", f"{uri}:1"]):
        subprocess.run(["docker", *command], check=True, capture_output=True)
    ecs = instance.client("ecs", **ANYONE)
    ecs.create_cluster(clusterName="default")
    container = {"name": "main", "image": f"{uri}:1", "memory": 32}
    ecs.register_task_definition(family="app", networkMode="bridge", containerDefinitions=[container])
    started = ecs.run_task(taskDefinition="app", count=2)
    assert started["failures"] == []
    arns = [task["taskArn"] for task in started["tasks"]]
    eventually(lambda: [t["lastStatus"] for t in ecs.describe_tasks(tasks=arns)["tasks"]] == ["RUNNING"] * 2)
    return ecs


def _of_tasks(instance: Instance) -> list[str]:
    filters = ["--filter", f"label=havre.instance={instance.name}", "--filter", "label=havre.container=main"]
    listed = subprocess.run(["docker", "ps", "-aq", *filters], capture_output=True, check=True, text=True)
    return listed.stdout.split()


def test_a_reset_takes_everything_along_and_work_goes_on(havre: Starter) -> None:
    instance = havre("--auth", "open")
    for _ in range(2):
        ecs = _run_two(instance)
        instance.client("iam", **ANYONE).create_user(UserName="somebody")
        assert len(_of_tasks(instance)) == 2
        assert instance.get("/_havre/reset", method="POST") == {"status": "ok"}
        assert ecs.list_clusters()["clusterArns"] == []
        assert ecs.list_task_definitions()["taskDefinitionArns"] == []
        assert instance.client("ecr", **ANYONE).describe_repositories()["repositories"] == []
        assert instance.client("iam", **ANYONE).list_users()["Users"] == []
        assert (
            instance.client("cloudtrail", **ANYONE).lookup_events(
                LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "CreateUser"}]
            )["Events"]
            == []
        )
        assert instance.get("/_havre/health")["status"] == "ok"
        eventually(lambda: _of_tasks(instance) == [])
        assert list((instance.state / "registry/blobs/sha256").iterdir()) == []


def test_a_page_of_another_site_cannot_reset(havre: Starter) -> None:
    """A browser sends plain POSTs across sites without asking; it says where they come from."""
    instance = havre("--auth", "open")
    instance.client("ecs", **ANYONE).create_cluster(clusterName="kept")
    request = urllib.request.Request(f"{instance.endpoint}/_havre/reset", method="POST")
    request.add_header("Origin", "https://evil.example")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 403
    assert len(instance.client("ecs", **ANYONE).list_clusters()["clusterArns"]) == 1


CODE = """
import boto3

def handler(event, context):
    return boto3.client("sts").get_caller_identity()["Account"]
"""


def test_functions_run_after_a_reset_and_their_roles_need_not_exist(havre: Starter) -> None:
    """As a suite that was written for another emulator does: it names any role, and resets between tests."""
    need_runtime()
    instance = havre("--auth", "open")
    for _ in range(2):
        functions = instance.client("lambda", **ANYONE)
        functions.create_function(
            FunctionName="f",
            Runtime="python3.11",
            Handler="app.handler",
            Role="arn:aws:iam::000000000000:role/any",
            Code={"ZipFile": packed(CODE)},
            Timeout=30,
        )
        functions.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.2})
        answer = functions.invoke(FunctionName="f")
        assert answer["Payload"].read() == b'"000000000000"'
        instance.client("sqs", **ANYONE).create_queue(QueueName="q")
        instance.client("s3", **ANYONE).create_bucket(Bucket="things")
        assert instance.get("/_havre/reset", "POST") == {"status": "ok"}
        assert functions.list_functions()["Functions"] == []
        assert "QueueUrls" not in instance.client("sqs", **ANYONE).list_queues()
        assert instance.client("s3", **ANYONE).list_buckets()["Buckets"] == []
