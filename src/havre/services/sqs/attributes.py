"""Attributes of queues: from AWS's strings into the spec and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from havre.core.policy import PolicyError, parse
from havre.services.sqs.errors import bad_attribute, bad_value, both_encryptions, unknown_attribute
from havre.services.sqs.resources import LARGEST, REUSE, Queue, QueueSpec, Redrive, RedriveAllow

PERMISSIONS = ("allowAll", "denyAll", "byQueue")
MOST_SOURCES = 10
MOST_LIVES = 1000
_INTEGERS: dict[str, tuple[str, int, int]] = {
    # attribute: field, least, most
    "DelaySeconds": ("delay", 0, 900),
    "MaximumMessageSize": ("size", 1024, LARGEST),
    "MessageRetentionPeriod": ("retention", 60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": ("wait", 0, 20),
    "VisibilityTimeout": ("visibility", 0, 43_200),
    "KmsDataKeyReusePeriodSeconds": ("kms_reuse", 60, 86_400),
}
_CHOICES = {
    # of FIFO queues; attribute: field, choices
    "DeduplicationScope": ("deduplication_scope", ("messageGroup", "queue")),
    "FifoThroughputLimit": ("throughput_limit", ("perQueue", "perMessageGroupId")),
}
_READ_ONLY = frozenset(
    (
        "All",
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesDelayed",
        "ApproximateNumberOfMessagesNotVisible",
        "CreatedTimestamp",
        "LastModifiedTimestamp",
        "QueueArn",
    )
)
_QUEUE_ARN = re.compile(r"arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,80}(\.fifo)?").fullmatch


def changed(spec: QueueSpec, given: Mapping[str, str], *, new: bool) -> QueueSpec:
    """The spec with these attributes. Raises ApiError for one that there is not, or whose value is not good."""
    fields: dict[str, Any] = {}
    for name, value in given.items():
        if name == "FifoQueue":
            _check_kind(spec, value, new)
        elif name in _READ_ONLY:
            raise unknown_attribute(name)
        else:
            fields.update(_field(spec, name, value))
    if fields.get("kms_key"):
        if given.get("SqsManagedSseEnabled") == "true":
            raise both_encryptions()
        fields["sse"] = False
    elif fields.get("sse"):
        fields["kms_key"] = ""
    made = msgspec.structs.replace(spec, **fields)
    if made.throughput_limit == "perMessageGroupId" and made.deduplication_scope != "messageGroup":
        raise bad_attribute(
            "FifoThroughputLimit",
            "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup.",
        )
    return made


def _check_kind(spec: QueueSpec, value: str, new: bool) -> None:
    wanted = _boolean("FifoQueue", value)
    if new and not wanted and not spec.fifo:
        raise unknown_attribute("FifoQueue")  # AWS takes it of FIFO queues only
    if not new and not spec.fifo:
        raise unknown_attribute("FifoQueue")
    if wanted != spec.fifo:
        raise bad_attribute("FifoQueue", "" if new else "Modifying queue type is not supported.")


def _field(spec: QueueSpec, name: str, value: str) -> dict[str, Any]:
    if name in _INTEGERS:
        field, least, most = _INTEGERS[name]
        return {field: _integer(name, value, least, most)}
    if name in _CHOICES or name == "ContentBasedDeduplication":
        if not spec.fifo:
            raise unknown_attribute(name)
        if name == "ContentBasedDeduplication":
            return {"content_deduplication": _boolean(name, value)}
        field, choices = _CHOICES[name]
        if value not in choices:
            raise bad_attribute(name)
        return {field: value}
    if name == "SqsManagedSseEnabled":
        return {"sse": _boolean(name, value)}
    if name == "KmsMasterKeyId":
        return {"kms_key": value}
    reader = _DOCUMENTS.get(name)
    if reader is None:
        raise unknown_attribute(name)
    return reader(value)


def _integer(name: str, value: str, least: int, most: int) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10) or not least <= int(value) <= most:
        raise bad_attribute(name)
    return int(value)


def _boolean(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise bad_attribute(name)
    return value.lower() == "true"


def _map(value: str) -> dict[str, Any] | None:
    try:
        document = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return document if isinstance(document, dict) else None


def _document(name: str, value: str) -> dict[str, Any]:
    document = _map(value)
    if document is None:
        raise bad_attribute(name, f"{name} value is not a valid JSON map.")
    return document


def _policy(value: str) -> dict[str, Any]:
    if not value:
        return {"policy": ""}
    _document("Policy", value)
    try:
        parse(value, "resource")
    except PolicyError as error:
        raise bad_attribute("Policy", str(error)) from None
    return {"policy": value}


def _redrive(value: str) -> dict[str, Any]:
    if not value:
        return {"redrive": None}
    name = "RedrivePolicy"
    document = _map(value)
    if document is None:
        raise bad_value(name, value, "Redrive policy is not a valid JSON map.")
    unknown = document.keys() - {"deadLetterTargetArn", "maxReceiveCount"}
    if unknown:
        raise bad_value(name, value, f"Unknown parameter {sorted(unknown)[0]}.")
    target, lives = document.get("deadLetterTargetArn"), document.get("maxReceiveCount", 10)
    if not target:
        raise bad_value(name, value, "Redrive policy does not contain mandatory attribute: deadLetterTargetArn.")
    if not isinstance(target, str) or not _QUEUE_ARN(target):
        raise bad_value(name, value, "Invalid value for deadLetterTargetArn.")
    if isinstance(lives, str) and lives.isascii() and lives.isdigit() and len(lives) < 10:
        lives = int(lives)
    if not isinstance(lives, int) or isinstance(lives, bool) or not 1 <= lives <= MOST_LIVES:
        told = f"Invalid value for maxReceiveCount: {lives}, valid values are from 1 to 1000 both inclusive."
        raise bad_value(name, value, told)
    return {"redrive": Redrive(target, lives)}


def _redrive_allow(value: str) -> dict[str, Any]:
    if not value:
        return {"redrive_allow": None}
    name = "RedriveAllowPolicy"
    document = _document(name, value)
    permission, sources = document.get("redrivePermission"), document.get("sourceQueueArns")
    if permission not in PERMISSIONS or document.keys() - {"redrivePermission", "sourceQueueArns"}:
        raise bad_attribute(name, "Amazon SQS can't create the redrive allow policy, as it's in an unsupported format.")
    if (permission == "byQueue") != (sources is not None):
        raise bad_attribute(name, "sourceQueueArns goes with the redrivePermission byQueue, and with no other.")
    if sources is not None and (
        not isinstance(sources, list)
        or not 1 <= len(sources) <= MOST_SOURCES
        or not all(isinstance(each, str) and _QUEUE_ARN(each) for each in sources)
    ):
        raise bad_attribute(name, f"sourceQueueArns takes from 1 to {MOST_SOURCES} ARNs of queues.")
    return {"redrive_allow": RedriveAllow(permission, tuple(sources or ()))}


_DOCUMENTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "Policy": _policy,
    "RedriveAllowPolicy": _redrive_allow,
    "RedrivePolicy": _redrive,
}


def shown(queue: Queue, counts: tuple[int, int, int], names: Iterable[str]) -> dict[str, str]:
    """Attributes by AWS's names. ``counts``: visible, in flight, delayed."""
    every = _every(queue, counts)
    wanted = set(names)
    if "All" in wanted:
        return every
    unknown = wanted - _KNOWN
    if unknown:
        raise unknown_attribute(sorted(unknown)[0])
    return {name: value for name, value in every.items() if name in wanted}


