"""``havre ecs exec``: a session of ExecuteCommand without session-manager-plugin."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import ssl
import sys
import termios
import threading
import tty
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

import msgspec
from botocore.exceptions import ClientError

from havre.core.data_channel import messages as m
from havre.core.data_channel.reliable import Incoming, Outgoing

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from havre.cli.aws import Clients

_PIECE = 1024
_TICK = 0.1
_USUAL = (80, 24)
_END_OF_INPUT, _KILL_LINE = b"\x04", b"\x15"
"""What a terminal reads as its end is typed where standard input is none and has ended. A shell that has not begun to read,
or is in the middle of something, takes it for a character of its line: so it comes in quiet moments, and again."""
_QUIET, _AGAIN = 0.2, 1.0


def execute(clients: Clients, cluster: str, task: str, container: str, command: Sequence[str]) -> int:
    """The exit code: 1 when the session ended for a reason other than that the command did. Raises ValueError."""
    named = {"container": container} if container else {}
    words = shlex.join(command) if len(command) != 1 else command[0]
    try:
        answer = clients("ecs").execute_command(cluster=cluster, task=task, command=words, interactive=True, **named)
    except ClientError as error:
        raise ValueError(error.response["Error"]["Message"]) from None
    return asyncio.run(talk(answer["session"], sys.stdin, sys.stdout, clients.authority))


async def talk(session: Mapping[str, str], typed: TextIO, shown: TextIO, authority: str = "") -> int:
    """``authority``: the certificates that an endpoint with TLS is known by."""
    from websockets.asyncio.client import connect

    secure: dict[str, Any] = {}
    if session["streamUrl"].startswith("wss:"):
        secure = {"ssl": ssl.create_default_context(cafile=authority or None)}
    async with connect(session["streamUrl"], compression=None, max_size=None, **secure) as socket:
        with _raw(typed):
            reason = await _Client(socket, typed, shown).run(session["tokenValue"])
    if reason:
        print(reason, file=sys.stderr)
    return 1 if reason else 0


@contextmanager
def _raw(terminal: TextIO) -> Iterator[None]:
    """Every key goes to the container's terminal, Ctrl-C too."""
    if not terminal.isatty():
        yield
        return
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


class _Client:
    def __init__(self, socket: ClientConnection, typed: TextIO, shown: TextIO) -> None:
        self._socket = socket
        self._typed = typed
        self._shown = shown
        self._loop = asyncio.get_running_loop()
        self._outgoing = Outgoing()
        self._incoming = Incoming()
        self._room = asyncio.Event()
        self._ready, self._begun = asyncio.Event(), asyncio.Event()
        self._written = 0.0
        self._reason = "the connection was lost"

    async def run(self, token: str) -> str:
        """Why the session ended; "" when the command did."""
        opening = m.Opening(token, RequestId=str(uuid.uuid4()), ClientId=str(uuid.uuid4()), ClientVersion="1.2.0.0")  # noqa: TID251
        await self._socket.send(msgspec.json.encode(opening).decode())
        resized = asyncio.Event()
        with suppress(ValueError):  # not in the main thread
            self._loop.add_signal_handler(signal.SIGWINCH, resized.set)
        tasks = [
            self._loop.create_task(work) for work in (self._hear(), self._type(), self._resize(resized), self._tick())
        ]
        try:
            await tasks[0]
        finally:
            with suppress(ValueError):
                self._loop.remove_signal_handler(signal.SIGWINCH)
            for task in tasks:
                task.cancel()
        return self._reason

    # --- what comes

    async def _hear(self) -> None:
        async for data in self._socket:
            if isinstance(data, bytes):
                message = m.unpack(data)
                if message.kind == m.CLOSED:
                    self._reason = str(json.loads(message.payload)["Output"])
                    return
                await self._take(message)

    async def _take(self, message: m.Message) -> None:
        if message.kind == m.ACKNOWLEDGE:
            number = m.read_acknowledged(message.payload)
            if number is not None:
                self._outgoing.acknowledged(number, self._loop.time())
                self._room.set()
        elif message.kind == m.OUTPUT:
            acknowledge, found = self._incoming.take(message)
            for each in found:
                await self._use(each)
            if acknowledge:
                told = m.Acknowledged(message.kind, m.uuid_text(message.id), message.number)
                await self._socket.send(self._packed(m.ACKNOWLEDGE, 0, 0, msgspec.json.encode(told)))

    async def _use(self, message: m.Message) -> None:
        if message.payload_type == m.HANDSHAKE_REQUEST:
            asked = json.loads(message.payload)["RequestedClientActions"]
            done = [
                {"ActionType": a["ActionType"], "ActionStatus": 1, "ActionResult": None, "Error": ""} for a in asked
            ]
            answer = {"ClientVersion": "1.2.0.0", "ProcessedClientActions": done, "Errors": None}
            await self._send(m.HANDSHAKE_RESPONSE, msgspec.json.encode(answer))
            self._ready.set()
        elif message.payload_type == m.DATA:
            self._written = self._loop.time()
            self._begun.set()
            self._shown.buffer.write(message.payload)
            self._shown.buffer.flush()

    # --- what goes

    async def _type(self) -> None:
        await self._ready.wait()
        typed: asyncio.Queue[bytes] = asyncio.Queue(1)
        # files and terminals block: who reads them is not waited for at the end
        threading.Thread(target=_read, args=(self._typed.fileno(), typed, self._loop), daemon=True).start()
        if not self._typed.isatty():
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN):
                    await self._begun.wait()
        while data := await typed.get():
            await self._send(m.DATA, data)
        end = _END_OF_INPUT
        while not self._typed.isatty():
            while self._loop.time() - self._written < _QUIET:  # noqa: ASYNC110 (quiet is no event)
                await asyncio.sleep(_QUIET / 2)
            await self._send(m.DATA, end)
            end = _KILL_LINE + _END_OF_INPUT
            await asyncio.sleep(_AGAIN)

    async def _resize(self, resized: asyncio.Event) -> None:
        await self._ready.wait()
        while True:
            try:
                size = tuple(os.get_terminal_size(self._shown.fileno()))
            except OSError:
                size = _USUAL
            columns, rows = size
            await self._send(m.SIZE, msgspec.json.encode(m.Size(columns or _USUAL[0], rows or _USUAL[1])))
            await resized.wait()
            resized.clear()

    async def _send(self, payload_type: int, payload: bytes) -> None:
        while not self._outgoing.room:
            self._room.clear()
            await self._room.wait()
        packed = self._packed(m.INPUT, self._outgoing.number, payload_type, payload)
        self._outgoing.sent(packed, self._loop.time())
        await self._socket.send(packed)

    def _packed(self, kind: str, number: int, payload_type: int, payload: bytes) -> bytes:
        return m.pack(m.Message(kind, number, payload, payload_type, os.urandom(16), _now()))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            if (packed := self._outgoing.due(self._loop.time())) is not None:
                await self._socket.send(packed)


def _read(file: int, typed: asyncio.Queue[bytes], loop: asyncio.AbstractEventLoop) -> None:
    """b"" at the end. In a thread."""
    with suppress(RuntimeError, OSError, CancelledError):  # the session is over
        while True:
            data = os.read(file, _PIECE)
            asyncio.run_coroutine_threadsafe(typed.put(data), loop).result()
            if not data:
                return


def _now() -> float:
    import time

    return time.time()  # noqa: TID251
