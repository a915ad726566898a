"""Attributes of topics and subscriptions: which there are, what they may say. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from havre.core.event_pattern import PatternError, Unreadable, compile_filter_policy, unreadable
from havre.core.event_pattern.filter_policy import ATTRIBUTES, BODY, Nested
from havre.core.policy import PolicyError, parse
from havre.kernel.errors import not_built
from havre.services.sns import delivery_policy
from havre.services.sns.errors import invalid

Check = Callable[[str], None]
LARGEST = 262_144
_MOST = 1_048_576
_FEEDBACK = tuple(
    f"{target}{kind}"
    for target in ("HTTP", "Firehose", "Lambda", "Application", "SQS")
    for kind in ("SuccessFeedbackRoleArn", "SuccessFeedbackSampleRate", "FailureFeedbackRoleArn")
)


def _flag(name: str) -> Check:
    def check(value: str) -> None:
        if value.lower() not in ("true", "false"):
            raise invalid(f"{name}: Invalid value [{value}]. Must be true or false.")

    return check


def _scope(value: str) -> None:
    if value not in (ATTRIBUTES, BODY):
        told = f"Invalid value [{value}]. Please use either {BODY} or {ATTRIBUTES}"
        raise invalid(f"FilterPolicyScope: {told}")


def _one_of(name: str, *values: str) -> Check:
    def check(value: str) -> None:
        if value not in values:
            raise invalid(f"{name} Reason: {name}: Invalid value [{value}]. Must be one of {', '.join(values)}.")

    return check


def _absent(name: str) -> Check:
    def check(value: str) -> None:
        if value:
            raise not_built("sns", name)

    return check


def _kept(value: str) -> None:
    """Any is taken: what it lacks is said in the service's declaration."""


def _display_name(value: str) -> None:
    if len(value) > 100 or any(c in value for c in "\r\n"):
        raise invalid("DisplayName Reason: Display name must be at most 100 characters long")


def _size(value: str) -> None:
    if not value.isdecimal() or not 1024 <= int(value) <= _MOST:
        raise invalid(f"MaximumMessageSize Reason: must be a number between 1024 and {_MOST}")


def policy(text: str) -> None:
    try:
        parse(text, "resource")
    except PolicyError as error:
        raise invalid(f"Policy Error: {error}") from None


def _topic_delivery(text: str) -> None:
    if text:
        delivery_policy.of_topic(text)


TOPIC: dict[str, Check] = {
    "DisplayName": _display_name,
    "Policy": policy,
    "DeliveryPolicy": _topic_delivery,
    "MaximumMessageSize": _size,
    "ContentBasedDeduplication": _flag("ContentBasedDeduplication"),
    "FifoThroughputScope": _one_of("FifoThroughputScope", "Topic", "MessageGroup"),
    "SignatureVersion": _one_of("SignatureVersion", "1", "2"),
    "TracingConfig": _one_of("TracingConfig", "PassThrough", "Active"),
    "KmsMasterKeyId": _kept,
    "ArchivePolicy": _absent("ArchivePolicy"),
    **{name: _absent(name) for name in _FEEDBACK},
}
_FIFO_ONLY = ("ContentBasedDeduplication", "FifoThroughputScope", "ArchivePolicy")


def check_topic(name: str, value: str, fifo: bool) -> None:
    """Raises ApiError."""
    check = TOPIC.get(name)
    if check is None:
        raise invalid("AttributeName")
    if name in _FIFO_ONLY and not fifo and value.lower() not in ("", "false"):
        raise invalid(f"{name} Reason: is for FIFO topics only")
    check(value)


# ------------------------------------------------------------------ subscriptions


def _redrive(text: str) -> None:
    if text:
        dead_letter_queue(text)


def dead_letter_queue(text: str) -> str:
    """The ARN of the queue that a RedrivePolicy names. Raises ApiError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid(f"RedrivePolicy: failed to parse JSON. {unreadable(text, error)}") from None
    target = found.get("deadLetterTargetArn") if isinstance(found, dict) else None
    parts = target.split(":") if isinstance(target, str) else []
    if len(parts) != 6 or parts[2] != "sqs" or not parts[5] or not parts[4]:
        raise invalid("RedrivePolicy: deadLetterTargetArn is an invalid arn")
    return ":".join(parts)


def _subscription_delivery(text: str) -> None:
    if text:
        delivery_policy.of_subscription(text)


SUBSCRIPTION: dict[str, Check] = {
    "RawMessageDelivery": _flag("RawMessageDelivery"),
    "FilterPolicyScope": _scope,
    "FilterPolicy": _kept,
    "RedrivePolicy": _redrive,
    "DeliveryPolicy": _subscription_delivery,
    "SubscriptionRoleArn": _absent("SubscriptionRoleArn"),
    "ReplayPolicy": _absent("ReplayPolicy"),
}


def whole(given: Mapping[str, str]) -> dict[str, str]:
    """Attributes of a subscription, with those that hold unless others are given, and flags in small letters."""
    raw = given.get("RawMessageDelivery") or "false"
    return {"FilterPolicyScope": ATTRIBUTES, **given, "RawMessageDelivery": raw.lower()}


def check_alone(name: str, value: str) -> None:
    """A flag that is set to nothing is no flag; all else that is set to nothing is taken away. Raises ApiError."""
    if name == "RawMessageDelivery":
        SUBSCRIPTION[name](value)


def check_subscription(attributes: Mapping[str, str], protocol: str, endpoint: str, fifo: bool) -> None:
    """All attributes of one subscription together. Raises ApiError."""
    for name, value in attributes.items():
        check = SUBSCRIPTION.get(name)
        if check is None:
            raise invalid("AttributeName")
        check(value)
    if attributes.get("RawMessageDelivery", "").lower() == "true" and protocol not in ("sqs", "http", "https"):
        raise invalid(f"Delivery protocol [{protocol}] does not support raw message delivery.")
    if attributes.get("DeliveryPolicy") and protocol not in ("http", "https"):
        raise invalid(f"DeliveryPolicy: Delivery protocol [{protocol}] does not support a delivery policy.")
    if redrive := attributes.get("RedrivePolicy"):
        _check_dead_letters(dead_letter_queue(redrive), fifo and endpoint.endswith(".fifo"))
    filter_policy(attributes)


def _check_dead_letters(queue: str, fifo: bool) -> None:
    if queue.endswith(".fifo") == fifo:
        return
    if fifo:
        raise invalid("RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic.")
    raise invalid("RedrivePolicy: must use a standard queue as DLQ for a standard subscription.")


def filter_policy(attributes: Mapping[str, str]) -> None:
    """Raises ApiError."""
    text = attributes.get("FilterPolicy")
    if not text:
        return
    try:
        compile_filter_policy(text, attributes.get("FilterPolicyScope") or ATTRIBUTES)
    except Unreadable as error:
        raise invalid(f"FilterPolicy: failed to parse JSON. {error}") from None
    except Nested as error:
        raise invalid(str(error)) from None
    except PatternError as error:
        raise invalid(f"FilterPolicy: {error}") from None
