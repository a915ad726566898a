"""Messages of a data channel: a header of 116 bytes, the length of what follows, and a payload (numbers are big-endian).

| bytes | what |
| --- | --- |
| 0 | length of the header without the payload's length: 116 |
| 4 | type of the message, 32 characters |
| 36 | version of the schema: 1 |
| 40 | when it was made, milliseconds since the epoch |
| 48 | sequence number |
| 56 | flags: 1 the first of a stream, 2 the last |
| 64 | id, a UUID with its halves swapped |
| 80 | SHA-256 of the payload |
| 112 | type of the payload |
| 116 | length of the payload |
"""

from __future__ import annotations

import struct
from hashlib import sha256

import msgspec

INPUT, OUTPUT, ACKNOWLEDGE, CLOSED = "input_stream_data", "output_stream_data", "acknowledge", "channel_closed"

DATA, SIZE = 1, 3
HANDSHAKE_REQUEST, HANDSHAKE_RESPONSE, HANDSHAKE_COMPLETE = 5, 6, 7
FLAG = 10
TERMINATE = 2
"""Payload of a flag: the client ends the session."""

_HEADER = 116
_FORMAT = struct.Struct(">I32sIQqQ16s32sII")
MOST = 64 << 10
"""Bytes of one message of a client."""


class Malformed(ValueError):
    """Not a message of a data channel."""


class Message(msgspec.Struct, frozen=True):
    """``id`` is a UUID's 16 bytes, ``created`` in seconds since the epoch."""

    kind: str
    number: int
    payload: bytes
    payload_type: int = 0
    id: bytes = bytes(16)
    created: float = 0.0
    flags: int = 0


def pack(message: Message) -> bytes:
    payload = message.payload
    head = _FORMAT.pack(
        _HEADER,
        message.kind.encode().ljust(32),
        1,
        int(message.created * 1000),
        message.number,
        message.flags,
        message.id[8:] + message.id[:8],
        sha256(payload).digest(),
        message.payload_type,
        len(payload),
    )
    return head + payload


def unpack(data: bytes) -> Message:
    """The digest is not looked at, as Amazon's agent does not: the connection looks after bytes. Raises Malformed."""
    if not _FORMAT.size <= len(data) <= MOST:
        raise Malformed(f"a message of {len(data)} bytes")
    header, kind, _, created, number, flags, id, _, payload_type, length = _FORMAT.unpack_from(data)
    if header != _HEADER or length != len(data) - _FORMAT.size:
        raise Malformed("the header does not fit the message")
    try:
        name = kind.decode("ascii").strip(" \0")
    except UnicodeDecodeError:
        raise Malformed("the message's type is not a word") from None
    return Message(name, number, data[_FORMAT.size :], payload_type, id[8:] + id[:8], created / 1000, flags)


def uuid_text(id: bytes) -> str:
    text = id.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


# --- payloads


class Opening(msgspec.Struct, frozen=True):
    """The client's first word, as JSON in a text message."""

    TokenValue: str
    MessageSchemaVersion: str = "1.0"
    RequestId: str = ""
    ClientId: str = ""
    ClientVersion: str = ""


class Acknowledged(msgspec.Struct, frozen=True):
    AcknowledgedMessageType: str
    AcknowledgedMessageId: str
    AcknowledgedMessageSequenceNumber: int
    IsSequentialMessage: bool = True


class Size(msgspec.Struct, frozen=True):
    cols: int
    rows: int


def read_size(payload: bytes) -> tuple[int, int] | None:
    """Columns and rows; None for what is no size of a terminal."""
    try:
        found = msgspec.json.decode(payload, type=Size)
    except msgspec.DecodeError:
        return None
    return (found.cols, found.rows) if 0 < found.cols < 65536 and 0 < found.rows < 65536 else None


def read_acknowledged(payload: bytes) -> int | None:
    """The sequence number; None for what is no acknowledgement."""
    try:
        return msgspec.json.decode(payload, type=Acknowledged).AcknowledgedMessageSequenceNumber
    except msgspec.DecodeError:
        return None


def handshake_request(version: str) -> bytes:
    """Says which kind of session this is: ``AmazonECS-ExecuteInteractiveCommand`` has interactive commands."""
    kind = {"SessionType": "InteractiveCommands", "Properties": None}
    actions = [{"ActionType": "SessionType", "ActionParameters": kind}]
    return msgspec.json.encode({"AgentVersion": version, "RequestedClientActions": actions})


def handshake_complete(seconds: float) -> bytes:
    return msgspec.json.encode({"HandshakeTimeToComplete": int(seconds * 1e9), "CustomerMessage": ""})


def closed(session: str, target: str, id: bytes, created: float, reason: str) -> bytes:
    """The payload of ``channel_closed``; clients show ``reason``."""
    told = {
        "MessageType": CLOSED,
        "MessageId": uuid_text(id),
        "DestinationId": target,
        "SessionId": session,
        "SchemaVersion": 1,
        "CreatedDate": str(int(created * 1000)),
        "Output": reason,
    }
    return msgspec.json.encode(told)
