"""``application/vnd.amazon.eventstream``: framed, checksummed messages, and answers that are streams of events."""

from __future__ import annotations

import struct
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from havre.kernel.errors import ApiError
from havre.wire.cbor import CborWriter
from havre.wire.convert import Outward
from havre.wire.http import HttpResponse
from havre.wire.models import OperationModel
from havre.wire.shapes import Shape
from havre.wire.xmlout import XmlWriter

CONTENT_TYPE = "application/vnd.amazon.eventstream"
Value = str | bytes | bool | int
Payload = Callable[[Shape, Mapping[str, Any]], bytes]
_LARGEST = 16 * 1024 * 1024
_FIXED = {
    0: (0, True),
    1: (0, False),
    2: (1, None),
    3: (2, None),
    4: (4, None),
    5: (8, None),
    8: (8, None),
    9: (16, None),
}


class FrameError(ValueError):
    """Bytes that are no whole, intact message."""


class Timestamp(int):
    """Milliseconds since the epoch, as a header's value."""


def encode_message(headers: Mapping[str, Value], payload: bytes = b"") -> bytes:
    """One message. Header values: str, bytes, bool, Timestamp or int (64 bits)."""
    packed = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    checked = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed + payload
    return checked + struct.pack(">I", zlib.crc32(checked))


def _header(name: str, value: Value) -> bytes:
    key = name.encode()
    start = bytes((len(key),)) + key
    if isinstance(value, bool):
        return start + (b"\x00" if value else b"\x01")
    if isinstance(value, Timestamp):
        return start + struct.pack(">Bq", 8, value)
    if isinstance(value, int):
        return start + struct.pack(">Bq", 5, value)
    data = value.encode() if isinstance(value, str) else value
    return start + struct.pack(">BH", 7 if isinstance(value, str) else 6, len(data)) + data


def decode_message(data: bytes) -> tuple[dict[str, Value], bytes, int]:
    """Headers, payload and length of the first message of ``data``. Raises FrameError; EOFError when it is not all there."""
    if len(data) < 12:
        raise EOFError
    total, length, prelude = struct.unpack_from(">III", data)
    if zlib.crc32(data[:8]) != prelude or not 16 + length <= total <= _LARGEST:
        raise FrameError("the prelude is damaged")
    if len(data) < total:
        raise EOFError
    if zlib.crc32(data[: total - 4]) != struct.unpack_from(">I", data, total - 4)[0]:
        raise FrameError("the message is damaged")
    try:
        return _headers(data[12 : 12 + length]), data[12 + length : total - 4], total
    except (struct.error, IndexError, UnicodeDecodeError):
        raise FrameError("the headers are malformed") from None


def _headers(data: bytes) -> dict[str, Value]:
    headers: dict[str, Value] = {}
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        name, kind = data[at + 1 : end].decode(), data[end]
        at = end + 1
        if kind in (6, 7):
            (size,) = struct.unpack_from(">H", data, at)
            raw = data[at + 2 : at + 2 + size]
            headers[name] = raw.decode() if kind == 7 else raw
            at += 2 + size
            continue
        if kind not in _FIXED:
            raise FrameError(f"header type {kind} is unknown")
        size, known = _FIXED[kind]
        raw = data[at : at + size]
        number = int.from_bytes(raw, "big", signed=True)
        headers[name] = known if known is not None else raw if kind == 9 else Timestamp(number) if kind == 8 else number
        at += size
    return headers


