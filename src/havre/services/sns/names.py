"""ARNs of topics and subscriptions, and what IAM decides on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from havre.control.operation import Call, Request, Resources
from havre.services.sns.errors import invalid

_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}\Z")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
FIFO = ".fifo"


class Place(NamedTuple):
    """Of a topic, or of a subscription (``topic:uuid``)."""

    account: str
    region: str
    name: str


def topic_place(call: Call, text: str, member: str = "TopicArn") -> Place:
    """Raises ApiError for what is not the ARN of a topic in this Region."""
    parts = text.split(":")
    if len(parts) != 6 or parts[:3] != ["arn", "aws", "sns"] or not parts[4]:
        raise invalid(f"{member} Reason: An ARN must have at least 6 elements, not {len(parts)}")
    if _is_elsewhere(call, parts[3]):
        raise invalid(member)
    if not is_name(parts[5]):
        raise invalid(f"{member} Reason: A topic's name is made of letters, digits, hyphens and underscores")
    return Place(parts[4], parts[3], parts[5])


def subscription_place(call: Call, text: str) -> Place:
    """Raises ApiError for what is not the ARN of a subscription in this Region."""
    parts = text.split(":")
    if not text:
        raise invalid("SubscriptionArn Reason: no value for required parameter")
    if len(parts) < 6:
        raise invalid(f"SubscriptionArn Reason: An ARN must have at least 6 elements, not {len(parts)}")
    if len(parts) != 7 or parts[:3] != ["arn", "aws", "sns"] or not _UUID.match(parts[6]):
        raise invalid("SubscriptionId")
    if _is_elsewhere(call, parts[3]):
        raise invalid("SubscriptionArn")
    return Place(parts[4], parts[3], f"{parts[5]}:{parts[6]}")


def _is_elsewhere(call: Call, region: str) -> bool:
    """A request without a signature names no Region."""
    return region != call.region and call.principal.kind != "Anonymous"


def is_name(name: str) -> bool:
    return _NAME.match(name.removesuffix(FIFO)) is not None and len(name) <= 256


def of_topic(member: str = "TopicArn") -> Resources:
    def resources(call: Call, request: Request) -> Sequence[str]:
        return (str(request[member]),)

    return resources


def of_subscription(call: Call, request: Request) -> Sequence[str]:
    """IAM knows subscriptions by their topic."""
    return (str(request["SubscriptionArn"]).rpartition(":")[0],)


def of_new_topic(call: Call, request: Request) -> Sequence[str]:
    return (call.arn(str(request["Name"])),)


def of_target(call: Call, request: Request) -> Sequence[str]:
    return (str(request.get("TopicArn") or request.get("TargetArn") or "*"),)
