"""The HTTP server of one environment: a listener in its network namespace, and the few connections that come of it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import httptools

from havre.control.functions.api import USUAL_CONNECTIONS, Exchange, Host, Sink
from havre.dataplanes.runtime_api.routes import STREAMED, Route, route

log = logging.getLogger("havre.functions")

MAX_BODY = 6_291_556
"""Bytes that a function may answer, and AWS's number for it."""
_SMALL = 256 << 10
"""Bytes of what is neither an answer nor an error."""
_AT_ONCE = 2
"""Bodies of the largest size that are kept for an environment that works on one invocation."""
_MAX_HEAD = 2 << 20
"""Bytes of a request's head; the runtime's X-Ray cause of an error, in a header, may take 1 MiB."""
_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\nContent-Type: application/json\r\n".encode() for s in HTTPStatus}
_NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """One request at a time, the next after the answer to the one before (``Exchange`` in control/functions/api.py)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: Any = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._open = False
        self._closing = False
        self._served = False
        """By what came last a request has come to its end."""
        self._unread = 0
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._size = self._kept = 0
        self._largest = MAX_BODY
        self._full = self._slow = False
        """It does not read what it is answered; whoever takes its answer is slower than it is."""
        self._route: Route | None = None
        self._sink: Sink | None = None
        self.body = b""
        self.too_large = False
        self.on_lost: Callable[[Exchange], None] | None = None

    # --- asyncio's
    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._server.connections.add(self)
        if len(self._server.connections) > self._server.host.connections:
            transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        self._transport = None
        self._parser = None  # the parser holds this object: cut the circle
        self._let_go()
        if self._sink is not None:
            sink, self._sink = self._sink, None
            sink.end(self, whole=False)
        if self.on_lost is not None:
            self.on_lost(self)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if self._is_next(data):
            self._open, self._headers = True, {}
            self._server.host.next(self)
            return
        self._served = False
        self._unread += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._hang_up()
        else:
            if self._unread > _MAX_HEAD:
                self._hang_up()

    def _is_next(self, data: bytes) -> bool:
        """The request that every invocation begins with, by itself and whole: it needs no parser."""
        return (
            data.startswith(_NEXT)
            and not self._open
            and self._route is None
            and self._unread == 0
            and data.find(b"\r\n\r\n") == len(data) - 4
            and b"close" not in data
            and b"ontent-" not in data
        )

    def _hang_up(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    # --- the parser's
    def on_message_begin(self) -> None:
        if self._open or self._served:  # it did not wait for its answer: the loop is others', too
            self._hang_up()
        self._url = b""
        self._headers = {}

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self._closing:
            return
        self._unread = 0
        self._open, self.too_large, self._size, self.body = True, False, 0, b""
        self._route = route(self._parser.get_method(), self._url)
        self._largest = MAX_BODY if self._route.what in ("response", "error") else _SMALL
        if self._headers.get(b"expect", b"").lower() == b"100-continue":
            self._transport.write(_CONTINUE)
        if self._route.what == "response" and self._headers.get(STREAMED):
            self._sink = self._server.host.stream(self, self._route.id)
            if self._sink is None:
                self._route = Route("drain")

    def on_body(self, data: bytes) -> None:
        self._unread = 0
        if self._sink is not None:
            self._sink.piece(data)
        elif not self.too_large:
            self._size += len(data)
            if self._size > self._largest or not self._server.keeps(len(data)):
                self.too_large = True
                self._let_go()
            else:
                self._kept += len(data)
                self._pieces.append(data)

    def _let_go(self) -> None:
        """Of the body so far."""
        self._server.kept -= self._kept
        self._kept = 0
        self._pieces.clear()

    def on_message_complete(self) -> None:
        if self._closing or self._route is None:
            return
        self._served = True
        self._unread = 0
        pieces = self._pieces
        if pieces:
            self.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self._let_go()
        found, self._route = self._route, None
        if self._sink is not None:
            sink, self._sink = self._sink, None
            sink.end(self, whole=True)
        elif found.what != "drain":
            found.serve(self._server.host, self)

    def abort(self) -> None:
        """Nothing that it has asked for is done or answered any more."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    # --- Exchange
    def header(self, name: bytes) -> str:
        return self._headers.get(name, b"").decode("utf-8", "replace")

    def answer(self, status: int, body: bytes = b"", headers: bytes = b"") -> None:
        if self._transport is None or not self._open:
            return
        self._open, self.body = False, b""
        head = b"%b%bContent-Length: %d\r\n\r\n" % (_LINES[status], headers, len(body))
        if len(body) < 65536:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        if self._headers.get(b"connection", b"").lower() == b"close":
            self._hang_up()

    def pause(self) -> None:
        self._slow = True
        self._flow()

    def resume(self) -> None:
        self._slow = False
        self._flow()

    # --- asyncio's, of what it is answered
    def pause_writing(self) -> None:
        self._full = True
        self._flow()

    def resume_writing(self) -> None:
        self._full = False
        self._flow()

    def _flow(self) -> None:
        if self._transport is None:
            return
        if self._slow or self._full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()


class Server:
    """``kept``: bytes of bodies that have come so far. What a function sends counts as the node's memory, not as its own."""

    def __init__(self, descriptor: int, host: Host) -> None:
        self.host = host
        self.connections: set[Connection] = set()
        self.kept = 0
        self._closed = False
        self._server: asyncio.AbstractServer | None = None
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        loop = asyncio.get_running_loop()
        self._opening = loop.create_task(self._listen(loop), name="runtime api")

    async def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        self._server = await loop.create_server(lambda: Connection(self), sock=self._socket)

    def keeps(self, size: int) -> bool:
        """Whether there is room for so many bytes more; then they are counted."""
        at_once = max(_AT_ONCE, self.host.connections - USUAL_CONNECTIONS)
        if self.kept + size > at_once * MAX_BODY:
            return False
        self.kept += size
        return True

    def drop(self) -> None:
        for connection in tuple(self.connections):
            connection.abort()

    def close(self) -> None:
        self._opening.cancel()
        if self._server is not None:
            self._server.close()
        else:
            self._socket.close()
        for connection in tuple(self.connections):
            connection._hang_up()


def open_api(descriptor: int, host: Host) -> Server:
    return Server(descriptor, host)
