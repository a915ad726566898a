"""Integration subtypes: the operations of other services that a route may be."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from havre.core import parameter_mapping
from havre.services.apigatewayv2.errors import absent, bad


class Subtype(msgspec.Struct, frozen=True):
    service: str
    operation: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


def _queue(operation: str, required: str = "", optional: str = "") -> Subtype:
    return Subtype("sqs", operation, ("QueueUrl", *required.split()), tuple(optional.split()))


SUBTYPES = {
    "EventBridge-PutEvents": Subtype(
        "events", "PutEvents", ("Detail", "DetailType", "Source"), ("Time", "EventBusName", "Resources")
    ),
    "SQS-SendMessage": _queue(
        "SendMessage",
        "MessageBody",
        "DelaySeconds MessageAttributes MessageDeduplicationId MessageGroupId MessageSystemAttributes",
    ),
    "SQS-ReceiveMessage": _queue(
        "ReceiveMessage",
        "",
        "AttributeNames MaxNumberOfMessages MessageAttributeNames ReceiveRequestAttemptId VisibilityTimeout WaitTimeSeconds",
    ),
    "SQS-DeleteMessage": _queue("DeleteMessage", "ReceiptHandle"),
    "SQS-PurgeQueue": _queue("PurgeQueue"),
    "Kinesis-PutRecord": Subtype(
        "kinesis",
        "PutRecord",
        ("StreamName", "Data", "PartitionKey"),
        ("SequenceNumberForOrdering", "ExplicitHashKey"),
    ),
}
_ELSEWHERE = ("AppConfig-", "StepFunctions-")


def check(name: str, parameters: Mapping[str, str], region: str) -> None:
    """Raises ApiError."""
    subtype = SUBTYPES.get(name)
    if subtype is None:
        if name.startswith(_ELSEWHERE):
            raise absent(f"integrations of the subtype {name}")
        raise bad(f"Invalid integration subtype specified: {name}")
    missing = [each for each in subtype.required if not parameters.get(each)]
    if missing:
        raise bad(f"Missing required parameters for {name}: {', '.join(missing)}")
    for key, value in parameters.items():
        if key not in (*subtype.required, *subtype.optional, "Region"):
            raise bad(f"Invalid parameter for {name}: {key}")
        if why := parameter_mapping.bad_value(value):
            raise bad(why)
    if parameters.get("Region", region) != region:
        raise absent("integrations with services of another Region")