def _json_payload(shape: Shape, value: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(Outward().structure(shape)(value))


def _cbor_payload(shape: Shape, value: Mapping[str, Any]) -> bytes:
    out = bytearray()
    CborWriter().structure(shape)(value, out)
    return bytes(out)


def _xml_payload(shape: Shape, value: Mapping[str, Any]) -> bytes:
    out: list[str] = []
    XmlWriter().element(shape.wire_name or shape.name, shape)(value, out)
    return "".join(out).encode()


_PAYLOADS: dict[str, tuple[str, Payload]] = {
    "json": ("application/json", _json_payload),
    "rest-json": ("application/json", _json_payload),
    "smithy-rpc-v2-cbor": ("application/cbor", _cbor_payload),
    "rest-xml": ("text/xml", _xml_payload),
}


def encode_event(stream: Shape, name: str, value: Mapping[str, Any], protocol: str) -> bytes:
    """One event of a modelled stream: ``name`` is a member of ``stream``, ``value`` its members."""
    shape = stream.members[name]
    kind, render = _PAYLOADS[protocol]
    headers: dict[str, Value] = {":message-type": "event", ":event-type": name}
    if shape.traits.get("exception"):
        headers = {":message-type": "exception", ":exception-type": name}
    rest = {}
    payload: bytes | None = None
    for member, inner in value.items():
        traits = shape.members[member].traits
        if inner is None:
            continue
        if traits.get("eventheader"):
            stamped = shape.members[member].type == "timestamp"
            headers[member] = Timestamp(round(inner * 1000)) if stamped else inner
        elif traits.get("eventpayload"):
            payload, kind = _event_payload(shape.members[member], inner, kind, render)
        else:
            rest[member] = inner
    if payload is None and (rest or any(not m.traits.get("eventheader") for m in shape.members.values())):
        payload = render(shape, rest)
    if payload is not None:
        headers[":content-type"] = kind
    return encode_message(headers, payload or b"")


def _event_payload(shape: Shape, value: Any, kind: str, render: Payload) -> tuple[bytes, str]:
    if shape.type == "blob":
        return bytes(value), "application/octet-stream"
    if shape.type == "string":
        return str(value).encode(), "text/plain"
    return render(shape, value), kind


async def encode_events(
    stream: Shape, events: AsyncIterator[Mapping[str, Mapping[str, Any]]], protocol: str
) -> AsyncGenerator[bytes, None]:
    """Messages of ``events``, each ``{member of the stream: its members}``. An ApiError that the iterator raises becomes
    the stream's last message."""
    try:
        async for event in events:
            for name, value in event.items():
                yield encode_event(stream, name, value, protocol)
    except ApiError as error:
        yield _failure(stream, error, protocol)
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:  # whoever makes them hears at once that nobody listens any more
            await close()


def _failure(stream: Shape, error: ApiError, protocol: str) -> bytes:
    for name, shape in stream.members.items():
        if shape.traits.get("exception") and shape.name == error.code:
            spelled = next((each for each in shape.members if each.lower() == "message"), None)
            fields = {key: value for key, value in error.fields.items() if key in shape.members}
            return encode_event(stream, name, {spelled: error.message, **fields} if spelled else fields, protocol)
    return encode_message({":message-type": "error", ":error-code": error.code, ":error-message": error.message[:2048]})


def stream_rpc(operation: OperationModel, answer: Mapping[str, Any], request_id: str, protocol: str) -> HttpResponse:
    """The answer of an rpc operation whose output holds an event stream: an initial response, then the events."""
    output, member = operation.output, operation.events_output
    assert output is not None
    kind, render = _PAYLOADS[protocol]
    first = {name: value for name, value in answer.items() if name != member}
    headers: dict[str, Value] = {":message-type": "event", ":event-type": "initial-response", ":content-type": kind}
    initial = encode_message(headers, render(output, first))

    async def body() -> AsyncIterator[bytes]:
        yield initial
        async with aclosing(encode_events(output.members[member], answer[member], protocol)) as messages:
            async for message in messages:
                yield message

    sent = [("Content-Type", CONTENT_TYPE), ("x-amzn-RequestId", request_id)]
    if protocol == "smithy-rpc-v2-cbor":
        sent.append(("smithy-protocol", "rpc-v2-cbor"))
    return HttpResponse(200, sent, body())
