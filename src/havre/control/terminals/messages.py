"""What passes between server and node about one session: four bytes of length (big endian), then MessagePack of an array."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from havre.kernel.errors import Temporary

SOCKET = "terminals.sock"
"""Below the state directory: where a server waits for nodes to dial in."""
OPEN = "terminal"
"""What a node is asked, by the link that all of its work comes over: run this, and dial in."""
MAX_FRAME = 1 << 20


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Of either side."""


class Hello(Message, frozen=True, tag=1):
    """The node's first word; ``token`` is what nodes know."""

    session: str
    token: str


class Input(Message, frozen=True, tag=2):
    data: bytes


class Resize(Message, frozen=True, tag=3):
    columns: int
    rows: int


class Output(Message, frozen=True, tag=4):
    data: bytes


class Ended(Message, frozen=True, tag=5):
    """``reason``: why the command could not be started, "" when it was."""

    code: int
    reason: str = ""


AnyMessage = Hello | Input | Resize | Output | Ended


class Wire:
    """One end of a session's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(AnyMessage).decode

    async def send(self, message: AnyMessage) -> None:
        """Returns when there is room for more. Raises Temporary when the other end has gone."""
        if self._writer.is_closing():
            raise Temporary("the other end has gone")
        body = self._encode(message)
        try:
            self._writer.write(len(body).to_bytes(4, "big") + body)
            await self._writer.drain()
        except OSError as error:
            raise Temporary(f"the other end has gone: {error}") from None

    async def receive(self) -> AnyMessage | None:
        """None at the end, and for what is not of this protocol."""
        with suppress(OSError, asyncio.IncompleteReadError, msgspec.DecodeError):
            size = int.from_bytes(await self._reader.readexactly(4), "big")
            if size <= MAX_FRAME:
                found: AnyMessage = self._decode(await self._reader.readexactly(size))
                return found
        return None

    def close(self) -> None:
        self._writer.close()


class Question(msgspec.Struct, frozen=True):
    """What a node is asked to do."""

    session: str
    workload: str
    container: str
    command: tuple[str, ...]
    columns: int
    rows: int
