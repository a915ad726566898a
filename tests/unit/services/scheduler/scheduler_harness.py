"""A gateway with the Scheduler, EventBridge and CloudWatch Logs, and stubs of queues and functions."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError
from tests.running_targets import Targets, function_arn, queue_arn

from havre.services import events, logs, scheduler
from havre.services.scheduler.resources import DELIVERY, SCHEDULE

__all__ = ["OFF", "Scheduler", "function_arn", "queue_arn", "refusal"]
OFF = {"Mode": "OFF"}


class Scheduler(Targets):
    def __init__(self) -> None:
        services = [scheduler.service(), events.service(), logs.service()]
        super().__init__(services, lambda deps: [*scheduler.reconcilers(deps), *events.reconcilers(deps)])
        self.client = self.running.client("scheduler", parameter_validation=False)
        self.role = self.make_role("runs", "sqs:*", "lambda:*", "events:*", "logs:*")

    def make_role(self, name: str, *actions: str, principal: str = "scheduler.amazonaws.com") -> str:
        iam = self.running.client("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": principal}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": trust})
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        if actions:
            policy = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
            text = json.dumps({"Version": "2012-10-17", "Statement": policy})
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=text)
        return str(arn)

    def schedule(self, name: str, expression: str, arn: str, target: Any = None, **more: Any) -> str:
        whole = {"Arn": arn, "RoleArn": self.role, **(target or {})}
        given = {"FlexibleTimeWindow": OFF, **more}
        made = self.client.create_schedule(Name=name, ScheduleExpression=expression, Target=whole, **given)
        return str(made["ScheduleArn"])

    def found(self, name: str) -> Any:
        return next((r for r in self.running.store.list(SCHEDULE) if r.spec.name == name), None)

    def at(self, when: float) -> None:
        """Set the clock, and let schedules and deliveries look at it."""
        world = self.running.world
        self.running.offset += when - world.now()
        for each in self.running.store.list(SCHEDULE):
            self.running.loop.call_soon_threadsafe(self.runner.wake, "scheduler.timer", tuple(each.key[1:]))
        self.until(lambda: all((r.status.due or 1e12) > world.now() for r in self._enabled()), "the plans")
        for parcel in self.running.store.list(DELIVERY):
            lane = (parcel.meta.account, parcel.meta.region, parcel.spec.lane)
            self.running.loop.call_soon_threadsafe(self.runner.wake, "scheduler.delivery", lane)

    def _enabled(self) -> list[Any]:
        return [r for r in self.running.store.list(SCHEDULE) if r.spec.state == "ENABLED"]

    def quiet(self) -> None:
        self.settled(DELIVERY)


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    """Code and message of the error that a client method raises."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"]), str(error.response["Error"].get("Message"))
    return "", ""
