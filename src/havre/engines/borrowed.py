"""What goes between the server and the process beside it that runs the borrowed services: frames over a Unix socket.

A frame is its length and that of its body (8 bytes each, big-endian), a head in MessagePack, and the body as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

LENGTHS = 16
LARGEST_HEAD = 512 << 20
LARGEST_BODY = 1 << 30


class Asked(msgspec.Struct, frozen=True, array_like=True, tag="asked"):
    """An HTTP request of a client: ``path`` and ``query`` raw, the bucket of S3 always in the path; ``changes`` is whether
    it has to be written down. The body is the frame's."""

    number: int
    service: str
    operation: str
    account: str
    region: str
    changes: bool
    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    caller: tuple[str, ...] = ("", "", "")
    """Principal id, source address and request id, as notifications tell them."""


class Called(msgspec.Struct, frozen=True, array_like=True, tag="called"):
    """An operation with its members, from inside Havre. Timestamps are seconds, blobs bytes."""

    number: int
    service: str
    operation: str
    account: str
    region: str
    changes: bool
    request: dict[str, Any]
    caller: tuple[str, ...] = ("", "", "")


class Delivered(msgspec.Struct, frozen=True, array_like=True, tag="delivered"):
    """The notification of this number has arrived: it may be forgotten."""

    number: int


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """A part of a large body, where it lies on the disk: nobody carries it through the socket."""

    path: str
    offset: int
    length: int


class Told(msgspec.Struct, frozen=True, array_like=True, tag="told"):
    """The answer to Asked; the body is the frame's, or what lies in ``pieces``."""

    number: int
    status: int
    headers: Sequence[tuple[str, str]]
    pieces: Sequence[Piece] = ()


class Answered(msgspec.Struct, frozen=True, array_like=True, tag="answered"):
    """The answer to Called: members, or an error with its ``code``."""

    number: int
    answer: dict[str, Any]
    code: str = ""
    message: str = ""
    status: int = 0


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="refused"):
    """Nothing was done: the request could not be written down. ``reason`` is for the log."""

    number: int
    reason: str


class Deliver(msgspec.Struct, frozen=True, array_like=True, tag="deliver"):
    """A notification of S3 for ``target`` (an ARN; "" is EventBridge's default bus), until it is told to be Delivered. The
    body is the event, JSON. ``trace`` is the trace header of the request that made the change."""

    number: int
    account: str
    region: str
    bucket: str
    target: str
    at: float
    trace: str = ""


Frame = Asked | Called | Delivered | Told | Answered | Refused | Deliver
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Frame).decode


def pack(frame: Frame, body: bytes = b"") -> bytes:
    """The frame without its body, which is written behind it."""
    head = _encode(frame)
    return len(head).to_bytes(8, "big") + len(body).to_bytes(8, "big") + head


async def read(reader: asyncio.StreamReader) -> tuple[Frame, bytes]:
    """The next frame and its body. Raises EOFError (IncompleteReadError) when the other side has gone."""
    lengths = await reader.readexactly(LENGTHS)
    head, body = int.from_bytes(lengths[:8], "big"), int.from_bytes(lengths[8:], "big")
    if head > LARGEST_HEAD or body > LARGEST_BODY:
        raise EOFError(f"a frame of {head} and {body} bytes")
    frame = _decode(await reader.readexactly(head))
    return frame, await reader.readexactly(body) if body else b""
