"""One connection."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httptools

from havre.apps.http.files import FileSender

if TYPE_CHECKING:
    from havre.apps.http.two import Http2
    from havre.apps.http.websocket import WebSocket

HEAD_LIMIT = 64 * 1024
"""Bytes of request line and headers together."""
HIGH_WATER = 256 * 1024
"""Bytes of request body that may wait for the application before reading pauses."""
JOINED = 32 * 1024
"""Bytes up to which pieces of a request body are joined; copying more costs more than handing over twice."""
PIPELINE_LIMIT = 32
LINGER = 0.5
"""Seconds in which what a refused client still sends is read and thrown away."""
_log = logging.getLogger("havre.http")
_EXTENSIONS: dict[str, dict[str, Any]] = {"http.response.zerocopysend": {}}
_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_BAD = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_FAILED = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Shared:
    """What the connections of one server have in common. ``date`` is the ready-made Date header line."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.connections: set[Connection | Http2 | WebSocket] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.files = FileSender()
        self.date = b""
        self.closing = False


class Connection(asyncio.Protocol):
    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.transport: Any = None
        self.parser: Any = self._fresh_parser()
        self.unparsed = 0
        self.queue: deque[Exchange] = deque()
        self.reading: Exchange | None = None
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.length = b""
        self.expects = False
        self.upgrade = b""
        self.head_size = 0
        self.paused = self.refused = False
        self.fresh = True
        self.writable = asyncio.Event()
        self.writable.set()
        self.client: tuple[str, int] | None = None
        self.server: tuple[str, int] | None = None
        self.idle_since = 0.0
        self.secure = False

    # transport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.client = tuple(peer[:2]) if isinstance(peer, tuple) else None
        self.server = tuple(local[:2]) if isinstance(local, tuple) else None
        self.secure = transport.get_extra_info("sslcontext") is not None
        self.shared.connections.add(self)
        self.idle_since = asyncio.get_running_loop().time()

    def connection_lost(self, exc: Exception | None) -> None:
        self.shared.connections.discard(self)
        self.writable.set()
        for exchange in self.queue:
            exchange.disconnect()
        self.parser = None  # the parser holds this object: cut the circle

    def eof_received(self) -> None:
        return None

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def _fresh_parser(self) -> Any:
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        if self.fresh:
            self.fresh = False
            if data.startswith(_PREFACE):
                self._speak_two(data)
                return
        if self.unparsed:
            data = self._take_body(data)
            if not data:
                return
        if self.reading is None:
            self.head_size += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(_BAD)
        else:
            if self.reading is None and self.head_size > HEAD_LIMIT:
                self._refuse(_TOO_LARGE)

    def _speak_two(self, data: bytes) -> None:
        """The client speaks HTTP/2 and knows that we do: no other request begins like this."""
        from havre.apps.http.two import Http2

        two = Http2(self)
        self.shared.connections.discard(self)
        self.parser = None
        self.transport.set_protocol(two)
        two.begin(data)

    def _upgrade(self, rest: bytes) -> None:
        """``rest`` is behind the head of a request for another protocol: where we do not speak it, that is left out of the
        head, for the parser takes no body behind it otherwise."""
        method = self.parser.get_method()
        if self.upgrade == b"websocket" and method == b"GET" and not self.queue:
            self._speak_websocket(rest)
        elif not self.upgrade or self.upgrade == b"websocket" or method == b"CONNECT":
            self._refuse(_BAD)
        else:
            closes = any(name == b"connection" and b"close" in value.lower() for name, value in self.headers)
            kept = [each for each in self.headers if each[0] not in (b"upgrade", b"connection")]
            head = _head(method, self.url, kept + [(b"connection", b"close")] * closes)
            self.parser = self._fresh_parser()
            self.data_received(head + rest)

    def _speak_websocket(self, rest: bytes) -> None:
        from havre.apps.http.websocket import WebSocket

        socket = WebSocket(self, self._scope(), _head(b"GET", self.url, self.headers))
        self.shared.connections.discard(self)
        self.parser = None
        self.transport.set_protocol(socket)
        socket.begin(rest)

    def _take_body(self, data: bytes) -> bytes:
        """A long body of known length needs no parser, which would copy it; gives what comes behind it."""
        assert self.reading is not None
        length = len(data)
        if length < self.unparsed:
            self.unparsed -= length
            self.reading.feed(data)
            return b""
        exact = length == self.unparsed
        body, rest = (data, b"") if exact else (data[: self.unparsed], data[self.unparsed :])
        self.unparsed = 0
        self.reading.feed(body)
        self.parser = self._fresh_parser()  # the old one still waits for the body
        self.on_message_complete()
        return rest

    def _refuse(self, response: bytes) -> None:
        """Answer and linger: closing at once, with bytes unread, would reset the connection and take the answer along."""
        self.refused = True
        if self.queue or self.transport.is_closing():
            self.transport.close()
            return
        self.transport.write(response)
        self.transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER, self.transport.close)

    # parser

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.length = self.upgrade = b""
        self.expects = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self.headers.append((name, value))
        if name == b"content-length":
            self.length = value
        elif name == b"expect":
            self.expects = value.lower() == b"100-continue"
        elif name == b"upgrade":
            self.upgrade = value.strip().lower()

    def on_headers_complete(self) -> None:
        self.head_size = 0
        if self.parser.should_upgrade():
            return  # to be read again, as something else
        length = self.length
        self.unparsed = int(length) if len(length) > 5 and length.isdigit() else 0
        exchange = Exchange(self, self._scope(), self.parser.should_keep_alive())
        self.reading = exchange
        self.queue.append(exchange)
        if len(self.queue) == 1:
            exchange.start()
        elif len(self.queue) > PIPELINE_LIMIT:
            self.pause()

    def _scope(self) -> dict[str, Any]:
        raw, _, query = self.url.partition(b"?")
        if not raw.startswith(b"/"):  # absolute form, as to a proxy
            raw = b"/" + raw.split(b"://", 1)[-1].partition(b"/")[2]
        text = raw.decode("latin-1")
        if "%" in text:
            from urllib.parse import unquote

            text = unquote(text)
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": self.parser.get_http_version(),
            "method": self.parser.get_method().decode("ascii"),
            "scheme": "https" if self.secure else "http",
            "path": text,
            "raw_path": raw,
            "query_string": query,
            "root_path": "",
            "headers": self.headers,
            "client": self.client,
            "server": self.server,
            "extensions": {} if self.secure else _EXTENSIONS,
        }

    def on_body(self, body: bytes) -> None:
        if self.unparsed:
            self.unparsed -= len(body)
        if self.reading is not None:
            self.reading.feed(body)

    def on_message_complete(self) -> None:
        if self.reading is not None:
            self.reading.feed_end()
            self.reading = None

    # exchanges

    def pause(self) -> None:
        if not self.paused and not self.transport.is_closing():
            self.paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.paused and not self.transport.is_closing():
            self.paused = False
            self.transport.resume_reading()

    async def drained(self) -> None:
        """Returns when all that was written has left, or the client has."""
        await asyncio.sleep(0)  # the loop writes at the end of its turn
        if not self.transport.get_write_buffer_size():
            return
        self.transport.set_write_buffer_limits(0)
        await self.writable.wait()
        if not self.transport.is_closing():
            self.transport.set_write_buffer_limits()

    def finished(self, exchange: Exchange, keep: bool) -> None:
        self.queue.popleft()
        if not keep or self.shared.closing or not exchange.ended:
            # a body that nobody read stands between this request and the next
            self.transport.close()
            return
        self.idle_since = asyncio.get_running_loop().time()
        self.resume()
        if self.queue:
            self.queue[0].start()


