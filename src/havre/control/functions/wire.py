"""One end of the connection between server and node: frames in, frames out, no task and no timer for any of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from havre.control.functions.messages import MAX_FRAME, AnyMessage, Message, Ping

log = logging.getLogger("havre.functions")

_HEAD = 4
_LARGE = 64 << 10
"""From this size on a frame is not put together with its head: copying costs more than a second write."""
HEARTBEAT = 10.0
SILENCE = 35.0


class Frames(asyncio.Protocol):
    """``on_message`` is called for each message, ``on_lost`` once. uvloop gathers what one turn of the loop writes."""

    def __init__(self, on_message: Callable[[AnyMessage], None], on_lost: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._transport: Any = None
        self._buffer = bytearray()
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode: Callable[[bytes | memoryview], AnyMessage] = msgspec.msgpack.Decoder(AnyMessage).decode
        self._time: Callable[[], float] = lambda: 0.0
        self._heard = 0.0
        self._beat: asyncio.TimerHandle | None = None

    # --- asyncio's
    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=4 << 20)
        loop = asyncio.get_running_loop()
        self._time = loop.time
        self._heard = loop.time()
        self._beat = loop.call_later(HEARTBEAT, self._keep_alive, loop)

    def connection_lost(self, error: Exception | None) -> None:
        if self._beat is not None:
            self._beat.cancel()
        self._transport = None
        self._on_lost()

    def data_received(self, data: bytes) -> None:
        self._heard = self._time()
        if self._buffer:
            self._buffer += data
            used = self._read(memoryview(self._buffer))
            del self._buffer[:used]
            return
        used = self._read(memoryview(data))
        if used < len(data):
            self._buffer += data[used:]

    def _read(self, view: memoryview) -> int:
        """Handles the whole frames; how many bytes they were."""
        at, end = 0, len(view)
        with view:
            while end - at >= _HEAD:
                size = int.from_bytes(view[at : at + _HEAD], "big")
                if size > MAX_FRAME:
                    self._fail(f"a frame of {size} bytes")
                    return end
                if end - at - _HEAD < size:
                    break
                at += _HEAD
                try:
                    message = self._decode(view[at : at + size])
                except msgspec.DecodeError as error:
                    self._fail(str(error))
                    return end
                at += size
                self._on_message(message)
        return at

    def _fail(self, why: str) -> None:
        log.error("the other end of the functions' link does not speak its language: %s", why)
        self.close()

    # --- for its owner
    def send(self, message: Message) -> None:
        """Of a connection that was lost: nothing. Its loss was told."""
        if self._transport is None:
            return
        body = self._encode(message)
        size = len(body)
        if size < _LARGE:
            self._transport.write(size.to_bytes(_HEAD, "big") + body)
        else:
            self._transport.write(size.to_bytes(_HEAD, "big"))
            self._transport.write(body)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    @property
    def open(self) -> bool:
        return self._transport is not None

    def _keep_alive(self, loop: asyncio.AbstractEventLoop) -> None:
        """Says that this end lives, and ends a connection whose other end has said nothing for long."""
        if self._transport is None:
            return
        if loop.time() - self._heard > SILENCE:
            log.warning("the other end of the functions' link is silent: it is closed")
            self._transport.abort()
            return
        self.send(Ping())
        self._beat = loop.call_later(HEARTBEAT, self._keep_alive, loop)
