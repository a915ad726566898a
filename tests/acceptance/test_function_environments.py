"""How functions run for real: their surroundings, errors, extensions, saved files, VPCs, and a node that is killed."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import textwrap
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from .conftest import HAVRE, Instance, eventually, kill
from .lambda_world import TRUST, World, document, need_runtime

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
EXTENSION = Path(__file__).parents[1] / "unit/control/functions/extension.py"


@pytest.fixture(scope="module")
def world(shared: Instance) -> Iterator[World]:
    need_runtime()
    yield World(shared)


def tail(answer: dict[str, Any]) -> str:
    return base64.b64decode(answer["LogResult"]).decode()


def written(world: World, name: str, begins: str) -> int:
    """How many lines of a function's log begin so."""
    logs, group = world.client("logs"), f"/aws/lambda/{name}"
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        return 0
    return sum(e["message"].startswith(begins) for e in logs.filter_log_events(logGroupName=group)["events"])


def test_surroundings(world: World) -> None:
    code = """
        import os, boto3
        def handler(event, context):
            with open("/tmp/mine", "a") as file:
                file.write("x")
            arn = boto3.client("sts").get_caller_identity()["Arn"]
            names = ("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_REGION", "_HANDLER", "MINE")
            left = context.get_remaining_time_in_millis()
            return [arn, [os.environ[name] for name in names], 0 < left <= 30_000, open("/tmp/mine").read(), os.getuid()]
    """
    world.function("surroundings", textwrap.dedent(code), Environment={"Variables": {"MINE": "1"}}, MemorySize=512)
    found, first = world.invoke("surroundings", LogType="Tail")
    role = "arn:aws:sts::000000000000:assumed-role/worker/surroundings"
    assert found == [role, ["surroundings", "on-demand", "us-east-1", "app.handler", "1"], True, "x", 993]
    again, second = world.invoke("surroundings", LogType="Tail")
    assert again[3] == "xx", "/tmp is the environment's, as long as it lives"
    assert "Init Duration: " in tail(first) and "Init Duration: " not in tail(second)
    assert eventually(lambda: written(world, "surroundings", "REPORT") == 2)


def test_a_role_that_may_not_write_lines(world: World) -> None:
    """They go with the answer to who asks, are nowhere else, and it is told why; until the role may."""
    iam, name = world.client("iam"), "silent"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(TRUST))["Role"]["Arn"]
    world.function(name, "def handler(e, c): print('said')", Role=role)
    assert "said" in tail(world.invoke(name, LogType="Tail")[1])
    command = [HAVRE, "lambda", "logs", name, "--state", str(world.instance.state)]

    def told() -> str:
        return subprocess.run(command, capture_output=True, text=True, timeout=100).stderr

    refused = "is not authorized to perform: logs:PutLogEvents"
    eventually(lambda: refused in told())
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    explained = [HAVRE, "explain", arn, "--state", str(world.instance.state)]
    assert refused in subprocess.run(explained, capture_output=True, text=True, timeout=100).stdout
    assert written(world, name, "said") == 0
    basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    iam.attach_role_policy(RoleName=name, PolicyArn=basic)

    def heard() -> int:
        world.invoke(name)
        return written(world, name, "said")

    eventually(heard, timeout=60)
    assert told() == ""


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("import time\ndef handler(e, c): time.sleep(60)", "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
        ("import os\ndef handler(e, c): os._exit(7)", "Runtime.ExitError", "exit status 7"),
        (
            "def handler(e, c):\n x = []\n while True: x.append(bytearray(1 << 20))",
            "Runtime.OutOfMemory",
            "signal: killed",
        ),
        ("def handler(e, c): return 'x' * 7_000_000", "Function.ResponseSizeTooLarge", "6291556 bytes"),
        ("import nothing_of_that_name", "Runtime.ImportModuleError", "No module named 'nothing_of_that_name'"),
        ("def handler(e, c): raise KeyError('lost')", "KeyError", "'lost'"),
    ],
    ids=["time", "exit", "memory", "size", "import", "exception"],
)
def test_errors(world: World, code: str, kind: str, words: str) -> None:
    name = f"fails-{kind.replace('.', '-')}"
    slow = {"Timeout": 1} if kind == "Sandbox.Timedout" else {}
    world.function(name, code, **slow)
    found, answer = world.invoke(name)
    assert answer["StatusCode"] == 200 and answer["FunctionError"] == "Unhandled"
    assert found["errorType"] == kind and words in found["errorMessage"]