def _head(method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    lines = [method + b" " + url + b" HTTP/1.1", *(name + b": " + value for name, value in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


class Hangup(ConnectionResetError):
    """The client has gone: a body that goes on would be sent to nobody."""


class Exchange:
    """One request and its response; ``receive`` and ``send`` of ASGI."""

    __slots__ = (
        "chunked", "chunks", "connection", "ended", "expect", "gone", "head", "keep", "left",
        "pending", "responded", "scope", "size", "started", "told", "waiter",
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

    def start(self) -> None:
        task = asyncio.get_running_loop().create_task(self._run())
        self.connection.shared.tasks.add(task)
        task.add_done_callback(self.connection.shared.tasks.discard)

    async def _run(self) -> None:
        transport = self.connection.transport
        try:
            await self.connection.shared.app(self.scope, self.receive, self.send)
        except Hangup:
            return
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

    async def receive(self) -> dict[str, Any]:
        while not self.chunks and (not self.ended or self.told) and not self.gone and not self.responded:
            if self.expect and not self.started:
                self.expect = False
                self.connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiter = asyncio.get_running_loop().create_future()
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
        self.started = True
        status = message["status"]
        lines = [_LINES.get(status) or f"HTTP/1.1 {status} \r\n".encode(), self.connection.shared.date]
        sized = status in (204, 304) or self.head
        for name, value in message.get("headers", ()):
            if name == b"content-length":
                sized = True
                self.left = None if self.head or status == 304 else int(value)
            elif name in (b"transfer-encoding", b"connection"):
                self.keep = self.keep and value.lower() != b"close"
                continue
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
