"""Functions as they are packaged, and what their environments are like, for real."""

from __future__ import annotations

import base64
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import HAVRE, Instance, eventually, push
from .lambda_world import World, need_runtime, packed

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(600)]
SHELL = """#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while true; do
  event=$(/bin/busybox wget -q -S -O - $api/next 2>/tmp/headers)
  id=$(/bin/busybox sed -n 's/.*[Rr]equest-[Ii]d: *\\([0-9a-f-]*\\).*/\\1/p' /tmp/headers)
  echo "took $event"
  /bin/busybox wget -q -O /dev/null --post-data "{\\"shell\\": $event, \\"greeting\\": \\"$GREETING\\"}" $api/$id/response
done
"""


@pytest.fixture(scope="module")
def world(shared: Instance) -> Iterator[World]:
    need_runtime()
    yield World(shared)


def _tail(answer: dict[str, Any]) -> str:
    return base64.b64decode(answer["LogResult"]).decode()


def test_the_environment(world: World) -> None:
    code = """
import boto3, os, pathlib

def handler(event, context):
    print("one line\\nand a second")
    pathlib.Path("/tmp/mine").write_text("x")
    try:
        pathlib.Path("/var/task/x").write_text("x")
        writable = True
    except OSError:
        writable = False
    return {
        "who": boto3.client("sts").get_caller_identity()["Arn"],
        "writable": writable,
        "processes": [p for p in os.listdir("/proc") if p.isdigit()],
        "root": os.getuid() == 0,
        "left": context.get_remaining_time_in_millis(),
        "memory": context.memory_limit_in_mb,
        "stream": os.environ["AWS_LAMBDA_LOG_STREAM_NAME"],
        "arn": context.invoked_function_arn,
    }
"""
    arn = world.function("environment", code, MemorySize=256)
    told, answer = world.invoke("environment", LogType="Tail")
    assert told["who"].startswith("arn:aws:sts::000000000000:assumed-role/worker/")
    assert not told["writable"] and not told["root"] and len(told["processes"]) < 6
    assert told["memory"] == "256" and 0 < told["left"] <= 30_000 and told["arn"] == arn
    tail = _tail(answer)
    assert tail.startswith("START RequestId: ") and "REPORT RequestId: " in tail and "Memory Size: 256 MB" in tail
    logs = world.client("logs")
    events = eventually(
        lambda: [
            e["message"]
            for e in logs.filter_log_events(logGroupName="/aws/lambda/environment")["events"]
            if "one line" in e["message"]
        ]
    )
    assert events[0].startswith("one line")


def test_what_goes_wrong_is_told_as_aws_tells_it(world: World) -> None:
    code = """
import os, sys, time

def handler(event, context):
    if event == "raise":
        raise KeyError("x")
    if event == "sleep":
        time.sleep(60)
    if event == "exit":
        os._exit(3)
    if event == "eat":
        return len(bytearray(1 << 30))
    return event
"""
    world.function("wrong", code, Timeout=2)
    told, answer = world.invoke("wrong", "raise", LogType="Tail")
    assert answer["FunctionError"] == "Unhandled" and told["errorType"] == "KeyError"
    assert any("app.py" in line for line in told["stackTrace"]) and "[ERROR] KeyError" in _tail(answer)
    told, _ = world.invoke("wrong", "sleep")
    assert "Task timed out after 2.00 seconds" in told["errorMessage"]
    told, _ = world.invoke("wrong", "exit")
    assert told["errorType"] == "Runtime.ExitError" and "exit status 3" in told["errorMessage"]
    told, _ = world.invoke("wrong", "eat")
    assert told["errorType"] in ("Runtime.OutOfMemory", "Runtime.ExitError")
    assert world.invoke("wrong", "fine")[0] == "fine", "a new environment takes its place"
    world.function("broken", "import nothing_of_that_name\n")
    told, _ = world.invoke("broken")
    assert told["errorType"] == "Runtime.ImportModuleError"


def test_layers_versions_and_aliases(world: World) -> None:
    client = world.client("lambda")
    layer = client.publish_layer_version(
        LayerName="shared", Content={"ZipFile": packed({"python/shared.py": "WORD = 'from the layer'\n"})}
    )["LayerVersionArn"]
    code = "import os, shared\ndef handler(event, context):\n    return [shared.WORD, os.environ['NUM']]\n"
    world.function("layered", code, Layers=[layer], Environment={"Variables": {"NUM": "1"}})
    assert world.invoke("layered")[0] == ["from the layer", "1"]
    first = client.publish_version(FunctionName="layered")["Version"]
    client.update_function_configuration(FunctionName="layered", Environment={"Variables": {"NUM": "2"}})
    client.get_waiter("function_updated_v2").wait(FunctionName="layered", WaiterConfig={"Delay": 0.2})
    second = client.publish_version(FunctionName="layered")["Version"]
    assert world.invoke("layered", Qualifier=first)[0][1] == "1" and world.invoke("layered")[0][1] == "2"
    weights = {"AdditionalVersionWeights": {second: 0.5}}
    client.create_alias(FunctionName="layered", Name="live", FunctionVersion=first, RoutingConfig=weights)
    seen = {world.invoke("layered", Qualifier="live")[0][1] for _ in range(40)}
    assert seen == {"1", "2"}


