"""A gateway with CloudWatch Logs, and short ways to write and read."""

from __future__ import annotations

import time
from typing import Any

from botocore.exceptions import ClientError
from tests.running_gateway import ROOT, Running

from havre.services import logs

GROUP, STREAM = "/app", "one"
HOUR, DAY = 3_600_000, 86_400_000


class Logs:
    def __init__(self, **more: Any) -> None:
        """``more`` are parts of the gateway."""
        self.running = Running(besides=(logs.service(),), **more)
        self.running.hold_answers()
        self.client = self.running.client("logs", parameter_validation=False)

    def close(self) -> None:
        self.running.close()

    def now(self) -> int:
        """Milliseconds by the server's clock."""
        return int((time.time() + self.running.offset) * 1000)

    def make(self, group: str = GROUP, *streams: str) -> None:
        self.client.create_log_group(logGroupName=group)
        for stream in streams or (STREAM,):
            self.client.create_log_stream(logGroupName=group, logStreamName=stream)

    def put(self, *events: tuple[int, str], group: str = GROUP, stream: str = STREAM, **more: Any) -> dict[str, Any]:
        given = [{"timestamp": at, "message": text} for at, text in events]
        return dict(self.client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=given, **more))

    def get(self, group: str = GROUP, stream: str = STREAM, **more: Any) -> dict[str, Any]:
        return dict(self.client.get_log_events(logGroupName=group, logStreamName=stream, **more))

    def filter(self, group: str = GROUP, **more: Any) -> list[str]:
        """The messages of every page."""
        pages = self.client.get_paginator("filter_log_events").paginate(logGroupName=group, **more)
        return [event["message"] for page in pages for event in page["events"]]

    def as_user(self, name: str, policy: str) -> Any:
        """A client of a user with this policy."""
        iam = self.running.client("iam", ROOT)
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
        return self.running.client("logs", iam.create_access_key(UserName=name)["AccessKey"])


def texts(answer: dict[str, Any]) -> list[str]:
    return [event["message"] for event in answer["events"]]


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    """Code and message of the error that a client method raises."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"]), str(error.response["Error"]["Message"])
    return "", ""
