"""Ways to invoke a function, for real: its URL, a stream, environments that are kept ready, a loop that is stopped."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from havre.core.invoking.traces import MOST_LOOPS

from .conftest import Instance, eventually
from .lambda_world import World, need_runtime

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(600)]
PAGE = """
import os

def handler(event, context):
    if event.get("rawPath") == "/fails":
        raise ValueError("no such page")
    return {
        "statusCode": 201,
        "headers": {"x-path": event["rawPath"]},
        "cookies": ["a=1", "b=2"],
        "body": event.get("body") or "nothing",
        "isBase64Encoded": event.get("isBase64Encoded", False),
    }
"""
KIND = """
import os

def handler(event, context):
    return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
"""
LOOP = """
import os, boto3

sqs, functions = boto3.client("sqs"), boto3.client("lambda")

def handler(event, context):
    sqs.send_message(QueueUrl=os.environ["TELL"], MessageBody="once more")
    functions.invoke(FunctionName=context.function_name, InvocationType="Event", Payload=b"{}")
"""


@pytest.fixture(scope="module")
def world(shared: Instance) -> Iterator[World]:
    need_runtime()
    yield World(shared)


def _ask(
    url: str, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, list[tuple[str, str]], bytes]:
    """The name of a URL is not looked up: it leads to this machine."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", where.port, timeout=60)
    connection.request(method, path, body or None, {"Host": where.netloc, **headers})
    answer = connection.getresponse()
    found = answer.status, [(n.lower(), v) for n, v in answer.getheaders()], answer.read()
    connection.close()
    return found


def test_an_open_url(world: World) -> None:
    world.function("page", PAGE)
    functions = world.client("lambda")
    url = functions.create_function_url_config(FunctionName="page", AuthType="NONE")["FunctionUrl"]
    assert _ask(url, "GET", "/")[0] == 403
    everybody: dict[str, Any] = {"FunctionName": "page", "Principal": "*"}
    functions.add_permission(
        StatementId="url", Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE", **everybody
    )
    assert _ask(url, "GET", "/")[0] == 403
    functions.add_permission(StatementId="via", Action="lambda:InvokeFunction", InvokedViaFunctionUrl=True, **everybody)
    status, headers, body = _ask(url, "POST", "/a/b?c=d", b"\xff\x00", **{"Content-Type": "image/png"})
    assert (status, body, dict(headers)["x-path"]) == (201, b"\xff\x00", "/a/b")
    assert [value for name, value in headers if name == "set-cookie"] == ["a=1", "b=2"]
    assert _ask(url, "GET", "/fails")[::2] == (502, b"Internal Server Error")


def test_an_answer_in_pieces(world: World) -> None:
    world.function("pieces", "def handler(event, context):\n    return {'got': event}\n")
    answer = world.client("lambda").invoke_with_response_stream(
        FunctionName="pieces", Payload=b'{"n":1}', LogType="Tail"
    )
    events = list(answer["EventStream"])
    whole = b"".join(each["PayloadChunk"]["Payload"] for each in events[:-1])
    assert json.loads(whole) == {"got": {"n": 1}}
    assert b"REPORT RequestId" in base64.b64decode(events[-1]["InvokeComplete"]["LogResult"])


def test_environments_that_are_kept_ready(world: World) -> None:
    world.function("kept", KIND)
    functions, scaling = world.client("lambda"), world.client("application-autoscaling")
    version = functions.publish_version(FunctionName="kept")["Version"]
    functions.get_waiter("published_version_active").wait(FunctionName="kept", Qualifier=version)
    scaling.register_scalable_target(
        ServiceNamespace="lambda",
        ResourceId=f"function:kept:{version}",
        ScalableDimension="lambda:function:ProvisionedConcurrency",
        MinCapacity=2,
        MaxCapacity=3,
    )

    def ready() -> Any:
        try:
            found = functions.get_provisioned_concurrency_config(FunctionName="kept", Qualifier=version)
        except functions.exceptions.ProvisionedConcurrencyConfigNotFoundException:
            return None
        return found if found["Status"] == "READY" else None

    assert eventually(ready)["AvailableProvisionedConcurrentExecutions"] == 2
    assert world.invoke("kept", Qualifier=version)[0] == "provisioned-concurrency"
    assert world.invoke("kept")[0] == "on-demand"


def test_a_function_that_calls_itself_is_stopped(world: World) -> None:
    url, _ = world.queue("turns")
    world.function("loop", LOOP, Environment={"Variables": {"TELL": url}}, MemorySize=256)
    config = world.client("lambda").get_function_recursion_config(FunctionName="loop")
    assert config["RecursiveLoop"] == "Terminate"
    world.client("lambda").put_function_event_invoke_config(FunctionName="loop", MaximumRetryAttempts=0)
    world.client("lambda").invoke(FunctionName="loop", InvocationType="Event")

    def turns() -> int:
        counted = world.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(counted["Attributes"]["ApproximateNumberOfMessages"])

    def refused() -> bool:
        try:
            lines = world.client("logs").filter_log_events(
                logGroupName="/aws/lambda/loop", filterPattern="RecursiveInvocationException"
            )
        except world.client("logs").exceptions.ResourceNotFoundException:
            return False
        return bool(lines["events"])

    eventually(refused)
    assert turns() == MOST_LOOPS