_FIFO_ONLY = frozenset((*_CHOICES, "ContentBasedDeduplication"))
_KNOWN = frozenset(
    (*_READ_ONLY, *_INTEGERS, *_FIFO_ONLY, *_DOCUMENTS, "FifoQueue", "KmsMasterKeyId", "SqsManagedSseEnabled")
)


def _every(queue: Queue, counts: tuple[int, int, int]) -> dict[str, str]:
    spec, meta = queue.spec, queue.meta
    every = {
        "QueueArn": meta.arn,
        "ApproximateNumberOfMessages": str(counts[0]),
        "ApproximateNumberOfMessagesNotVisible": str(counts[1]),
        "ApproximateNumberOfMessagesDelayed": str(counts[2]),
        "CreatedTimestamp": str(int(meta.created)),
        "LastModifiedTimestamp": str(int(spec.modified)),
        "VisibilityTimeout": str(spec.visibility),
        "MaximumMessageSize": str(spec.size),
        "MessageRetentionPeriod": str(spec.retention),
        "DelaySeconds": str(spec.delay),
        "ReceiveMessageWaitTimeSeconds": str(spec.wait),
        "SqsManagedSseEnabled": _text(spec.sse),
    }
    if spec.policy:
        every["Policy"] = spec.policy
    if spec.redrive is not None:
        every["RedrivePolicy"] = _json(
            {"deadLetterTargetArn": spec.redrive.target, "maxReceiveCount": spec.redrive.lives}
        )
    if (allow := spec.redrive_allow) is not None:
        sources = {"sourceQueueArns": allow.sources} if allow.sources else {}
        every["RedriveAllowPolicy"] = _json({"redrivePermission": allow.permission, **sources})
    if spec.kms_key:
        every["KmsMasterKeyId"] = spec.kms_key
    if spec.kms_key or spec.kms_reuse != REUSE:
        every["KmsDataKeyReusePeriodSeconds"] = str(spec.kms_reuse)
    if spec.fifo:
        every |= {
            "FifoQueue": "true",
            "ContentBasedDeduplication": _text(spec.content_deduplication),
            "DeduplicationScope": spec.deduplication_scope,
            "FifoThroughputLimit": spec.throughput_limit,
        }
    return every


def _text(value: bool) -> str:
    return "true" if value else "false"


def _json(document: Mapping[str, Any]) -> str:
    return msgspec.json.encode(document).decode()


def given_as(queue: Queue, name: str) -> str | None:
    """The attribute's value as AWS would show it, None when it has none: for comparison with what is asked for."""
    return _every(queue, (0, 0, 0)).get(name)
