"""The forward protocol (MessagePack over a stream) of Docker's ``fluentd`` log driver: reading messages.

The driver sends ``[tag, time, record, option]``, one message a line. A line longer than 16 KiB comes in pieces, marked
``partial_message`` with an id and ``partial_last``. Messages have no length in front, so this walks through them by hand;
that is the path of every line that a container writes, and is written for speed.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

MAX_MESSAGE = 1 << 20
"""Docker splits at 16 KiB; a message larger than this is not Docker's."""

_PAIR = struct.Struct(">II")


class Malformed(Exception):
    """The stream is not what Docker sends; the connection is of no more use."""


class Short(Exception):
    """The message is not complete yet."""


class Message(NamedTuple):
    """``at`` in milliseconds since the epoch."""

    tag: str
    at: int
    record: dict[bytes, bytes]


def _text(data: bytes, at: int) -> tuple[bytes, int]:
    """The string or binary at this place, and where it ends."""
    head = data[at]
    if 0xA0 <= head <= 0xBF:
        start, size = at + 1, head & 0x1F
    elif head in (0xD9, 0xC4):
        start, size = at + 2, data[at + 1]
    elif head in (0xDA, 0xC5):
        start, size = at + 3, data[at + 1] << 8 | data[at + 2]
    elif head in (0xDB, 0xC6):
        start, size = at + 5, int.from_bytes(data[at + 1 : at + 5], "big")
        if size > MAX_MESSAGE:
            raise Malformed(f"a string of {size} bytes")
    else:
        raise Malformed(f"type {head:#x} where a string should be")
    end = start + size
    if end > len(data):
        raise Short
    return data[start:end], end


def _time(data: bytes, at: int) -> tuple[int, int]:
    """Milliseconds: fluentd's EventTime (ext type 0: seconds, nanoseconds), or a number of seconds."""
    head = data[at]
    if head == 0xD7:
        if at + 10 > len(data):
            raise Short
        seconds, nanoseconds = _PAIR.unpack_from(data, at + 2)
        return seconds * 1000 + nanoseconds // 1_000_000, at + 10
    widths = {0xCE: 4, 0xCF: 8, 0xD2: 4, 0xD3: 8}
    if head not in widths:
        raise Malformed(f"type {head:#x} where a time should be")
    end = at + 1 + widths[head]
    if end > len(data):
        raise Short
    return int.from_bytes(data[at + 1 : end], "big") * 1000, end


def _map(data: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    head = data[at]
    if 0x80 <= head <= 0x8F:
        count, at = head & 0x0F, at + 1
    elif head == 0xDE:
        count, at = data[at + 1] << 8 | data[at + 2], at + 3
    elif head == 0xC0:
        return {}, at + 1
    else:
        raise Malformed(f"type {head:#x} where a map should be")
    found: dict[bytes, bytes] = {}
    for _ in range(count):
        key, at = _text(data, at)
        head = data[at]
        if head < 0x80 or head in (0xC0, 0xC2, 0xC3):
            at += 1
            continue
        found[key], at = _text(data, at)
    return found, at


def read(data: bytes, at: int) -> tuple[Message, int]:
    """The message at this place and where it ends. Raises Short when it is not all there, Malformed."""
    try:
        head = data[at]
        if head not in (0x93, 0x94):
            raise Malformed(f"type {head:#x} where a message should be")
        tag, place = _text(data, at + 1)
        moment, place = _time(data, place)
        record, place = _map(data, place)
        if head == 0x94:
            _, place = _map(data, place)
    except IndexError:
        raise Short from None
    return Message(tag.decode("utf-8", "replace"), moment, record), place


class Lines:
    """Joins the pieces of long lines of one container's stream. Lines come out without their newline."""

    def __init__(self, limit: int = 256 * 1024) -> None:
        self._parts: dict[bytes, bytearray] = {}
        self._limit = limit

    def add(self, message: Message) -> bytes | None:
        """The whole line, or None while pieces are missing. Past ``limit`` bytes (an event's size in CloudWatch Logs) a
        line is given out in pieces of that size, as the awslogs driver does."""
        record = message.record
        text = record.get(b"log", b"")
        if b"partial_message" not in record:
            return text
        id = record.get(b"partial_id", b"") + record.get(b"source", b"")
        joined = self._parts.setdefault(id, bytearray())
        joined += text
        if record.get(b"partial_last") == b"true" or len(joined) >= self._limit:
            del self._parts[id]
            return bytes(joined)
        return None
