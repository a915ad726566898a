"""One HTTP/2 connection, for clients that speak nothing else (AWS's SDK for JavaScript to Kinesis). Loaded with the first.

h2 keeps the protocol's state and refuses what breaks it; here bytes and its events meet ASGI. A body that the application
has not read yet is not acknowledged, so a stream holds no more than one window of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError, StreamClosedError
from h2.settings import SettingCodes, Settings

if TYPE_CHECKING:
    from havre.apps.http.protocol import Connection, Shared

STREAMS = 100
"""Requests at once."""
HEAD_LIMIT = 64 * 1024
WINDOW = 256 * 1024
"""Bytes of a body that may be on their way."""
RESETS = 1000
"""Requests that a client may take back before the connection is closed: each has cost more than it."""
UNREAD = 128 * 1024
"""Bytes that may come without anything having come whole: h2 waits for all of a frame, however long it says that it is."""
UNTAKEN = 8 << 20
"""Bytes that may wait for a client who goes on asking: answers wait for room, but what he is told of his frames does not."""
_BOUNDS = {
    SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS,
    SettingCodes.MAX_HEADER_LIST_SIZE: HEAD_LIMIT,
    SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
}
_HOP = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_log = logging.getLogger("havre.http")


class Http2(asyncio.Protocol):
    """Takes the place of the connection that has read the preface. ``queue``: the streams that are under way."""

    def __init__(self, first: Connection) -> None:
        self.shared: Shared = first.shared
        self.transport = first.transport
        self.client, self.server, self.secure = first.client, first.server, first.secure
        self.queue: dict[int, Stream] = {}
        self.idle_since = asyncio.get_running_loop().time()
        self.writable = asyncio.Event()
        self.writable.set()
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.h2.local_settings = Settings(client=False, initial_values=_BOUNDS)
        self._resets = self._unread = 0

    def begin(self, data: bytes) -> None:
        """``data`` begins with the preface."""
        self.shared.connections.add(self)
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(STREAMS * WINDOW)
        self.data_received(data)

    # transport

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        try:
            for event in self.h2.receive_data(data):
                self._unread = 0
                self._handle(event)
        except ProtocolError as error:
            _log.info("a client breaks HTTP/2: %s", error)
            self.flush()
            self.transport.close()
            return
        self.flush()
        if self._resets > RESETS or self._unread > UNREAD:
            self.transport.close()
        elif self.transport.get_write_buffer_size() > UNTAKEN:
            self.transport.abort()  # closing would wait for a client that takes nothing

    def connection_lost(self, exc: Exception | None) -> None:
        self.shared.connections.discard(self)
        self.writable.set()
        for stream in self.queue.values():
            stream.disconnect()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def _handle(self, event: events.Event) -> None:
        if isinstance(event, events.RequestReceived):
            self._request(event)
        elif isinstance(event, events.DataReceived):
            if stream := self.queue.get(event.stream_id):
                stream.feed(event.data, event.flow_controlled_length)
            else:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, events.StreamEnded):
            if stream := self.queue.get(event.stream_id):
                stream.feed_end()
        elif isinstance(event, events.StreamReset):
            self._resets += 1
            if stream := self.queue.get(event.stream_id):
                stream.disconnect()
        elif isinstance(event, events.WindowUpdated | events.RemoteSettingsChanged):
            for stream in self.queue.values():
                stream.room.set()
        elif isinstance(event, events.ConnectionTerminated):
            self.transport.close()

    def _request(self, event: events.RequestReceived) -> None:
        given = [(bytes(name), bytes(value)) for name, value in event.headers]
        pseudo = {name: value for name, value in given if name.startswith(b":")}
        headers = [(name, value) for name, value in given if not name.startswith(b":")]
        if not any(name == b"host" for name, _ in headers):
            headers.insert(0, (b"host", pseudo.get(b":authority", b"")))
        raw, _, query = pseudo.get(b":path", b"/").partition(b"?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "2",
            "method": pseudo.get(b":method", b"GET").decode("latin-1"),
            "scheme": "https" if self.secure else "http",
            "path": unquote(raw.decode("latin-1")),
            "raw_path": raw,
            "query_string": query,
            "root_path": "",
            "headers": _cookies_joined(headers),
            "client": self.client,
            "server": self.server,
            "extensions": {},
        }
        stream = self.queue[event.stream_id] = Stream(self, event.stream_id, scope)
        task = asyncio.get_running_loop().create_task(stream.run())
        self.shared.tasks.add(task)
        task.add_done_callback(self.shared.tasks.discard)

    def finished(self, stream: Stream) -> None:
        self.queue.pop(stream.id, None)
        self.idle_since = asyncio.get_running_loop().time()
        self.flush()
        if self.shared.closing and not self.queue:
            self.transport.close()


def _cookies_joined(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """HTTP/2 may send a cookie in pieces, which HTTP/1.1 and ASGI know as one header."""
    cookies = [value for name, value in headers if name == b"cookie"]
    if len(cookies) < 2:
        return headers
    return [*(pair for pair in headers if pair[0] != b"cookie"), (b"cookie", b"; ".join(cookies))]


class Stream:
    """One request and its response; ``receive`` and ``send`` of ASGI. ``room`` is set when more may be sent."""

    def __init__(self, connection: Http2, id: int, scope: dict[str, Any]) -> None:
        self.connection = connection
        self.id = id
        self.scope = scope
        self.chunks: deque[tuple[bytes, int]] = deque()
        self.ended = self.gone = self.started = self.responded = self.told = False
        self.news = asyncio.Event()
        self.room = asyncio.Event()

    async def run(self) -> None:
        try:
            await self.connection.shared.app(self.scope, self.receive, self.send)
        except ConnectionResetError:
            pass
        except ConnectionAbortedError as why:  # it cuts its answer off on purpose
            _log.info("%s %s was cut off: %s", self.scope["method"], self.scope["path"], why)
        except Exception:
            _log.exception("the application failed on %s %s", self.scope["method"], self.scope["path"])
        if not self.gone:
            self._end()
        self.connection.finished(self)

    def _end(self) -> None:
        """Of what the application left open: a failure, and what nobody has read."""
        h2 = self.connection.h2
        try:
            if not self.started:
                h2.send_headers(self.id, [(b":status", b"500"), (b"content-length", b"0")], end_stream=True)
            elif not self.responded:
                h2.reset_stream(self.id, error_code=2)
            for _, size in self.chunks:
                h2.acknowledge_received_data(size, self.id)
            if not self.ended:
                h2.reset_stream(self.id, error_code=0)
        except (ProtocolError, StreamClosedError):
            self.gone = True

    # request

    def feed(self, data: bytes, size: int) -> None:
        self.chunks.append((data, size))
        self.news.set()

    def feed_end(self) -> None:
        self.ended = True
        self.news.set()

    def disconnect(self) -> None:
        self.gone = True
        self.news.set()
        self.room.set()

    async def receive(self) -> dict[str, Any]:
        while not self.chunks and (not self.ended or self.told) and not self.gone and not self.responded:
            self.news.clear()
            await self.news.wait()
        if self.gone or (self.ended and not self.chunks and self.responded):
            return {"type": "http.disconnect"}
        body = b""
        if self.chunks:
            body, size = self.chunks.popleft()
            self.connection.h2.acknowledge_received_data(size, self.id)
            self.connection.flush()
        self.told = self.ended and not self.chunks
        return {"type": "http.request", "body": body, "more_body": not self.told}

    # response

    async def send(self, message: dict[str, Any]) -> None:
        """Raises ConnectionResetError for a further piece of a body that nobody is there to read."""
        more = message.get("more_body", False)
        if self.gone:
            if more:
                raise ConnectionResetError
            return
        if message["type"] == "http.response.start":
            self._head(message)
            return
        body = b"" if self.scope["method"] == "HEAD" else message.get("body", b"")
        try:
            await self._body(body, not more)
        except (ProtocolError, StreamClosedError):
            self.gone = True
            raise ConnectionResetError from None
        if not more:
            self.responded = True
            self.news.set()

    def _head(self, message: dict[str, Any]) -> None:
        self.started = True
        date = self.connection.shared.date.partition(b": ")[2].strip()
        headers = [(b":status", b"%d" % message["status"]), *([(b"date", date)] if date else [])]
        headers += [(name.lower(), value) for name, value in message.get("headers", ()) if name.lower() not in _HOP]
        self.connection.h2.send_headers(self.id, headers)

    async def _body(self, body: bytes, last: bool) -> None:
        h2, view = self.connection.h2, memoryview(body)
        while view:
            await self.connection.writable.wait()
            size = min(len(view), h2.local_flow_control_window(self.id), h2.max_outbound_frame_size)
            if size <= 0:
                self.room.clear()
                self.connection.flush()
                await self.room.wait()
                if self.gone:
                    raise ConnectionResetError
                continue
            h2.send_data(self.id, bytes(view[:size]), end_stream=last and size == len(view))
            view = view[size:]
        if last and not body:
            h2.end_stream(self.id)
        self.connection.flush()
