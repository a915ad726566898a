"""One open session: the client's messages to its command, what that writes to the client, and the end."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec

from havre.control.tasks import Tasks
from havre.control.terminals.hub import TerminalHub
from havre.control.terminals.messages import Ended, Input, Output, Question, Resize, Wire
from havre.control.terminals.sessions import Session
from havre.control.terminals.transcripts import Recorder
from havre.core.data_channel import messages as m
from havre.core.data_channel.reliable import Incoming, Outgoing, whole_characters
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.world import World

log = logging.getLogger("havre.terminals")

AGENT_VERSION = "3.1.1732.0"
"""Of the agent whose protocol this is: clients look at it for what they may send."""
IDLE = 20 * 60.0
"""Seconds without a byte in either direction after which AWS ends a session."""
TIMED_OUT = "Your session timed out due to inactivity."
_STUCK = 5 * 60.0
_HANDSHAKE, _SIZE = 1.5, 1.0
"""Seconds that a client has for the handshake (old ones know none), and then to say how large its terminal is."""
_USUAL = (300, 60)
"""Columns and rows of a terminal whose client does not say, as the agent has it."""
_PIECE = 1024
"""Bytes of output in a message, as the agent sends it."""
_TICK = 0.1
_LAST = 5.0
"""Seconds in which a client may take what is left when its command has ended."""
_MOST_TYPED = 256 << 10
"""Bytes that wait for a command that does not read; what comes then is not acknowledged, and so comes again."""
_GONE = "\0"

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
"""ASGI's, of a WebSocket that was accepted. ``send`` raises ConnectionError when the client has gone."""


