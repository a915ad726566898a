"""One connection."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import httptools

from havre.apps.http.exchange import Exchange
from havre.apps.http.files import FileSender

if TYPE_CHECKING:
    from havre.apps.http.two import Http2
    from havre.apps.http.websocket import WebSocket

HEAD_LIMIT = 64 * 1024
"""Bytes of request line and headers together; and of all that a body may have around it, at one place."""
PIPELINE_LIMIT = 32
LINGER = 0.5
"""Seconds in which what a refused client still sends is read and thrown away."""
_EXTENSIONS: dict[str, dict[str, Any]] = {"http.response.zerocopysend": {}}
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_BAD = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


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
        self.paused = self.refused = self.held = False
        self.fresh = True
        self.writable = asyncio.Event()
        self.writable.set()
        self.client: tuple[str, int] | None = None
        self.server: tuple[str, int] | None = None
        self.idle_since = 0.0
        self.secure = False
        self.loop = asyncio.get_running_loop()

    # transport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.client = tuple(peer[:2]) if isinstance(peer, tuple) else None
        self.server = tuple(local[:2]) if isinstance(local, tuple) else None
        self.secure = transport.get_extra_info("sslcontext") is not None
        self.shared.connections.add(self)
        self.idle_since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        self.shared.connections.discard(self)
        self.writable.set()
        self.held = False
        for exchange in self.queue:
            exchange.disconnect()
        self.parser = None  # the parser holds this object: cut the circle

    def eof_received(self) -> None:
        return None

    def pause_writing(self) -> None:
        """Who does not take his answers asks for no more."""
        self.writable.clear()
        self.pause()

    def resume_writing(self) -> None:
        self.writable.set()
        self.resume()
        if self.held:
            self.held = False
            self._go_on()

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
        self.head_size += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(_BAD)
        else:
            if self.head_size > HEAD_LIMIT:
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
        self.loop.call_later(LINGER, self.transport.close)

    # parser

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.length = self.upgrade = b""
        self.expects = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.reading is not None:  # behind a body: nobody has asked for it, and what was signed does not grow
            return
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
            self._go_on()
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
        self.head_size = 0
        if self.unparsed:
            self.unparsed -= len(body)
        if self.reading is not None:
            self.reading.feed(body)

    def on_message_complete(self) -> None:
        self.head_size = 0
        if self.reading is not None:
            self.reading.feed_end()
            self.reading = None

    # exchanges

    def pause(self) -> None:
        if not self.paused and not self.transport.is_closing():
            self.paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.paused and self.writable.is_set() and not self.transport.is_closing():
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
        self.idle_since = self.loop.time()
        self.resume()
        if self.queue:
            self._go_on()

    def _go_on(self) -> None:
        """With the next one; not while answers wait to be taken."""
        if not self.writable.is_set():
            self.held = True
        elif self.queue:
            self.queue[0].start()


def _head(method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    lines = [method + b" " + url + b" HTTP/1.1", *(name + b": " + value for name, value in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"
