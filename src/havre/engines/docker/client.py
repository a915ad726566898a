"""HTTP/1.1 over a Unix socket to a Docker Engine: pooled connections, streaming answers, few words of error.

Requests of ours may all be repeated (engines/ports.py), so one that dies on a kept connection before any answer came is
sent again on a new one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import quote, urlencode

import httptools
import msgspec

from havre.kernel.errors import Gone, Permanent, Temporary

NEWEST_API = (1, 51)
"""The newest version of Docker's API that this adapter was written against; an older engine's is used if it is older."""
OLDEST_API = (1, 40)

_IDLE = 16
_HIGH_WATER = 1 << 20
_LONG = 120.0


class Refused(Permanent):
    """The engine answered with an error; ``reason`` is in its words."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Lost(Exception):
    """The connection ended before the answer did. ``early``: before any of it came."""

    def __init__(self, early: bool) -> None:
        super().__init__("the engine closed the connection")
        self.early = early


class _Connection(asyncio.Protocol):
    """One request at a time. The parser calls ``on_*``."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._paused = False
        self.lost = False
        self._reset()

    def _reset(self) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        self.status = 0
        self.complete = False
        self._framed = False
        self._chunks.clear()
        self._buffered = 0

    # --- asyncio
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.close()
        if self._buffered > _HIGH_WATER and not self._paused and self._transport:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._wake()

    # --- httptools
    def on_header(self, name: bytes, value: bytes) -> None:
        self._framed = self._framed or name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        self.status = int(self._parser.get_status_code())

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)

    def on_message_complete(self) -> None:
        if self.status >= 200:
            self.complete = True
        else:
            self._parser = httptools.HttpResponseParser(self)

    # --- the one request
    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    async def _changed(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def send(self, head: bytes, body: bytes) -> None:
        self._reset()
        if self._transport is None or self.lost:
            raise _Lost(True)
        self._transport.write(head + body)

    async def answered(self) -> int:
        while self.status < 200:
            if self.lost:
                raise _Lost(True)
            await self._changed()
        return self.status

    async def chunk(self) -> bytes:
        """The next piece of the answer, b"" at its end; where nothing tells its length, the connection's end is it."""
        while not self._chunks:
            if self.complete or (self.lost and not self._framed):
                return b""
            if self.lost:
                raise _Lost(False)
            await self._changed()
        piece = self._chunks.popleft()
        self._buffered -= len(piece)
        if self._paused and self._buffered < _HIGH_WATER // 2 and self._transport:
            self._paused = False
            self._transport.resume_reading()
        return piece

    @property
    def reusable(self) -> bool:
        return self.complete and not self.lost and bool(self._parser.should_keep_alive())

    def close(self) -> None:
        self.lost = True
        if self._transport:
            self._transport.abort()


class Docker:
    """A Docker Engine's API. Paths are without the version, which is negotiated at the first request."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self._idle: list[_Connection] = []
        self._version = ""

    async def version(self) -> str:
        """``1.41``: the newest that both sides know. Raises Temporary, or Permanent for an engine that is too old."""
        if not self._version:
            answer = msgspec.json.decode(await self._whole("GET", "/version", None, b"", {}, 10.0))
            theirs = cast(tuple[int, int], tuple(int(n) for n in str(answer["ApiVersion"]).split(".")[:2]))
            if theirs < OLDEST_API:
                raise Permanent(f"the engine speaks Docker API {answer['ApiVersion']}, older than 1.40 (Docker 19.03)")
            self._version = "{}.{}".format(*min(theirs, NEWEST_API))
        return self._version

    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = _LONG,
    ) -> Any:
        """The decoded answer (None when empty). Raises Gone for 404, Refused for other errors, Temporary without answer.

        ``body`` is sent as JSON, or as a tar when it is bytes.
        """
        prefix = f"/v{await self.version()}"
        content, extra = _encode(body, headers)
        answer = await self._whole(method, prefix + path, query, content, extra, timeout)
        return msgspec.json.decode(answer) if answer.strip() else None

    async def raw(self, path: str, query: Mapping[str, Any] | None = None, *, timeout: float = _LONG) -> bytes:
        """A GET's answer as it is."""
        return await self._whole("GET", f"/v{await self.version()}{path}", query, b"", {}, timeout)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The answer piece by piece; leaving early drops the connection."""
        prefix = f"/v{await self.version()}"
        content, extra = _encode(body, headers)
        connection = await self._ask(method, prefix + path, query, content, extra)
        try:
            if connection.status >= 400:
                raise _error(connection.status, await _read(connection))
            yield _pieces(connection)
        except _Lost as lost:
            raise Temporary(f"the Docker Engine at {self.socket} ended the answer early") from lost
        finally:
            self._release(connection)

    async def _whole(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        content: bytes,
        headers: Mapping[str, str],
        timeout: float,
    ) -> bytes:
        connection: _Connection | None = None
        try:
            async with asyncio.timeout(timeout):
                connection = await self._ask(method, path, query, content, headers)
                answer = await _read(connection)
        except TimeoutError:
            raise Temporary(f"the Docker Engine did not answer within {timeout:g} s ({method} {path})") from None
        except _Lost as lost:
            raise Temporary(f"the Docker Engine at {self.socket} closed the connection") from lost
        finally:
            if connection:
                self._release(connection)
        if connection.status >= 400:
            raise _error(connection.status, answer)
        return answer

    async def _ask(
        self, method: str, path: str, query: Mapping[str, Any] | None, content: bytes, headers: Mapping[str, str]
    ) -> _Connection:
        """A connection on which the answer has begun."""
        target = quote(path, safe="/:@~+%") + ("?" + urlencode(query) if query else "")
        lines = [f"{method} {target} HTTP/1.1", "Host: docker", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        while True:
            reused = bool(self._idle)
            connection = self._idle.pop() if reused else await self._connect()
            try:
                connection.send(head, content)
                await connection.answered()
                return connection
            except _Lost:
                connection.close()
                if not reused:
                    raise Temporary(f"the Docker Engine at {self.socket} closed the connection") from None
            except BaseException:
                connection.close()
                raise

    async def _connect(self) -> _Connection:
        try:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_unix_connection(_Connection, self.socket)
        except OSError as e:
            self._version = ""
            reason = e.strerror or str(e)
            raise Temporary(f"Cannot connect to the Docker daemon at unix://{self.socket}: {reason}") from None
        return connection

    def _release(self, connection: _Connection) -> None:
        if connection.reusable and len(self._idle) < _IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


def _encode(body: Any, headers: Mapping[str, str] | None) -> tuple[bytes, dict[str, str]]:
    extra = dict(headers or {})
    if body is None:
        return b"", extra
    if isinstance(body, bytes):
        return body, {"Content-Type": "application/x-tar", **extra}
    return msgspec.json.encode(body), {"Content-Type": "application/json", **extra}


async def _read(connection: _Connection) -> bytes:
    pieces = []
    while piece := await connection.chunk():
        pieces.append(piece)
    return b"".join(pieces)


async def _pieces(connection: _Connection) -> AsyncIterator[bytes]:
    while piece := await connection.chunk():
        yield piece


def _error(status: int, answer: bytes) -> Exception:
    try:
        message = str(msgspec.json.decode(answer)["message"]).strip()
    except (msgspec.DecodeError, KeyError, TypeError):
        message = answer.decode("utf-8", "replace").strip()[:1000] or f"HTTP status {status}"
    return Gone(message) if status == 404 else Refused(status, message)