def test_a_saved_file_is_live_at_the_next_invocation(world: World, tmp_path: Path) -> None:
    for directory in (tmp_path, *tmp_path.parents):
        if str(directory).startswith("/tmp/pytest"):
            directory.chmod(0o755)
    file = tmp_path / "app.py"
    file.write_text("def handler(event, context):\n    return 1\n")
    client = world.client("lambda")
    client.create_function(
        FunctionName="hot",
        Runtime="python3.11",
        Handler="app.handler",
        Role=world.role,
        Code={"S3Bucket": "hot-reload", "S3Key": str(tmp_path)},
    )
    client.get_waiter("function_active_v2").wait(FunctionName="hot", WaiterConfig={"Delay": 0.2})
    assert world.invoke("hot")[0] == 1
    file.write_text("def handler(event, context):\n    return 2222\n")
    assert world.invoke("hot")[0] == 2222
    shown = subprocess.run(
        [HAVRE, "lambda", "invoke", "hot", "--state", str(world.instance.state)],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert shown.stdout == "2222\n" and "REPORT RequestId" in shown.stderr


def test_an_image_of_the_registry(world: World, tmp_path: Path) -> None:
    """From scratch, with a shell script that talks the Runtime API."""
    (tmp_path / "busybox").write_bytes(Path("/bin/busybox").read_bytes())
    (tmp_path / "busybox").chmod(0o755)
    (tmp_path / "bootstrap").write_text(SHELL)
    (tmp_path / "bootstrap").chmod(0o755)
    (tmp_path / "Dockerfile").write_text(
        "FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\nCOPY bootstrap /bootstrap\n"
        'ENV GREETING=hello\nENTRYPOINT ["/bootstrap"]\n'
    )
    name = f"havre-test-lambda-{os.getpid()}"
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    build = ["docker", "build", "-q", "-t", name, str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, env=environment)
    try:
        uri = push(world.instance, name, "shell")
    finally:
        subprocess.run(["docker", "rmi", "-f", name], capture_output=True, check=False)
    client = world.client("lambda")
    client.create_function(
        FunctionName="shell", PackageType="Image", Code={"ImageUri": uri}, Role=world.role, Timeout=20
    )
    client.get_waiter("function_active_v2").wait(FunctionName="shell", WaiterConfig={"Delay": 0.2})
    told, answer = world.invoke("shell", {"a": 1}, LogType="Tail")
    assert told == {"shell": {"a": 1}, "greeting": "hello"} and 'took {"a": 1}' in _tail(answer)


def test_many_at_once_and_back_to_none(world: World) -> None:
    from concurrent.futures import ThreadPoolExecutor

    world.function("many", "import os, time\ndef handler(event, context):\n    time.sleep(2)\n    return os.getpid()\n")
    client = world.client("lambda")
    client.put_function_concurrency(FunctionName="many", ReservedConcurrentExecutions=12)
    began = time.monotonic()

    def call(_: int) -> str:
        try:
            client.invoke(FunctionName="many")
            return "ran"
        except client.exceptions.TooManyRequestsException as refusal:
            assert refusal.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
            return "throttled"

    with ThreadPoolExecutor(30) as pool:
        told = list(pool.map(call, range(30)))
    assert told.count("ran") >= 12 and told.count("throttled") >= 1, (told, time.monotonic() - began)
    client.put_function_concurrency(FunctionName="many", ReservedConcurrentExecutions=0)
    assert call(0) == "throttled"


def test_an_answer_that_is_streamed(world: World) -> None:
    """By the Runtime API's streaming mode, through a function URL."""
    code = """
import http.client, os

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    asked = api.getresponse()
    asked.read()
    id = asked.getheader("Lambda-Runtime-Aws-Request-Id")
    headers = {"Lambda-Runtime-Function-Response-Mode": "streaming", "Transfer-Encoding": "chunked"}
    body = (f"piece {n};".encode() for n in range(3))
    api.request("POST", f"/2018-06-01/runtime/invocation/{id}/response", body, headers, encode_chunked=True)
    api.getresponse().read()
"""
    client = world.client("lambda")
    world.function("streams", {"loop.py": code, "app.py": "import loop\n"}, Timeout=20)
    client.create_function_url_config(FunctionName="streams", AuthType="NONE", InvokeMode="RESPONSE_STREAM")
    url = client.get_function_url_config(FunctionName="streams")["FunctionUrl"]
    client.add_permission(
        FunctionName="streams",
        StatementId="u",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )
    client.add_permission(
        FunctionName="streams",
        StatementId="i",
        Action="lambda:InvokeFunction",
        Principal="*",
        InvokedViaFunctionUrl=True,
    )
    request = urllib.request.Request(world.instance.endpoint, headers={"Host": url.split("/")[2]})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.read() == b"piece 0;piece 1;piece 2;"
    streamed = client.invoke_with_response_stream(FunctionName="streams", Payload=b"{}")["EventStream"]
    events = list(streamed)
    assert b"".join(e["PayloadChunk"]["Payload"] for e in events if "PayloadChunk" in e) == b"piece 0;piece 1;piece 2;"
    assert "InvokeComplete" in events[-1]
