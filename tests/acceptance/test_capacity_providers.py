"""Functions on a capacity provider, for real: several invocations at once in one environment, in each language that can."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from . import java_functions as java
from .conftest import Instance, eventually, kill
from .lambda_world import World, need_built, packed

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
PYTHON, NODE, JAVA = "python3.13", "nodejs22.x", "java21"
PUBLISHED = "$LATEST.PUBLISHED"
SLOTS = 4


class Place:
    """``provider`` is a capacity provider in a VPC of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.functions = world.client("lambda")
        self.ec2 = world.client("ec2")
        self.vpc = self.ec2.create_vpc(CidrBlock="10.78.0.0/16")["Vpc"]["VpcId"]
        self.subnet = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.78.3.0/24")["Subnet"]["SubnetId"]
        self.group = self.ec2.create_security_group(GroupName="c", Description="c", VpcId=self.vpc)["GroupId"]
        made = self.functions.create_capacity_provider(
            CapacityProviderName="pool",
            VpcConfig={"SubnetIds": [self.subnet], "SecurityGroupIds": [self.group]},
            PermissionsConfig={"CapacityProviderOperatorRoleArn": world.role},
            CapacityProviderScalingConfig={"MaxVCpuCount": 8, "ScalingMode": "Auto"},
        )
        self.arn = made["CapacityProvider"]["CapacityProviderArn"]
        eventually(lambda: self._provider()["State"] == "Active")

    def _provider(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.functions.get_capacity_provider(CapacityProviderName="pool")["CapacityProvider"]
        return found

    def function(self, name: str, files: Any, bounds: tuple[int, int] = (1, 1), **more: Any) -> None:
        """Published and active, with as many environments as there are to be at least."""
        used = {"CapacityProviderArn": self.arn, "PerExecutionEnvironmentMaxConcurrency": SLOTS}
        given = {"Runtime": PYTHON, "Handler": "app.handler", "Role": self.world.role, "Timeout": 30, **more}
        self.functions.create_function(
            FunctionName=name,
            Code={"ZipFile": packed(files)},
            CapacityProviderConfig={"LambdaManagedInstancesCapacityProviderConfig": used},
            **given,
        )
        eventually(
            lambda: self.functions.get_function_configuration(FunctionName=name)["State"] == "ActiveNonInvocable"
        )
        self.functions.publish_version(FunctionName=name, PublishTo="LATEST_PUBLISHED")
        scaling = {"MinExecutionEnvironments": bounds[0], "MaxExecutionEnvironments": bounds[1]}
        self.functions.put_function_scaling_config(
            FunctionName=name, Qualifier=PUBLISHED, FunctionScalingConfig=scaling
        )
        eventually(lambda: self.state(name) != "Pending", 120)
        assert self.state(name) == "Active", self.functions.get_function(FunctionName=name, Qualifier=PUBLISHED)
        eventually(lambda: self.interfaces() == bounds[0], 60)

    def remove(self, name: str) -> None:
        """The function, and its environments."""
        self.functions.delete_function(FunctionName=name)
        eventually(lambda: self.interfaces() == 0, 60)

    def state(self, name: str) -> str:
        found = self.functions.get_function_configuration(FunctionName=name, Qualifier=PUBLISHED)
        return str(found["State"])

    def interfaces(self) -> int:
        """One for each environment."""
        wanted = [{"Name": "subnet-id", "Values": [self.subnet]}, {"Name": "group-id", "Values": [self.group]}]
        return len(self.ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"])

    def at_once(self, name: str, events: list[Any]) -> list[Any]:
        """What each answered; the code of the error that refused it."""

        def one(event: Any) -> Any:
            try:
                return self.world.invoke(name, event)[0]
            except ClientError as error:
                return error.response["Error"]["Code"]

        with concurrent.futures.ThreadPoolExecutor(len(events)) as pool:
            return list(pool.map(one, events))


@pytest.fixture(scope="module")
def place(shared: Instance) -> Iterator[Place]:
    need_built(PYTHON, NODE, JAVA)
    yield Place(World(shared))


MEETING = """
import os, time
from pathlib import Path

place = Path("/tmp/meeting")
place.mkdir(exist_ok=True)

def handler(event, context):
    (place / context.aws_request_id).touch()
    end = time.monotonic() + 20
    while len(os.listdir(place)) < event["count"] and time.monotonic() < end:
        time.sleep(0.005)
    return {"worker": os.getpid(), "host": os.uname().nodename, "met": len(os.listdir(place))}
"""
NODE_MEETING = """
const fs = require("fs"), os = require("os"), { threadId } = require("worker_threads");

exports.handler = async (event, context) => {
  fs.mkdirSync("/tmp/meeting", { recursive: true });
  fs.writeFileSync("/tmp/meeting/" + context.awsRequestId, "");
  const met = () => fs.readdirSync("/tmp/meeting").length, end = Date.now() + 20000;
  while (met() < event.count && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 5));
  return { worker: threadId, host: os.hostname(), met: met() };
};
"""
JAVA_MEETING = """
package app;

import com.amazonaws.services.lambda.runtime.Context;
import java.io.File;
import java.util.Map;

public class Meeting {
    public Map<String, Object> handle(Map<String, Object> event, Context context) throws Exception {
        File place = new File("/tmp/meeting");
        place.mkdirs();
        new File(place, context.getAwsRequestId()).createNewFile();
        long end = System.nanoTime() + 20_000_000_000L;
        while (place.list().length < (int) event.get("count") && System.nanoTime() < end) Thread.sleep(5);
        return Map.of("worker", Thread.currentThread().getName(), "host", System.getenv("AWS_LAMBDA_LOG_STREAM_NAME"),
            "met", place.list().length);
    }
}
"""


class Language(NamedTuple):
    runtime: str
    handler: str
    files: Any


def language(runtime: str) -> Language:
    if runtime == JAVA:
        return Language(JAVA, "app.Meeting::handle", java.compiled({"app/Meeting.java": JAVA_MEETING}))
    if runtime == NODE:
        return Language(NODE, "app.handler", {"app.js": NODE_MEETING})
    return Language(PYTHON, "app.handler", {"app.py": MEETING})


@pytest.mark.parametrize("runtime", [PYTHON, NODE, JAVA])
def test_one_environment_works_on_several_invocations_at_once(place: Place, runtime: str) -> None:
    found = language(runtime)
    name = f"meeting-{runtime.replace('.', '')}"
    place.function(name, found.files, Runtime=found.runtime, Handler=found.handler)

    def all_met() -> bool:
        """Once all workers have begun: a version is active when the first has."""
        said = place.at_once(name, [{"count": SLOTS}] * SLOTS)
        return all(isinstance(each, dict) and each["met"] >= SLOTS for each in said) and (
            len({each["host"] for each in said}) == 1 and len({each["worker"] for each in said}) == SLOTS
        )

    assert eventually(all_met, 120)
    place.remove(name)


def test_more_invocations_than_slots_are_throttled_and_bring_another_environment(place: Place) -> None:
    code = "import time, os\ndef handler(e, c):\n    time.sleep(e)\n    return os.uname().nodename"
    place.function("busy", code)
    said = place.at_once("busy", [4] * (SLOTS + 4))
    assert said.count("TooManyRequestsException") >= 4
    given = {"FunctionName": "busy", "Qualifier": PUBLISHED}
    scaling = {"MinExecutionEnvironments": 1, "MaxExecutionEnvironments": 2}
    place.functions.put_function_scaling_config(**given, FunctionScalingConfig=scaling)
    place.at_once("busy", [4] * (SLOTS + 4))
    eventually(lambda: place.interfaces() == 2, 60)
    eventually(lambda: len(set(place.at_once("busy", [0.2] * 2 * SLOTS)) - {"TooManyRequestsException"}) == 2, 60)
    scaling = {"MinExecutionEnvironments": 0, "MaxExecutionEnvironments": 0}
    place.functions.put_function_scaling_config(**given, FunctionScalingConfig=scaling)
    eventually(lambda: place.state("busy") == "Deactivated" and place.interfaces() == 0, 60)
    place.remove("busy")


def test_one_invocation_that_takes_too_long_ends_no_other(place: Place) -> None:
    code = "import time\ndef handler(e, c):\n    time.sleep(e)\n    return c.get_remaining_time_in_millis() > 0"
    place.function("slow", code, Timeout=2)
    late: list[Any] = []
    waiting = threading.Thread(target=lambda: late.append(place.world.invoke("slow", 4)))
    waiting.start()
    assert place.world.invoke("slow", 1)[0] is True
    waiting.join()
    told, answer = late[0]
    assert answer["FunctionError"] == "Unhandled" and "Task timed out after 2.00 seconds" in told["errorMessage"]
    assert place.world.invoke("slow", 0)[0] is True
    place.remove("slow")


def test_events_and_queues_lead_to_what_is_published(place: Place) -> None:
    url, arn = place.world.queue("fed")
    told, _ = place.world.queue("told-fed")
    code = """
import boto3, json, os
def handler(event, context):
    boto3.client("sqs").send_message(QueueUrl=os.environ["TELL"], MessageBody=context.invoked_function_arn)
"""
    place.function("fed", code, Environment={"Variables": {"TELL": told}})
    sqs = place.world.client("sqs")
    place.functions.create_event_source_mapping(FunctionName="fed", EventSourceArn=arn, BatchSize=1)
    sqs.send_message(QueueUrl=url, MessageBody="1")
    place.functions.invoke(FunctionName="fed", InvocationType="Event", Payload=b"{}")
    heard: list[str] = []

    def both() -> bool:
        heard.extend(m["Body"] for m in sqs.receive_message(QueueUrl=told, WaitTimeSeconds=1).get("Messages", ()))
        return len(heard) >= 2

    assert eventually(both, 60)
    assert all(each.endswith(f":function:fed:{PUBLISHED}") for each in heard), heard
    place.remove("fed")


def _answers(place: Place, name: str) -> list[Any] | None:
    """None where it was refused, or nobody was there."""
    try:
        found = place.world.invoke(name, 0)[0]
    except (ClientError, BotoCoreError):
        return None
    return [found] if isinstance(found, str) else None


def test_environments_outlive_the_server_and_come_back_with_the_node(place: Place) -> None:
    place.function("kept", "import os\ndef handler(e, c):\n    return os.environ['AWS_LAMBDA_LOG_STREAM_NAME']")
    first = place.world.invoke("kept", 0)[0]
    kill(place.world.instance.run_file["pids"]["server"])
    assert eventually(lambda: _answers(place, "kept"), 60) == [first]
    kill(place.world.instance.run_file["pids"]["node"])
    again = eventually(lambda: _answers(place, "kept"), 60)
    assert again and again != [first]
    eventually(lambda: place.interfaces() == 1, 60)
    place.remove("kept")
    place.functions.delete_capacity_provider(CapacityProviderName="pool")
    eventually(lambda: not place.functions.list_capacity_providers()["CapacityProviders"])
