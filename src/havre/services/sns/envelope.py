"""What subscribers get: the notification as JSON, the record for a function, the attributes for a queue. Pure.

All of it is signed (signing.py) but raw messages, and what FIFO topics send.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from havre.services.sns.resources import Letter

_SUBSCRIBE = (
    "You have chosen to subscribe to the topic {topic}.\n"
    "To confirm the subscription, visit the SubscribeURL included in this message."
)
_UNSUBSCRIBE = (
    "You have chosen to deactivate subscription {subscription}.\n"
    "To cancel this operation and restore the subscription, visit the SubscribeURL included in this message."
)


def timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown_attributes(attributes: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    return {
        name: {
            "Type": each["DataType"],
            "Value": each["StringValue"]
            if each.get("StringValue") is not None
            else base64.b64encode(each.get("BinaryValue") or b"").decode(),
        }
        for name, each in attributes.items()
    }


def confirm_url(endpoint: str, letter: Letter) -> str:
    asked = {"Action": "ConfirmSubscription", "TopicArn": letter.topic, "Token": letter.token}
    return f"{endpoint}/?{urlencode(asked, safe=':')}"


def unsubscribe_url(endpoint: str, subscription: str) -> str:
    asked = {"Action": "Unsubscribe", "SubscriptionArn": subscription}
    return f"{endpoint}/?{urlencode(asked, safe=':')}"


def notification(letter: Letter, endpoint: str) -> dict[str, Any]:
    """``endpoint`` is where this installation answers."""
    found: dict[str, Any] = {"Type": letter.kind, "MessageId": letter.id}
    if letter.sequence:
        found["SequenceNumber"] = letter.sequence
    if letter.token:
        found["Token"] = letter.token
    found["TopicArn"] = letter.topic
    if letter.subject is not None:
        found["Subject"] = letter.subject
    found["Message"] = _words(letter)
    if letter.token:
        found["SubscribeURL"] = confirm_url(endpoint, letter)
    found["Timestamp"] = timestamp(letter.at)
    if letter.kind == "Notification":
        found["UnsubscribeURL"] = unsubscribe_url(endpoint, letter.subscription)
    if letter.attributes:
        found["MessageAttributes"] = shown_attributes(letter.attributes)
    return found


def _words(letter: Letter) -> str:
    if letter.kind == "SubscriptionConfirmation":
        return _SUBSCRIBE.format(topic=letter.topic)
    if letter.kind == "UnsubscribeConfirmation":
        return _UNSUBSCRIBE.format(subscription=letter.subscription)
    return letter.text


def written(found: Mapping[str, Any]) -> str:
    return json.dumps(found, indent=2, separators=(",", " : "), ensure_ascii=False)


def signed(found: Mapping[str, Any], signature: Mapping[str, str]) -> dict[str, Any]:
    """With the signature where AWS has it, behind the time."""
    told: dict[str, Any] = {}
    for name, value in found.items():
        told[name] = value
        if name == "Timestamp":
            told |= signature
    return told


def record(letter: Letter, endpoint: str, signature: Mapping[str, str]) -> bytes:
    """The event of a function."""
    sns = {
        "Type": "Notification",
        "MessageId": letter.id,
        "TopicArn": letter.topic,
        "Subject": letter.subject,
        "Message": letter.text,
        "Timestamp": timestamp(letter.at),
        **{name.replace("URL", "Url"): value for name, value in signature.items()},
        "UnsubscribeUrl": unsubscribe_url(endpoint, letter.subscription),
        "MessageAttributes": shown_attributes(letter.attributes),
    }
    event = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": letter.subscription,
        "Sns": sns,
    }
    return json.dumps({"Records": [event]}).encode()
