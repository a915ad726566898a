"""The listeners of a process; more may come after the start."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from time import gmtime, strftime, time
from typing import TYPE_CHECKING, Any

from havre.apps.http.protocol import Connection, Shared

if TYPE_CHECKING:
    import ssl

    from havre.apps.http.both import BothServer

IDLE_LIMIT = 75.0
"""Seconds after which a connection without a request is closed."""
BACKLOG = 1024


class Listeners:
    """Serves one ASGI application on any number of addresses and Unix sockets."""

    def __init__(self, app: Any) -> None:
        self._shared = Shared(app)
        self._servers: dict[tuple[str, int], asyncio.Server | BothServer] = {}
        self._ticker: asyncio.TimerHandle | None = None

    async def open(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listen here as well, with ``tls`` for HTTPS too; doing it again is harmless. Raises OSError when the address
        cannot be had."""
        if (host, port) in self._servers:
            return
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
        except OSError:
            sock.close()
            raise
        await self.adopt(sock, (host, port), tls)

    async def adopt(self, sock: socket.socket, name: tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        """Serve on a socket that is bound already."""
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        if tls is not None:
            from havre.apps.http.both import BothServer

            sock.listen(BACKLOG)
            self._servers[name] = BothServer(sock, lambda: Connection(self._shared), tls)
        else:
            self._servers[name] = await loop.create_server(lambda: Connection(self._shared), sock=sock, backlog=BACKLOG)
        if self._ticker is None:
            self._tick(loop)

    async def shut(self, host: str, port: int) -> None:
        """No longer listen here; connections go on."""
        if server := self._servers.pop((host, port), None):
            server.close()

    async def close(self, patience: float = 5.0) -> None:
        """Take no more connections, let what is under way finish within ``patience`` seconds."""
        self._shared.closing = True
        if self._ticker is not None:
            self._ticker.cancel()
        for server in self._servers.values():
            server.close()
        for connection in list(self._shared.connections):
            if not connection.queue:
                connection.transport.close()
        if self._shared.tasks:
            await asyncio.wait(list(self._shared.tasks), timeout=patience)
        for connection in list(self._shared.connections):
            with contextlib.suppress(AttributeError):  # asyncio's over TLS that was closed twice: it has nothing left
                connection.transport.abort()
        for task in list(self._shared.tasks):
            task.cancel()
        self._shared.files.close()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """Once a second: the Date header, and the end of connections that have idled too long."""
        self._shared.date = strftime("date: %a, %d %b %Y %H:%M:%S GMT\r\n", gmtime(time())).encode()
        now = loop.time()
        for connection in [c for c in self._shared.connections if not c.queue and now - c.idle_since > IDLE_LIMIT]:
            connection.transport.close()
        self._ticker = loop.call_later(1.0, self._tick, loop)
