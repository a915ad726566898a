"""What rules and schedules call: a target by its ARN, with AWS's parameters, in one operation of its service."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from havre.control.log_lines import put_lines
from havre.control.operation import Aws
from havre.kernel.errors import Permanent, Temporary

_OVERRIDES = {
    "containerOverrides", "cpu", "memory", "taskRoleArn", "executionRoleArn", "inferenceAcceleratorOverrides",
    "ephemeralStorage",
}  # fmt: skip
_TASK = {
    "TaskCount": "count",
    "LaunchType": "launchType",
    "PlatformVersion": "platformVersion",
    "Group": "group",
    "CapacityProviderStrategy": "capacityProviderStrategy",
    "EnableECSManagedTags": "enableECSManagedTags",
    "EnableExecuteCommand": "enableExecuteCommand",
    "PlacementConstraints": "placementConstraints",
    "PlacementStrategy": "placementStrategy",
    "PropagateTags": "propagateTags",
    "ReferenceId": "referenceId",
}
_KINDS = (
    ("lambda", "function:"), ("sqs", ""), ("sns", ""), ("logs", "log-group:"), ("ecs", "cluster/"),
    ("events", "event-bus/"), ("kinesis", "stream/"),
)  # fmt: skip


class Handover(msgspec.Struct, frozen=True):
    """``target`` as AWS's APIs spell it (Arn, EcsParameters, …), ``text`` what it gets. ``id`` is the same at each attempt;
    ``by`` names what calls (``events-rule/nightly``); ``endpoint`` is where this installation answers; ``at`` now, in
    seconds since the epoch."""

    target: Mapping[str, Any]
    text: str
    id: str
    by: str
    endpoint: str
    at: float
    event: Mapping[str, Any] = {}

    @property
    def arn(self) -> str:
        return str(self.target["Arn"])


def kind(arn: str) -> str | None:
    """The service of a target that can be called; None for any other, and for what is no ARN."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[:2] != ["arn", "aws"] or not parts[3] or not parts[4]:
        return None
    return next((name for name, start in _KINDS if parts[2] == name and parts[5].startswith(start) and parts[5]), None)


async def hand_over(aws: Aws, handover: Handover) -> None:
    """Raises ApiError as the operation does, Permanent and Temporary for what its answer says failed."""
    await _CALLS[str(kind(handover.arn))](aws, handover)


async def _invoke(aws: Aws, handover: Handover) -> None:
    payload = handover.text.encode()
    await aws("lambda", "Invoke", {"FunctionName": handover.arn, "InvocationType": "Event", "Payload": payload})


def queue_url(endpoint: str, arn: str) -> str:
    _, _, _, _, account, name = arn.split(":", 5)
    return f"{endpoint}/{account}/{name}"


async def _send(aws: Aws, handover: Handover) -> None:
    request: dict[str, Any] = {"QueueUrl": queue_url(handover.endpoint, handover.arn), "MessageBody": handover.text}
    group = (handover.target.get("SqsParameters") or {}).get("MessageGroupId")
    if group:
        request["MessageGroupId"] = group
        if handover.arn.endswith(".fifo"):
            request["MessageDeduplicationId"] = handover.id
    await aws("sqs", "SendMessage", request)


async def _publish(aws: Aws, handover: Handover) -> None:
    await aws("sns", "Publish", {"TopicArn": handover.arn, "Message": handover.text})


async def _log(aws: Aws, handover: Handover) -> None:
    group = handover.arn.split(":log-group:", 1)[1].removesuffix(":*")
    stream = handover.by.replace("/", "-").replace(":", "-").replace("*", "-")
    await put_lines(aws, group, stream, [{"timestamp": int(handover.at * 1000), "message": handover.text}])


async def _run_task(aws: Aws, handover: Handover) -> None:
    says = handover.target.get("EcsParameters") or {}
    request: dict[str, Any] = {
        "cluster": handover.arn,
        "taskDefinition": says["TaskDefinitionArn"],
        "startedBy": handover.by[:128],
        "clientToken": handover.id[:64],
    }
    request |= {ours: says[theirs] for theirs, ours in _TASK.items() if says.get(theirs) is not None}
    network = (says.get("NetworkConfiguration") or {}).get("awsvpcConfiguration") or (
        says.get("NetworkConfiguration") or {}
    ).get("AwsvpcConfiguration")
    if network:
        vpc = {"subnets": network["Subnets"], "securityGroups": network.get("SecurityGroups") or []}
        vpc["assignPublicIp"] = network.get("AssignPublicIp") or "DISABLED"
        request["networkConfiguration"] = {"awsvpcConfiguration": vpc}
    tags = [{k.lower(): v for k, v in tag.items()} for tag in says.get("Tags") or ()]
    if tags:
        request["tags"] = tags
    overrides = _overrides(handover.text)
    if overrides:
        request["overrides"] = overrides
    answer = await aws("ecs", "RunTask", request)
    failures = answer.get("failures") or ()
    if failures and not answer.get("tasks"):
        raise Temporary(f"{failures[0].get('reason') or 'RunTask failed'}", after=30.0)


def _overrides(text: str) -> dict[str, Any] | None:
    """What of an input is for RunTask: an object that says nothing else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found and set(found) <= _OVERRIDES else None


async def _put_events(aws: Aws, handover: Handover) -> None:
    says = handover.target.get("EventBridgeParameters")
    event = handover.event
    entry: dict[str, Any] = {"EventBusName": handover.arn}
    if says:
        entry |= {"Source": says["Source"], "DetailType": says["DetailType"], "Detail": handover.text}
    else:
        entry |= {
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": json.dumps(event["detail"]),
            "Resources": event.get("resources") or [],
            "Time": event["at"],
            "TraceHeader": event.get("trace") or None,
        }
    answer = await aws("events", "PutEvents", {"Entries": [{k: v for k, v in entry.items() if v is not None}]})
    failed = answer["Entries"][0]
    if failed.get("ErrorCode"):
        raise Permanent(f"{failed['ErrorCode']}: {failed.get('ErrorMessage', '')}")


async def _put_record(aws: Aws, handover: Handover) -> None:
    says = handover.target.get("KinesisParameters") or {}
    key = says.get("PartitionKey") or handover.event.get("partition") or handover.id
    request = {"StreamARN": handover.arn, "Data": handover.text.encode(), "PartitionKey": str(key)[:256]}
    await aws("kinesis", "PutRecord", request)


_CALLS: dict[str, Callable[[Aws, Handover], Awaitable[None]]] = {
    "lambda": _invoke,
    "sqs": _send,
    "sns": _publish,
    "logs": _log,
    "ecs": _run_task,
    "events": _put_events,
    "kinesis": _put_record,
}
