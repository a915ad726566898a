"""One request and its response, by ASGI."""

from __future__ import annotations

import asyncio
import logging
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from havre.apps.http.protocol import Connection

HIGH_WATER = 256 * 1024
"""Bytes of request body that may wait for the application before reading pauses."""
JOINED = 32 * 1024
"""Bytes up to which pieces of a request body are joined; copying more costs more than handing over twice."""
_log = logging.getLogger("havre.http")
_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
_STATUS = {status: line for status, line in _LINES.items() if status >= 200 and status not in (204, 304)}
"""Of answers that have a body."""
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_FRAMING = frozenset(("connection", "content-length", "transfer-encoding"))
BODY, ANSWER = "havre.body", "havre.answer"
"""Where a scope has what applications may use instead of ``receive`` and ``send``."""
_FAILED = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Hangup(ConnectionResetError):
    """The client has gone: a body that goes on would be sent to nobody."""


class Exchange:
    """One request and its response; ``receive`` and ``send`` of ASGI."""

    __slots__ = (
        "chunked", "chunks", "connection", "ended", "expect", "gone", "head", "keep", "left",
        "pending", "responded", "scope", "size", "started", "task", "told", "waiter",
    )  # fmt: skip

    def __init__(self, connection: Connection, scope: dict[str, Any], keep: bool) -> None:
        self.connection = connection
        self.scope = scope
        self.keep = keep
        self.head = scope["method"] == "HEAD"
        self.chunks: list[bytes] = []
        self.size = 0
        self.ended = self.gone = self.started = self.responded = self.chunked = self.told = False
        self.left: int | None = None
        self.pending = b""
        self.waiter: asyncio.Future[None] | None = None
        self.expect = connection.expects
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = self.connection.loop.create_task(self._run())
        self.connection.shared.tasks.add(self.task)

    async def _run(self) -> None:
        scope = self.scope
        scope[BODY], scope[ANSWER] = self.take, self.answer
        try:
            await self._serve()
        finally:  # at once: a callback of the task would be one more turn of the loop
            task, self.task = self.task, None
            self.connection.shared.tasks.discard(task)
            del scope[BODY], scope[ANSWER]  # they hold this object, which holds them: cut the circle

    async def _serve(self) -> None:
        transport = self.connection.transport
        try:
            await self.connection.shared.app(self.scope, self.receive, self.send)
        except Hangup:
            return
        except ConnectionAbortedError as why:  # it cuts its answer off on purpose
            _log.info("%s %s was cut off: %s", self.scope["method"], self.scope["path"], why)
        except Exception:
            _log.exception("the application failed on %s %s", self.scope["method"], self.scope["path"])
        if self.gone:
            return
        if not self.responded:
            # an answer that was begun can only be cut off, so that the client knows
            if not self.started:
                transport.write(_FAILED)
            transport.close()

    # request

    def feed(self, body: bytes) -> None:
        self.chunks.append(body)
        self.size += len(body)
        if self.size > HIGH_WATER:
            self.connection.pause()
        self._wake()

    def feed_end(self) -> None:
        self.ended = True
        self._wake()

    def disconnect(self) -> None:
        self.gone = True
        self._wake()

    def _wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def take(self) -> bytes | None:
        """All of the body, if it has come in one piece already; else None, and ``receive`` gives it."""
        chunks = self.chunks
        if not self.ended or self.gone or self.told or len(chunks) > 1:
            return None
        body, self.chunks = chunks[0] if chunks else b"", []
        self.size, self.told = 0, True
        self.connection.resume()
        return body

    async def receive(self) -> dict[str, Any]:
        while not self.chunks and (not self.ended or self.told) and not self.gone and not self.responded:
            if self.expect and not self.started:
                self.expect = False
                self.connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiter = self.connection.loop.create_future()
            await self.waiter
        if self.gone or (self.ended and not self.chunks and self.responded):
            return {"type": "http.disconnect"}
        chunks = self.chunks
        if len(chunks) == 1 or self.size < JOINED:
            body, self.chunks = chunks[0] if len(chunks) == 1 else b"".join(chunks), []
        else:
            body = chunks.pop(0)
        self.size -= len(body)
        if self.size < HIGH_WATER:
            self.connection.resume()
        self.told = self.ended and not self.chunks  # who asks again wants to hear when the client has gone
        return {"type": "http.request", "body": body, "more_body": not self.told}

    # response

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> bool:
        """An ordinary answer, whole. False for any other, which ``send`` takes. Raises ValueError for a header that would be
        two."""
        line = _STATUS.get(status)
        if line is None or self.head or not self.keep or self.started or self.scope["http_version"] != "1.1":
            return False
        if self.gone:
            return True
        names = [name.lower() for name, _ in headers]
        if not _FRAMING.isdisjoint(names):
            return False
        told = "".join([f"{name}: {value}\r\n" for name, (_, value) in zip(names, headers, strict=True)])
        if told.count("\n") != len(headers) or told.count("\r") != len(headers):
            raise ValueError("a header has a line break in it")
        self.started = True
        head = f"{told}content-length: {len(body)}\r\n\r\n".encode()
        self.connection.transport.write(b"".join((line, self.connection.shared.date, head, body)))
        self._done()
        return True

    async def send(self, message: dict[str, Any]) -> None:
        """Raises Hangup for a further piece of a body that nobody is there to read."""
        if self.gone:
            if message.get("more_body"):
                raise Hangup
            return
        if message["type"] == "http.response.start":
            self._begin(message)
            return
        more = message.get("more_body", False)
        if message["type"] == "http.response.zerocopysend" and not await self._send_file(message):
            return
        self._write(message.get("body", b""), more)
        if not more:
            self._done()
        elif not self.connection.writable.is_set():
            await self.connection.writable.wait()

    def _begin(self, message: dict[str, Any]) -> None:
        """Render the head; it waits for the first piece of the body, so that both leave together."""
        status = message["status"]
        if status < 200:
            raise ValueError("behind this status another answer is waited for")
        lines = [_LINES.get(status) or f"HTTP/1.1 {status} \r\n".encode(), self.connection.shared.date]
        self.head = self.head or status in (204, 304)  # these have no body either
        sized = self.head
        for name, value in message.get("headers", ()):
            if name == b"content-length":
                if status == 204:
                    continue
                sized = True
                self.left = None if self.head else int(value)
            elif name in (b"transfer-encoding", b"connection"):
                self.keep = self.keep and value.lower() != b"close"
                continue
            if b"\n" in value or b"\r" in value or not _NAME(name):
                raise ValueError("a header has a line break in it, or a name that is none")
            lines += (name, b": ", value, b"\r\n")
        old = self.scope["http_version"] == "1.0"
        if not sized and not old:
            self.chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        self.keep = self.keep and (sized or not old)
        if not self.keep:
            lines.append(b"connection: close\r\n")
        elif old:
            lines.append(b"connection: keep-alive\r\n")
        lines.append(b"\r\n")
        self.pending = b"".join(lines)
        self.started = True

    def _write(self, body: bytes, more: bool) -> None:
        """Raises RuntimeError when the application sends other than it announced."""
        if self.head:
            body = b""
        if self.left is not None:
            self.left -= len(body)
            if self.left < 0 or (not more and self.left):
                raise RuntimeError("the body is not as long as content-length says")
        pieces = [self.pending] if self.pending else []
        if self.chunked:
            if body:
                pieces += (b"%x\r\n" % len(body), body, b"\r\n")
            if not more:
                pieces.append(b"0\r\n\r\n")
        elif body:
            pieces.append(body)
        self.pending = b""
        if len(pieces) == 1:
            self.connection.transport.write(pieces[0])
        elif pieces:
            self.connection.transport.writelines(pieces)

    async def _send_file(self, message: dict[str, Any]) -> bool:
        """``file`` is a descriptor. False when the client went away. Raises RuntimeError unless content-length was told and
        has room for it."""
        count = message["count"]
        if self.left is None or self.left < count:
            raise RuntimeError("the file is longer than content-length says")
        self._write(b"", True)
        await self.connection.drained()
        if self.gone:
            return False
        transport = self.connection.transport
        try:
            await self.connection.shared.files.send(transport, message["file"], message["offset"], count)
            self.left -= count
        except OSError as error:
            _log.info("an answer was cut off: %s", error)
            self.gone = True
            transport.abort()
        return not self.gone

    def _done(self) -> None:
        self.responded = True
        self._wake()
        self.connection.finished(self, self.keep)
