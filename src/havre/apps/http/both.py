"""HTTP and HTTPS on one port: the first byte of a connection says which, as no request begins like a TLS handshake."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

HANDSHAKE = 0x16
PATIENCE = 75.0
"""Seconds in which a connection has to say something; and a tenth of that for the handshake."""
_PAUSE = 0.1
"""Seconds after which accepting is tried again, where the process had no more files."""


class BothServer:
    """Takes connections of a listening socket until it is closed. ``make`` gives the protocol of one."""

    def __init__(self, sock: socket.socket, make: Callable[[], Any], tls: ssl.SSLContext) -> None:
        self.sockets = (sock,)
        self._make, self._tls = make, tls
        self._greeting: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._accept(sock))

    def close(self) -> None:
        for task in (self._task, *self._greeting):
            task.cancel()
        self.sockets[0].close()

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(sock)
            except OSError:
                await asyncio.sleep(_PAUSE)
                continue
            task = asyncio.create_task(self._greet(connection))
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    async def _greet(self, connection: socket.socket) -> None:
        """Whatever goes wrong here is between the client and its connection."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE):
                first = await _first(connection)
            secure: dict[str, Any] = {}
            if first == HANDSHAKE:
                secure = {"ssl": self._tls, "ssl_handshake_timeout": PATIENCE / 10}
            if first is not None:
                await loop.connect_accepted_socket(self._make, connection, **secure)
                return
        except (OSError, TimeoutError):
            pass
        except asyncio.CancelledError:
            connection.close()
            raise
        connection.close()


async def _first(connection: socket.socket) -> int | None:
    """The first byte, which stays where it is; None when the client has gone."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        return _peek(connection)
    loop.add_reader(connection.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection.fileno())
    return _peek(connection)


def _peek(connection: socket.socket) -> int | None:
    data = connection.recv(1, socket.MSG_PEEK)
    return data[0] if data else None
