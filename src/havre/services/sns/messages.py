"""What Publish takes: its text, subject, attributes, structure and FIFO members, checked. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from havre.control.operation import Request
from havre.services.sns.attributes import LARGEST
from havre.services.sns.errors import invalid, invalid_value
from havre.services.sns.resources import Topic

_UNFIT = re.compile(r"[^A-Za-z0-9_.-]").search
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z")
_TOKEN = re.compile(r"[A-Za-z0-9!-/:-@\[-`{-~]{1,128}\Z")
_RESERVED = re.compile(r"(?i)(aws|amazon)\.(?!sns\.)")
"""AWS's own are taken: AWS.SNS.SMS.SenderID and its like."""


class Message(msgspec.Struct, frozen=True):
    """``texts``: what each protocol gets if the message is structured; ``text`` is for all others."""

    text: str
    texts: Mapping[str, str]
    subject: str | None
    attributes: Mapping[str, Any]
    group: str
    deduplication: str
    size: int

    def for_protocol(self, protocol: str) -> str:
        return self.texts.get(protocol, self.text)


def read(given: Request, topic: Topic) -> Message:
    """Raises ApiError. ``given`` is a Publish, or an entry of a PublishBatch."""
    text = given["Message"]
    if not text:
        raise invalid("Empty message")
    attributes = given.get("MessageAttributes") or {}
    size = len(text.encode()) + sum(_checked(name, each) for name, each in attributes.items())
    if size > int(topic.attributes.get("MaximumMessageSize", LARGEST)):
        raise invalid("Message too long")
    subject = given.get("Subject")
    if subject is not None and not _is_subject(subject):
        raise invalid("Subject")
    group, deduplication = _fifo(given, topic, text)
    whole, texts = _structured(given, text)
    return Message(whole, texts, subject, attributes, group, deduplication, size)


def _is_subject(subject: str) -> bool:
    return 0 < len(subject) <= 100 and subject.isprintable() and not subject[0].isspace()


def _check_name(name: str) -> None:
    """Of a message attribute. Raises ApiError."""
    if not name or len(name.encode()) > 256:
        raise invalid_value("Length of message attribute name must be less than 256 bytes.")
    if unfit := _UNFIT(name):
        raise invalid_value(
            f"Invalid non-alphanumeric character '#x{ord(unfit[0]):X}' was found in the message attribute name. Can only "
            "include alphanumeric characters, hyphens, underscores, or dots."
        )
    for end, found in (("starting", name[0]), ("ending", name[-1])):
        if found == ".":
            raise invalid_value(f"Invalid message attribute name {end} with character '.' was found.")
    if ".." in name:
        raise invalid_value("Message attribute name can not have successive '.' character.")
    if _RESERVED.match(name):
        raise invalid_value(f"Message attribute name '{name}' must not begin with AWS. or Amazon.")


def _checked(name: str, attribute: Mapping[str, Any]) -> int:
    """Its size in bytes. Raises ApiError."""
    _check_name(name)
    kind = attribute["DataType"]
    base = kind.partition(".")[0]
    if base not in ("String", "Number", "Binary") or len(kind) > 256:
        raise invalid_value(
            f"The message attribute '{name}' has an invalid message attribute type, the set of supported type prefixes is "
            "Binary, Number, and String."
        )
    field, other = ("Binary", "String") if base == "Binary" else ("String", "Binary")
    value = attribute.get(f"{field}Value")
    if not value and attribute.get(f"{other}Value"):
        raise invalid_value(f"The message attribute '{name}' with type '{kind}' must use field '{field}'.")
    if not value:
        raise invalid_value(
            f"The message attribute '{name}' must contain non-empty message attribute value for message attribute "
            f"type '{kind}'."
        )
    if base == "Number" and not _NUMBER.match(value):
        raise invalid_value(f"Could not cast message attribute '{name}' value to number.")
    return len(name.encode()) + len(kind) + len(value if isinstance(value, bytes) else value.encode())


def _fifo(given: Request, topic: Topic, text: str) -> tuple[str, str]:
    group, deduplication = given.get("MessageGroupId") or "", given.get("MessageDeduplicationId") or ""
    for name, value in (("MessageGroupId", group), ("MessageDeduplicationId", deduplication)):
        if value and not _TOKEN.match(value):
            raise invalid(
                f"{name} Reason: can only include alphanumeric and punctuation characters. 1 to 128 in length"
            )
    if not topic.fifo:
        if deduplication:
            raise invalid(
                "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid "
                "for this topic type"
            )
        return group, ""
    if not group:
        raise invalid("The MessageGroupId parameter is required for FIFO topics")
    if not deduplication:
        if topic.attributes.get("ContentBasedDeduplication", "").lower() != "true":
            raise invalid(
                "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
                "explicitly"
            )
        deduplication = hashlib.sha256(text.encode()).hexdigest()
    return group, deduplication


def _structured(given: Request, text: str) -> tuple[str, Mapping[str, str]]:
    structure = given.get("MessageStructure")
    if structure is None:
        return text, {}
    if structure != "json":
        raise invalid("MessageStructure")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise invalid("Message Structure - JSON message body failed to parse") from None
    if not isinstance(found, dict):
        raise invalid("Message Structure - JSON message body failed to parse")
    if not isinstance(found.get("default"), str):
        raise invalid("Message Structure - No default entry in JSON message body")
    return found["default"], {k: v for k, v in found.items() if isinstance(v, str)}