class Conversation:
    def __init__(self, session: Session, receive: Receive, send: Send, world: World) -> None:
        self._session = session
        self._receive = receive
        self._send = send
        self._world = world
        self._clock = asyncio.get_running_loop().time
        self._outgoing = Outgoing()
        self._incoming = Incoming()
        self._typed: asyncio.Queue[Input | Resize] = asyncio.Queue()
        self._typed_size = 0
        self._size: tuple[int, int] | None = None
        self._known, self._sized, self._moved = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Why the session ends: what the client is shown."""
        self._active = self._began = self._clock()
        self._tasks = Tasks()

    async def run(self, hub: TerminalHub, recorder: Recorder | None, over: Callable[[], None]) -> None:
        """To the session's end. ``over`` is called before the client hears of it: another may be opened at once."""
        self._tasks.spawn(self._hear(), "a client's messages")
        self._tasks.spawn(self._tick(), "a session's clock")
        wire: Wire | None = None
        try:
            wire = await self._begin(hub)
            if wire is not None:
                self._tasks.spawn(self._type(wire), "a session's input")
                self._tasks.spawn(self._show(wire, recorder), "a session's output")
            reason = await self._over
            over()
            if reason != _GONE:
                await self._close(reason)
        finally:
            if wire is not None:
                hub.end(wire)
            await self._tasks.close(1.0)
            if recorder is not None:
                await recorder.end()

    def _end(self, reason: str) -> None:
        if not self._over.done():
            self._over.set_result(reason)
        for event in (self._known, self._sized, self._moved):
            event.set()

    # --- the beginning

    async def _begin(self, hub: TerminalHub) -> Wire | None:
        """The command, once the client is ready for it. None when the session is over before."""
        await self._stream(m.HANDSHAKE_REQUEST, m.handshake_request(AGENT_VERSION))
        await _within(self._known, _HANDSHAKE)
        await _within(self._sized, _SIZE)
        if self._over.done():
            return None
        session, size = self._session, self._size or _USUAL
        self._size = size
        asked = Question(session.id, session.workload, session.container, session.command, *size)
        try:
            return await hub.run(session.node, asked)
        except (Permanent, Temporary) as error:
            self._end(_failed(str(error)))
            return None

    # --- the client's messages

    async def _hear(self) -> None:
        while (message := await self._receive())["type"] == "websocket.receive":
            data = message.get("bytes")
            if data is None:
                continue
            try:
                await self._take(m.unpack(data))
            except m.Malformed as error:
                log.info("session %s: %s", self._session.id, error)
                break
        self._end(_GONE)

    async def _take(self, message: m.Message) -> None:
        if message.kind == m.ACKNOWLEDGE:
            number = m.read_acknowledged(message.payload)
            if number is not None:
                self._outgoing.acknowledged(number, self._clock())
                self._moved.set()
        elif message.kind == m.INPUT:
            acknowledge, found = self._incoming.take(message, room=self._typed_size < _MOST_TYPED)
            if acknowledge:
                await self._acknowledge(message)
            for each in found:
                if each.payload_type == m.HANDSHAKE_RESPONSE:
                    await self._stream(m.HANDSHAKE_COMPLETE, m.handshake_complete(self._clock() - self._began))
                self._use(each)

    async def _acknowledge(self, message: m.Message) -> None:
        told = m.Acknowledged(message.kind, m.uuid_text(message.id), message.number)
        await self._put(self._packed(m.ACKNOWLEDGE, 0, 0, msgspec.json.encode(told)))

    def _use(self, message: m.Message) -> None:
        match message.payload_type:
            case m.HANDSHAKE_RESPONSE:
                self._known.set()
            case m.SIZE:
                self._resize(message.payload)
                self._known.set()  # one that knows the handshake says so first
            case m.DATA:
                self._active = self._clock()
                self._typed_size += len(message.payload)
                self._typed.put_nowait(Input(message.payload))
            case m.FLAG if int.from_bytes(message.payload, "big") == m.TERMINATE:
                self._end("")

    def _resize(self, payload: bytes) -> None:
        size = m.read_size(payload)
        if size is None:
            return
        if self._size is not None and size != self._size:
            self._typed.put_nowait(Resize(*size))
        self._size = size
        self._sized.set()

    async def _type(self, wire: Wire) -> None:
        with suppress(Temporary):
            while True:
                message = await self._typed.get()
                await wire.send(message)
                if isinstance(message, Input):
                    self._typed_size -= len(message.data)

    # --- what the command writes

    async def _show(self, wire: Wire, recorder: Recorder | None) -> None:
        rest = b""
        while (message := await wire.receive()) is not None:
            if isinstance(message, Ended):
                await self._pieces(rest)
                self._end(_failed(message.reason) if message.reason else "")
                return
            if isinstance(message, Output):
                if recorder is not None:
                    await recorder.write(message.data)
                data = rest + message.data
                cut = whole_characters(data)
                rest = data[cut:]
                await self._pieces(data[:cut])
        self._end("The node that ran the command has gone.")

    async def _pieces(self, data: bytes) -> None:
        while data:
            cut = whole_characters(data[:_PIECE]) or _PIECE
            while not self._outgoing.room:
                self._moved.clear()
                await self._moved.wait()
                if self._over.done():
                    return
            await self._stream(m.DATA, data[:cut])
            self._active = self._clock()
            data = data[cut:]

    async def _stream(self, payload_type: int, payload: bytes) -> None:
        number = self._outgoing.number
        packed = self._packed(m.OUTPUT, number, payload_type, payload)
        self._outgoing.sent(packed, self._clock())
        await self._put(packed)

    async def _put(self, packed: bytes) -> None:
        try:
            await self._send({"type": "websocket.send", "bytes": packed})
        except ConnectionError:
            self._end(_GONE)

    def _packed(self, kind: str, number: int, payload_type: int, payload: bytes) -> bytes:
        return m.pack(m.Message(kind, number, payload, payload_type, _id(), self._world.now(), int(number == 0)))

    # --- time, and the end

    async def _tick(self) -> None:
        while not self._over.done():
            await asyncio.sleep(_TICK)
            now = self._clock()
            if (packed := self._outgoing.due(now)) is not None:
                await self._put(packed)
            stuck = self._outgoing.stuck_since
            if now - self._active > IDLE or (stuck is not None and now - stuck > _STUCK):
                self._end(TIMED_OUT)

    async def _close(self, reason: str) -> None:
        """The client first gets what there is: with this message it ends at once."""
        self._tasks.spawn(self._resend(), "a session's last words")
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST):
                while not self._outgoing.settled:
                    self._moved.clear()
                    await self._moved.wait()
        id, now = _id(), self._world.now()
        payload = m.closed(self._session.id, self._session.target, id, now, reason)
        await self._put(m.pack(m.Message(m.CLOSED, 0, payload, 0, id, now)))
        with suppress(ConnectionError):
            await self._send({"type": "websocket.close", "code": 1000})

    async def _resend(self) -> None:
        while not self._outgoing.settled:
            await asyncio.sleep(_TICK)
            if (packed := self._outgoing.due(self._clock())) is not None:
                await self._put(packed)


async def _within(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _failed(words: str) -> str:
    return f"----------ERROR-------\nUnable to start command: Failed to start pty: {words}"


def _id() -> bytes:
    """Unique on this connection is enough."""
    return os.urandom(16)
