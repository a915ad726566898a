"""A gateway with EventBridge, SNS and CloudWatch Logs, and stubs of queues, functions, tasks and streams."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError
from tests.running_targets import Taken, Targets, function_arn, queue_arn

from havre.control.operation import Operations, Service
from havre.services import events, logs, sns
from havre.services.events.resources import DELIVERY, RULE

__all__ = ["Events", "function_arn", "queue_arn", "refusal"]


class Events(Targets):
    def __init__(self, **more: Any) -> None:
        """``more`` are parts of the gateway."""
        self.tasks, self.records = Taken(), Taken()
        self.task_answer: dict[str, Any] = {"tasks": [{"taskArn": "t"}], "failures": []}
        policies = {"events": events.resource_policy, "sns": sns.resource_policy}
        services = [events.service(), sns.service(), logs.service(), self._ecs(), self._kinesis()]
        super().__init__(services, events.reconcilers, resource_policies=policies, **more)
        self.client = self.running.client("events", parameter_validation=False)

    def _ecs(self) -> Service:
        ops = Operations()

        @ops("RunTask")
        async def run_task(call: Any, request: Mapping[str, Any]) -> Any:
            self.tasks.take(call, request["cluster"], request)
            return self.task_answer

        return Service("ecs", ops.all)

    def _kinesis(self) -> Service:
        ops = Operations()

        @ops("PutRecord")
        async def put_record(call: Any, request: Mapping[str, Any]) -> Any:
            self.records.take(call, request["StreamARN"], request)
            return {"ShardId": "s", "SequenceNumber": "1"}

        return Service("kinesis", ops.all)

    def rule(self, name: str, pattern: Any = None, targets: Sequence[Mapping[str, Any]] = (), **more: Any) -> str:
        if pattern is not None:
            more["EventPattern"] = json.dumps(pattern)
        arn = self.client.put_rule(Name=name, **more)["RuleArn"]
        bus = {"EventBusName": more["EventBusName"]} if "EventBusName" in more else {}
        if targets:
            self.client.put_targets(Rule=name, Targets=list(targets), **bus)
        return str(arn)

    def put(self, source: str = "app", kind: str = "Happened", detail: Any = None, **more: Any) -> dict[str, Any]:
        entry = {"Source": source, "DetailType": kind, "Detail": json.dumps(detail or {}), **more}
        answer: dict[str, Any] = self.client.put_events(Entries=[entry])["Entries"][0]
        return answer

    def role(self, name: str, *actions: str, principal: str = "events.amazonaws.com") -> str:
        """A role that the service may assume, and what it may do."""
        iam = self.running.client("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": principal}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": trust})
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        if actions:
            policy = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
            text = json.dumps({"Version": "2012-10-17", "Statement": policy})
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=text)
        return str(arn)

    def quiet(self) -> None:
        self.settled(DELIVERY)

    def wake(self, rule: str) -> None:
        """Let the schedule of a rule look at the clock."""
        (found,) = [r for r in self.running.store.list(RULE) if r.spec.rule == rule]
        self.running.loop.call_soon_threadsafe(self.runner.wake, "events.schedules", tuple(found.key[1:]))


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    """Code and message of the error that a client method raises."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"]), str(error.response["Error"]["Message"])
    return "", ""