def test_what_is_in_tmp_outlives_a_crash_and_a_timeout(world: World) -> None:
    code = """
        import os, time
        def handler(event, context):
            with open("/tmp/trace", "a") as file:
                file.write(event[0])
            if event == "exit":
                os._exit(7)
            if event == "sleep":
                os.fork()
                time.sleep(60)
            running = [name for name in os.listdir("/proc") if name.isdigit()]
            return [open("/tmp/trace").read(), context.log_stream_name, running]
    """
    world.function("renewed", textwrap.dedent(code), Timeout=2)
    (_, stream, running), _ = world.invoke("renewed", "first")
    assert len(running) == 2, "the sandbox's first process, and the runtime"
    assert world.invoke("renewed", "exit")[0]["errorType"] == "Runtime.ExitError"
    (trace, same, _), answer = world.invoke("renewed", "next", LogType="Tail")
    assert (trace, same) == ("fen", stream)
    assert "Init Duration" not in tail(answer), "it is part of the invocation"
    assert world.invoke("renewed", "sleep")[0]["errorType"] == "Sandbox.Timedout"
    (trace, same, running), _ = world.invoke("renewed", "again")
    assert (trace, same, len(running)) == ("fensa", stream, 2), "what it had forked has ended, too"


def test_what_is_in_tmp_outlives_a_crash_of_what_is_idle_or_kept_ready(world: World) -> None:
    functions = world.client("lambda")
    code = """
        import os, threading
        loaded = open("/tmp/loaded", "a").write("l")
        def handler(event, context):
            if event == "later":
                threading.Timer(0.1, os._exit, [1]).start()
            if event == "exit":
                os._exit(7)
            return [os.stat("/tmp/loaded").st_size, context.log_stream_name]
    """
    world.function("renewed-idle", textwrap.dedent(code))
    loaded, stream = world.invoke("renewed-idle", "later")[0]
    assert loaded == 1
    again = eventually(lambda: (found := world.invoke("renewed-idle")[0]) != [1, stream] and found)
    assert again == [2, stream]

    version = functions.publish_version(FunctionName="renewed-idle")["Version"]
    which = {"FunctionName": "renewed-idle", "Qualifier": version}
    functions.put_provisioned_concurrency_config(**which, ProvisionedConcurrentExecutions=1)
    ready = lambda: functions.get_provisioned_concurrency_config(**which)["Status"] == "READY"  # noqa: E731
    eventually(ready)
    _, stream = world.invoke("renewed-idle", Qualifier=version)[0]
    assert world.invoke("renewed-idle", "exit", Qualifier=version)[0]["errorType"] == "Runtime.ExitError"
    eventually(ready)
    found, answer = world.invoke("renewed-idle", Qualifier=version, LogType="Tail")
    assert found == [2, stream] and "Init Duration" not in tail(answer)


