"""What a message says: its checks, its digests, and how it is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import md5, sha256
from struct import Struct
from typing import Any

import msgspec

from havre.kernel.errors import ApiError
from havre.services.sqs.errors import bad_value, invalid, missing, wrong_type
from havre.services.sqs.resources import QueueSpec

MOST_ATTRIBUTES = 10
LONGEST_DELAY = 900
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]").search
"""What is not #x9, #xA, #xD, #x20 to #xD7FF, #xE000 to #xFFFD or #x10000 to #x10FFFF: told the other way round, the pattern
takes ten times as long to compile."""
_NAME = re.compile(r"[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+)*").fullmatch
_ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}").fullmatch
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?").fullmatch
_TRACE = re.compile(r"(?i)\s*(root|parent|sampled|self|lineage|[A-Za-z0-9_]+)=[^;=]+(;[^;=]+=[^;=]*)*;?\s*").fullmatch
_UNTOLD = "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
_LENGTH = Struct(">I").pack


class Attribute(msgspec.Struct, frozen=True, array_like=True):
    """``type`` is String, Number or Binary, perhaps with ``.custom`` behind; the value is ``text``, or ``data``."""

    type: str
    text: str | None = None
    data: bytes | None = None

    @property
    def value(self) -> bytes:
        return self.text.encode() if self.text is not None else self.data or b""


class Sealed(msgspec.Struct, frozen=True, array_like=True):
    """A body that is kept encrypted (sealing.py). ``key``: the data key as KMS has encrypted it for the queue ``arn``."""

    arn: str
    key: bytes
    nonce: bytes
    text: bytes


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """A message as it is kept. ``source`` is the ARN of the queue whose dead letter it is, ``dedup`` its deduplication
    id. Where ``sealed`` is there, it has the body and its digest."""

    message_id: str
    sender: str
    body: str
    md5: str
    attributes: dict[str, Attribute] = {}
    trace: str = ""
    source: str = ""
    dedup: str = ""
    sealed: Sealed | None = None


class Head(msgspec.Struct, frozen=True, array_like=True):
    """What is read back at the start: see ``core.queueing.Message``."""

    sent: int
    due: int = 0
    group: str = ""
    received: int = 0
    first_received: int = 0


class Draft(msgspec.Struct, frozen=True):
    """A message that is fit to be sent. ``delay`` in seconds, ``size`` in bytes; ``md5`` is the digest of its body,
    ``system_md5`` that of its system attributes."""

    body: str
    attributes: dict[str, Attribute]
    trace: str
    delay: int
    group: str
    dedup: str
    size: int
    md5: str
    system_md5: str = ""
    sealed: Sealed | None = None


encode = msgspec.msgpack.Encoder().encode
decode_envelope = msgspec.msgpack.Decoder(Envelope).decode
decode_head = msgspec.msgpack.Decoder(Head).decode


def draft(spec: QueueSpec, entry: Mapping[str, Any], header: str = "", batch: bool = False) -> Draft:
    """Check one message of a SendMessage or of a ``batch``. ``header`` is the trace header that the request came with, which
    holds where the message brings none. Raises ApiError."""
    body = entry["MessageBody"]
    if not body:
        raise missing("MessageBody")
    if not (body.isascii() and body.isprintable()) and _UNFIT(body):
        raise ApiError(
            "InvalidMessageContents",
            "Invalid characters found. Valid unicode characters are "
            "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
        )
    given, system = entry.get("MessageAttributes"), entry.get("MessageSystemAttributes")
    attributes, size = _attributes(given) if given else ({}, 0)
    raw = body.encode()
    size += len(raw)
    if size > spec.size:
        what = "cannot be validated" if batch else "are invalid"
        raise invalid(f"One or more parameters {what}. Reason: Message must be shorter than {spec.size} bytes.")
    own = _trace(system) if system else None
    trace = own.text or "" if own is not None else header if header and _TRACE(header) else ""
    group, dedup = _group(spec, entry, body)
    system_md5 = digest({"AWSTraceHeader": own}) if own else ""
    digested = md5(raw, usedforsecurity=False).hexdigest()
    return Draft(body, attributes, trace, _delay(spec, entry), group, dedup, size, digested, system_md5)


def check_batch(spec: QueueSpec, entries: Sequence[Mapping[str, Any]]) -> None:
    """What a FIFO queue asks of each message: one without it fails the whole batch. Raises ApiError."""
    if not spec.fifo:
        return
    if any(entry.get("MessageGroupId") is None for entry in entries):
        raise invalid(missing("MessageGroupId").message)
    if not spec.content_deduplication and any(entry.get("MessageDeduplicationId") is None for entry in entries):
        raise invalid(_UNTOLD)


def _delay(spec: QueueSpec, entry: Mapping[str, Any]) -> int:
    delay = entry.get("DelaySeconds")
    if delay is None:
        return spec.delay
    if not 0 <= delay <= LONGEST_DELAY:
        raise bad_value("DelaySeconds", delay, f"DelaySeconds must be >= 0 and <= {LONGEST_DELAY}.")
    if spec.fifo and delay:
        raise wrong_type("DelaySeconds", delay)
    return spec.delay if spec.fifo else int(delay)


def _group(spec: QueueSpec, entry: Mapping[str, Any], body: str) -> tuple[str, str]:
    """Message group and deduplication id."""
    group, dedup = entry.get("MessageGroupId"), entry.get("MessageDeduplicationId")
    for name, value in (("MessageGroupId", group), ("MessageDeduplicationId", dedup)):
        if value is not None and not _ID(value):
            told = "can only include alphanumeric and punctuation characters. 1 to 128 in length."
            raise bad_value(name, value, f"{name} {told}")
    if not spec.fifo:
        if dedup is not None:
            raise wrong_type("MessageDeduplicationId", dedup)
        return group or "", ""
    if group is None:
        raise missing("MessageGroupId")
    if dedup is None:
        if not spec.content_deduplication:
            raise invalid(_UNTOLD)
        dedup = sha256(body.encode()).hexdigest()
    return group, dedup


def _attributes(given: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Attribute], int]:
    """The attributes, and how many bytes they count for."""
    if len(given) > MOST_ATTRIBUTES:
        raise invalid(f"Number of message attributes [{len(given)}] exceeds the allowed maximum [{MOST_ATTRIBUTES}].")
    made, size = {}, 0
    for name, value in given.items():
        made[name] = attribute = _attribute(name, value)
        size += len(name.encode()) + len(attribute.type.encode()) + len(attribute.value)
    return made, size


def _attribute(name: str, given: Mapping[str, Any]) -> Attribute:
    if len(name) > 256 or not _NAME(name) or name.lower().startswith(("aws.", "amazon.")):
        raise invalid(
            f"Can only include alphanumeric characters, hyphens, underscores, or dots: the message attribute name "
            f"'{name[:256]}' is not valid."
        )
    kind = given.get("DataType") or ""
    if not kind:
        raise invalid(f"The message attribute '{name}' must contain a non-empty message attribute type.")
    logical = kind.partition(".")[0]
    if logical not in ("String", "Number", "Binary") or len(kind) > 256:
        raise invalid(
            f"The message attribute '{name}' has an invalid message attribute type, the set of supported type prefixes is "
            "Binary, Number, and String."
        )
    if given.get("StringListValues") or given.get("BinaryListValues"):
        raise ApiError("UnsupportedOperation", "Message attribute list values are not supported.")
    value = given.get("BinaryValue" if logical == "Binary" else "StringValue")
    if not value:
        raise invalid(f"Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'.")
    if logical == "Number" and not _NUMBER(value):
        raise invalid(f"Can't cast the value of message (user) attribute '{name}' to a number.")
    if isinstance(value, str) and _UNFIT(value):
        raise invalid(f"Invalid binary character found in message attribute '{name}'.")
    return Attribute(kind, data=bytes(value)) if logical == "Binary" else Attribute(kind, value)


def _trace(given: Mapping[str, Mapping[str, Any]]) -> Attribute | None:
    """The one system attribute that senders may set."""
    for name, value in given.items():
        if name != "AWSTraceHeader":
            raise invalid(f"Message system attribute name '{name[:256]}' is invalid.")
        if value.get("DataType") != "String" or not value.get("StringValue"):
            raise invalid("The message system attribute 'AWSTraceHeader' must contain a non-empty String value.")
        if not _TRACE(value["StringValue"]):
            raise invalid("The message system attribute 'AWSTraceHeader' has an invalid value.")
        return Attribute("String", value["StringValue"])
    return None


def digest(attributes: Mapping[str, Attribute]) -> str:
    """MD5OfMessageAttributes: over names, types and values, each with its length, in the order of names."""
    out = bytearray()
    for name in sorted(attributes):
        attribute, value = attributes[name], attributes[name].value
        for part in (name.encode(), attribute.type.encode()):
            out += _LENGTH(len(part)) + part
        out += (b"\x01" if attribute.text is not None else b"\x02") + _LENGTH(len(value)) + value
    return md5(out, usedforsecurity=False).hexdigest()


def chosen(attributes: Mapping[str, Attribute], names: Iterable[str]) -> dict[str, Attribute]:
    """Those that MessageAttributeNames asks for: by name, by ``prefix.*``, or all of them."""
    wanted = set(names)
    if not wanted or not attributes:
        return {}
    if not wanted.isdisjoint(("All", "*", ".*")):
        return dict(attributes)
    prefixes = tuple(each[:-2] for each in wanted if each.endswith(".*"))
    return {n: a for n, a in attributes.items() if n in wanted or (prefixes and n.startswith(prefixes))}


def sequence(id: int) -> str:
    """SequenceNumber: twenty digits that rise, with gaps, as AWS's do."""
    return f"{18_850_000_000_000_000_000 + id * 256:020d}"
