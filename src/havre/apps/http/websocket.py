"""A connection that speaks WebSocket: ASGI's messages on one side, bytes on the other. Frames are the library's.

Loaded with the first client that asks for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed, InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from havre.apps.http.exchange import HIGH_WATER, Hangup

if TYPE_CHECKING:
    from havre.apps.http.protocol import Connection

LARGEST = 1 << 20
"""Bytes of a client's message."""
_log = logging.getLogger("havre.http")
_frames = logging.getLogger("havre.http.frames")
_frames.setLevel(logging.WARNING)  # a connection that opens is no news


class WebSocket(asyncio.Protocol):
    """``receive`` and ``send`` of ASGI. ``queue`` and ``idle_since`` are there for the listeners, which close connections
    that have idled: this one does not, and is closed at once when the process ends."""

    queue = ()
    idle_since = float("inf")

    def __init__(self, connection: Connection, scope: dict[str, Any], head: bytes) -> None:
        self.shared = connection.shared
        self.transport = connection.transport
        self._scope = {**scope, "type": "websocket", "scheme": "wss" if connection.secure else "ws", "subprotocols": []}
        self._protocol = ServerProtocol(max_size=LARGEST, logger=_frames)
        self._protocol.receive_data(head)
        found = self._protocol.events_received()
        self._request = found[0] if found and isinstance(found[0], Request) else None
        self._messages: deque[dict[str, Any]] = deque([{"type": "websocket.connect"}])
        self._size = 0
        self._pieces: list[bytes] = []
        self._text = False
        self._full = self._paused = self._gone = self._accepted = False
        self._waiter: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def begin(self, rest: bytes) -> None:
        self.shared.connections.add(self)
        task = asyncio.get_running_loop().create_task(self._run())
        self.shared.tasks.add(task)
        task.add_done_callback(self.shared.tasks.discard)
        if rest:
            self.data_received(rest)

    async def _run(self) -> None:
        try:
            await self.shared.app(self._scope, self.receive, self.send)
        except Hangup:
            pass
        except Exception:
            _log.exception("the application failed on the WebSocket %s", self._scope["path"])
        if not self._gone:
            self._end(1011 if self._accepted else None, "")

    # --- asyncio's

    def connection_lost(self, error: Exception | None) -> None:
        self.shared.connections.discard(self)
        self._hang_up()

    def pause_writing(self) -> None:
        """Who takes nothing says nothing more: pings are answered."""
        self._writable.clear()
        self._flow()

    def resume_writing(self) -> None:
        self._writable.set()
        self._flow()

    def eof_received(self) -> None:
        return None

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            if isinstance(frame, Frame):
                self._take(frame)
        self._flush()
        if self._size > HIGH_WATER:
            self._full = True
            self._flow()

    def _flow(self) -> None:
        wanted = self._full or not self._writable.is_set()
        if wanted == self._paused or self.transport.is_closing():
            return
        self._paused = wanted
        if wanted:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self._hang_up()
            return
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
        self._pieces.append(bytes(frame.data))
        if frame.fin:
            data, self._pieces = b"".join(self._pieces), []
            told: dict[str, Any] = {"type": "websocket.receive"}
            if self._text:
                told["text"] = data.decode(errors="replace")
            else:
                told["bytes"] = data
            self._size += len(data)
            self._messages.append(told)
            self._wake()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self.transport.write(data)
            else:
                self.transport.close()  # once what was written has left

    def _hang_up(self) -> None:
        if not self._gone:
            self._gone = True
            self._writable.set()
            self._messages.append({"type": "websocket.disconnect", "code": self._protocol.close_code or 1006})
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- ASGI's

    async def receive(self) -> dict[str, Any]:
        while not self._messages:
            if self._gone:
                return {"type": "websocket.disconnect", "code": 1006}
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        message = self._messages.popleft()
        self._size -= len(message.get("bytes") or message.get("text") or b"")
        if self._full and self._size < HIGH_WATER // 2:
            self._full = False
            self._flow()
        return message

    async def send(self, message: dict[str, Any]) -> None:
        """Raises Hangup when the client has gone."""
        if self._gone:
            raise Hangup
        match message["type"]:
            case "websocket.accept":
                self._accept()
            case "websocket.close":
                self._end(message.get("code", 1000), message.get("reason", ""))
            case _:
                await self._write(message)

    def _accept(self) -> None:
        if self._request is None:
            self._end(None, "")
            raise Hangup
        response = self._protocol.accept(self._request)
        self._protocol.send_response(response)
        self._accepted = response.status_code == HTTPStatus.SWITCHING_PROTOCOLS
        self._flush()
        if not self._accepted:
            self._hang_up()
            raise Hangup

    async def _write(self, message: dict[str, Any]) -> None:
        try:
            if (data := message.get("bytes")) is not None:
                self._protocol.send_binary(data)
            else:
                self._protocol.send_text(message["text"].encode())
        except (InvalidState, ConnectionClosed):
            raise Hangup from None
        self._flush()
        if not self._writable.is_set():
            await self._writable.wait()

    def _end(self, code: int | None, reason: str) -> None:
        """``code`` None: it was not accepted yet."""
        if not self._accepted:
            self._protocol.send_response(self._protocol.reject(HTTPStatus.FORBIDDEN, ""))
        else:
            try:
                self._protocol.send_close(code or 1000, reason)
            except InvalidState:
                return
        self._flush()
        self._hang_up()
        asyncio.get_running_loop().call_later(5.0, self.transport.close)
