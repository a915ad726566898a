"""Events on their way to functions and streams that have subscribed to a group."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.running_gateway import ACCOUNT, Running, code

from havre.control.deliveries import Deliveries
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Operations, Service
from havre.control.patient import patient
from havre.control.runner import Runner
from havre.kernel.errors import ApiError
from havre.services import logs
from havre.services.logs.resources import DELIVERY
from havre.services.logs.subscriptions import Courier

FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:ship"
STREAM = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/all"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/logs"
TRUST = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": {"Service": "logs.amazonaws.com"}, "Action": "sts:AssumeRole"},
}
MAY_PUT = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kinesis:PutRecord", "Resource": "*"}}


def policy(group: str) -> str:
    source = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{group}:*"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "logs.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": "*",
        "Condition": {"ArnLike": {"AWS:SourceArn": source}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


class World:
    def __init__(self) -> None:
        self.got: list[Any] = []
        self.failures: list[ApiError] = []
        functions, streams = Operations(), Operations()

        @functions("Invoke", action="lambda:InvokeFunction", resources=lambda call, request: (request["FunctionName"],))
        async def invoke(call: Any, request: Any) -> Any:
            if request["InvocationType"] == "DryRun":
                return {"StatusCode": 204}
            if self.failures:
                raise self.failures.pop()
            data = base64.b64decode(json.loads(request["Payload"])["awslogs"]["data"])
            self.got.append(json.loads(gzip.decompress(data)))
            return {"StatusCode": 202}

        @streams("PutRecord", resources=lambda call, request: (request["StreamARN"],))
        async def put(call: Any, request: Any) -> Any:
            self.got.append(json.loads(gzip.decompress(request["Data"])))
            return {"ShardId": "s", "SequenceNumber": "1"}

        @streams("DescribeStreamSummary")
        async def describe(call: Any, request: Any) -> Any:
            if request["StreamARN"] != STREAM:
                raise ApiError("ResourceNotFoundException", "no such stream")
            return {}

        self.running = Running(
            besides=[logs.service(), Service("lambda", functions.all), Service("kinesis", streams.all)],
            resource_policies={"lambda": lambda store, arn: policy("/app")},
        )
        gateway = self.running.gateway
        parts = gateway.parts
        self.deps = ReconcilerDeps(
            parts.store,
            parts.journal,
            parts.world,
            parts.site,
            lambda account, region, service, source="": patient(gateway.as_service(service, account, region, source)),
            lambda account, region, keys: patient(
                gateway.local(
                    self.running.directory.credential(keys["AccessKeyId"], keys["SessionToken"]).principal,  # type: ignore[union-attr]
                    account,
                    region,
                )
            ),
        )
        self.client = self.running.client("logs")
        self.client.create_log_group(logGroupName="/app")
        self.client.create_log_stream(logGroupName="/app", logStreamName="one")

    def put(self, *texts: str) -> None:
        now = int(self.running.world.now() * 1000)
        events = [{"timestamp": now, "message": text} for text in texts]
        self.client.put_log_events(logGroupName="/app", logStreamName="one", logEvents=events)

    def subscribe(self, name: str = "f", pattern: str = "", destination: str = FUNCTION, **more: Any) -> None:
        self.client.put_subscription_filter(
            logGroupName="/app", filterName=name, filterPattern=pattern, destinationArn=destination, **more
        )

    def carry(self) -> None:
        """Everything that is due, by a process that has just started."""

        async def drain() -> None:
            carrying = Deliveries(DELIVERY, Courier(self.deps), self.deps)
            await Runner([carrying], self.deps.store, self.deps.world).drain()

        self.running.wait(drain())


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.running.close()


def test_what_matches_is_delivered(world: World) -> None:
    world.subscribe(pattern="ERROR")
    world.put("ERROR one", "fine", "ERROR two")
    world.carry()
    assert len(world.got) == 1
    told = world.got[0]
    assert [e["message"] for e in told["logEvents"]] == ["ERROR one", "ERROR two"]
    shown = world.client.filter_log_events(logGroupName="/app", filterPattern="ERROR")["events"]
    assert [e["id"] for e in told["logEvents"]] == [e["eventId"] for e in shown]
    del told["logEvents"]
    assert told == {
        "messageType": "DATA_MESSAGE",
        "owner": ACCOUNT,
        "logGroup": "/app",
        "logStream": "one",
        "subscriptionFilters": ["f"],
    }
    world.put("fine")
    world.carry()
    assert len(world.got) == 1


def test_what_could_not_be_delivered_waits_and_comes_in_order(world: World) -> None:
    world.subscribe()
    world.failures = [ApiError("TooManyRequestsException", "Rate Exceeded.", 429)]
    world.put("one")
    world.put("two")
    world.carry()
    assert world.got == [] and len(world.deps.store.list(DELIVERY)) == 2
    world.running.offset = 60
    world.carry()
    assert [told["logEvents"][0]["message"] for told in world.got] == ["one", "two"]
    assert not world.deps.store.list(DELIVERY)


def test_a_filter_that_is_gone_delivers_nothing_any_more(world: World) -> None:
    world.subscribe()
    world.put("one")
    world.client.delete_subscription_filter(logGroupName="/app", filterName="f")
    world.carry()
    assert world.got == [] and not world.deps.store.list(DELIVERY)


def test_a_stream_gets_them_by_the_role(world: World) -> None:
    iam = world.running.client("iam")
    iam.create_role(RoleName="logs", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="logs", PolicyName="p", PolicyDocument=json.dumps(MAY_PUT))
    world.subscribe(destination=STREAM, roleArn=ROLE)
    world.put("one")
    world.carry()
    assert world.got[0]["logEvents"][0]["message"] == "one"
    shown = world.client.describe_subscription_filters(logGroupName="/app")["subscriptionFilters"]
    assert [(f["filterName"], f["roleArn"], f["distribution"]) for f in shown] == [("f", ROLE, "ByLogStream")]


def test_large_batches_are_parted(world: World) -> None:
    world.subscribe()
    world.put(*["x" * 200_000 for _ in range(5)])
    world.carry()
    assert [len(told["logEvents"]) for told in world.got] == [1, 1, 1, 1, 1]


def test_bad_input(world: World) -> None:
    put = world.client.put_subscription_filter
    good = {"logGroupName": "/app", "filterName": "f", "filterPattern": "", "destinationArn": FUNCTION}
    for change, expected in (
        ({"logGroupName": "/none"}, "ResourceNotFoundException"),
        ({"filterPattern": "{ broken"}, "InvalidParameterException"),
        ({"destinationArn": "arn:x"}, "InvalidParameterException"),
        ({"destinationArn": FUNCTION, "roleArn": ROLE}, "InvalidParameterException"),
        ({"destinationArn": STREAM}, "InvalidParameterException"),
        ({"destinationArn": STREAM + "2", "roleArn": ROLE}, "InvalidParameterException"),
        ({"destinationArn": f"arn:aws:firehose:us-east-1:{ACCOUNT}:deliverystream/x"}, "NotImplementedException"),
    ):
        assert code(put, **{**good, **change}) == expected, change
    world.client.create_log_group(logGroupName="/other")
    assert code(put, **{**good, "logGroupName": "/other"}) == "InvalidParameterException", "its policy names /app alone"
    assert not world.client.describe_subscription_filters(logGroupName="/app")["subscriptionFilters"]
    for name in "ab":
        world.subscribe(name)
    assert code(put, **good) == "LimitExceededException"
    delete = world.client.delete_subscription_filter
    assert code(delete, logGroupName="/app", filterName="none") == "ResourceNotFoundException"
    world.client.delete_log_group(logGroupName="/app")
    world.client.create_log_group(logGroupName="/app")
    assert not world.client.describe_subscription_filters(logGroupName="/app")["subscriptionFilters"]