def test_an_extension_in_a_layer_hears_all(world: World) -> None:
    settings = {
        "log": "/tmp/told",
        "events": ["INVOKE", "SHUTDOWN"],
        "subscribe": {"schemaVersion": "2022-12-13", "types": ["platform", "function"], "buffering": {"timeoutMs": 25}},
        "version": "/2022-07-01/telemetry",
        "await_done": True,
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        program = zipfile.ZipInfo("extensions/watcher")
        program.external_attr = 0o755 << 16
        file.writestr(program, "#!/var/lang/bin/python3.11\n" + EXTENSION.read_text())
        beside = zipfile.ZipInfo("extensions/settings.json")
        beside.external_attr = 0o644 << 16
        file.writestr(beside, json.dumps(settings))
    functions = world.client("lambda")
    layer = functions.publish_layer_version(LayerName="watcher", Content={"ZipFile": archive.getvalue()})
    code = "def handler(e, c):\n    print('said')\n    return open('/tmp/told').read().splitlines()"
    world.function("watched", code, Layers=[layer["LayerVersionArn"]])
    world.invoke("watched")

    def told() -> Any:
        entries = [json.loads(line) for line in world.invoke("watched")[0]]
        kinds = {e["telemetry"]["type"] for e in entries if "telemetry" in e} | {e.get("eventType") for e in entries}
        return {"INVOKE", "function", "platform.initStart", "platform.runtimeDone", "platform.report"} <= kinds

    assert eventually(told)


def test_a_saved_file_is_live(world: World, tmp_path: Path) -> None:
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)
    program = tmp_path / "app.py"
    program.write_text("def handler(e, c): return 'before'")
    program.chmod(0o644)
    functions = world.client("lambda")
    functions.create_function(
        FunctionName="saved",
        Runtime="python3.11",
        Handler="app.handler",
        Role=world.role,
        Code={"S3Bucket": "hot-reload", "S3Key": str(tmp_path)},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="saved", WaiterConfig={"Delay": 0.2})
    assert world.invoke("saved")[0] == "before"
    program.write_text("def handler(e, c): return 'and after'")
    assert world.invoke("saved")[0] == "and after"


def test_an_address_in_a_vpc(world: World) -> None:
    ec2, functions = world.client("ec2"), world.client("lambda")
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.3.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="f", Description="f", VpcId=vpc)["GroupId"]
    code = (
        "import socket\ndef handler(e, c):\n    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "    s.connect(('10.77.3.200', 1))\n    return s.getsockname()[0]"
    )
    world.function("inside", code, VpcConfig={"SubnetIds": [subnet], "SecurityGroupIds": [group]})
    address = world.invoke("inside")[0]
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    [interface] = ec2.describe_network_interfaces(Filters=of_vpc)["NetworkInterfaces"]
    assert interface["PrivateIpAddress"] == address and address.startswith("10.77.3.")
    assert [g["GroupId"] for g in interface["Groups"]] == [group]
    functions.delete_function(FunctionName="inside")
    assert eventually(lambda: not ec2.describe_network_interfaces(Filters=of_vpc)["NetworkInterfaces"])


def test_provisioned_environments_have_begun_before(world: World) -> None:
    functions = world.client("lambda")
    world.function("ready", "import os\ndef handler(e, c): return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']")
    version = functions.publish_version(FunctionName="ready")["Version"]
    which = {"FunctionName": "ready", "Qualifier": version}
    functions.put_provisioned_concurrency_config(**which, ProvisionedConcurrentExecutions=2)
    eventually(lambda: functions.get_provisioned_concurrency_config(**which)["Status"] == "READY")
    found, answer = world.invoke("ready", Qualifier=version, LogType="Tail")
    assert found == "provisioned-concurrency" and "Init Duration" not in tail(answer)


def test_a_node_that_is_killed(world: World, tmp_path: Path) -> None:
    """Who waits hears of it, the next one is served, and nothing of the former life is left."""
    world.function("outlived", "import time\ndef handler(e, c):\n    time.sleep(e)\n    return 'well'", Timeout=60)
    assert world.invoke("outlived", 0)[0] == "well"
    patient = Config(retries={"total_max_attempts": 1}, read_timeout=90)
    env = world.instance.env
    once = boto3.client(
        "lambda",
        endpoint_url=world.instance.endpoint,
        region_name="us-east-1",
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        config=patient,
    )
    heard: list[str] = []

    def wait() -> None:
        try:
            once.invoke(FunctionName="outlived", Payload=b"50")
        except Exception as error:
            heard.append(type(error).__name__)

    waiting = threading.Thread(target=wait)
    waiting.start()
    eventually(lambda: written(world, "outlived", "START") == 2)
    kill(world.instance.run_file["pids"]["node"])
    waiting.join()
    assert heard and heard[0] in ("ServiceException", "TooManyRequestsException", "ResourceNotReadyException"), heard
    assert world.invoke("outlived", 0)[0] == "well", "the node that comes back is waited for"
