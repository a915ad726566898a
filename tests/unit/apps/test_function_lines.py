"""Functions' lines are written by their execution roles: what those may not is not written, and it is told why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.running_gateway import ACCOUNT, Running

from havre.apps.function_lines import AGAIN, FunctionLines
from havre.control.deps import ReconcilerDeps
from havre.control.nodelink.messages import LogStream
from havre.control.patient import patient
from havre.services import logs

GROUP, ROLE = "/aws/lambda/f", f"arn:aws:iam::{ACCOUNT}:role/worker"
STREAM = LogStream("id/s", "", ACCOUNT, "us-east-1", GROUP, "s", {"awslogs-create-group": "true"}, ROLE)
CREATE, MAKE, PUT = "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"


class World:
    def __init__(self, auth: str = "strict") -> None:
        self.running = Running(auth=auth, besides=[logs.service()])
        gateway, directory, parts = self.running.gateway, self.running.directory, self.running.gateway.parts

        def by_keys(account: str, region: str, keys: Any, trace: str = "") -> Any:
            known = directory.credential(keys["AccessKeyId"], keys["SessionToken"])
            assert known is not None
            return patient(gateway.local(known.principal, account, region, trace))

        deps = ReconcilerDeps(
            parts.store,
            parts.journal,
            parts.world,
            parts.site,
            lambda account, region, service, source="": patient(gateway.as_service(service, account, region, source)),
            by_keys,
        )
        self.lines = FunctionLines(deps)
        self.iam = self.running.client("iam")

    def role(self, *actions: str, service: str = "lambda.amazonaws.com") -> None:
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        self.iam.create_role(RoleName="worker", AssumeRolePolicyDocument=document)
        self.allow(*actions)

    def allow(self, *actions: str) -> None:
        statement = {"Effect": "Allow", "Action": list(actions) or "s3:GetObject", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.iam.put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=document)

    def keep(self, *texts: str) -> None:
        at = int(self.running.world.now() * 1000)
        self.running.wait(self.lines.keep(STREAM, [(at, text.encode()) for text in texts]))

    @property
    def kept(self) -> list[str]:
        client = self.running.client("logs")
        if not client.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]:
            return []
        return [event["message"] for event in client.filter_log_events(logGroupName=GROUP)["events"]]

    @property
    def reason(self) -> str:
        return self.lines.reason(ACCOUNT, "us-east-1", GROUP, ROLE)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.running.close()


def test_a_role_that_may_makes_group_and_stream(world: World) -> None:
    world.role(CREATE, MAKE, PUT)
    world.keep("a", "b")
    world.keep("c")
    assert world.kept == ["a", "b", "c"] and world.reason == ""


def test_a_group_that_is_there_need_not_be_made(world: World) -> None:
    world.running.client("logs").create_log_group(logGroupName=GROUP)
    world.role(MAKE, PUT)
    world.keep("a")
    assert world.kept == ["a"] and world.reason == ""


@pytest.mark.parametrize("actions", [(), (CREATE, MAKE), (CREATE, PUT), (MAKE, PUT)])
def test_a_role_that_may_not_writes_nothing_until_it_may(world: World, actions: tuple[str, ...]) -> None:
    world.role(*actions)
    for _ in range(20):
        world.keep("lost")
    assert world.kept == [] and "is not authorized to perform: logs:" in world.reason
    refused = [name for name in (CREATE, MAKE) if name not in actions]
    recorded = sum(len(world.running.events(name.partition(":")[2])) for name in refused)
    assert recorded <= 1, "CloudTrail is not filled by a role that writes much"
    world.allow(CREATE, MAKE, PUT)
    world.keep("still lost")
    world.running.offset += AGAIN
    world.keep("kept")
    assert world.kept == ["kept"] and world.reason == ""


def test_a_role_that_lambda_cannot_assume(world: World) -> None:
    world.role(CREATE, MAKE, PUT, service="ec2.amazonaws.com")
    for _ in range(20):
        world.keep("lost")
    assert world.kept == [] and "sts:AssumeRole" in world.reason
    assert len(world.running.events("AssumeRole")) <= 1


def test_open_doors_ask_no_role() -> None:
    world = World("open")
    world.keep("a")
    assert world.kept == ["a"]
    world.running.close()
