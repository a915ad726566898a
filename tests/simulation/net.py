"""Unix sockets in memory and in virtual time, which can be cut."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from pathlib import Path
from random import Random
from typing import Any


class _Writer:
    """One direction of a connection: what is written arrives a little later, in order."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self.far = asyncio.StreamReader()
        self.other: _Writer | None = None
        self._arrives = 0.0
        self._way: deque[bytes] = deque()
        self.closed = False

    def write(self, data: bytes) -> None:
        if not self.closed:
            loop = asyncio.get_running_loop()
            self._arrives = max(self._arrives, loop.time() + self._net.chance.choice((0.0, 0.001, 0.02)))
            self._way.append(data)
            loop.call_at(self._arrives, self._arrive)

    def _arrive(self) -> None:
        """The oldest on its way: timers of the same time have no order among them."""
        if not self.closed:
            self.far.feed_data(self._way.popleft())

    async def drain(self) -> None:
        if self.closed:
            raise ConnectionResetError("the connection is lost")
        await asyncio.sleep(0)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        """Both directions end; what is under way is lost."""
        for end in (self, self.other):
            if end is not None and not end.closed:
                end.closed = True
                end.far.feed_eof()
        self._net.connections.pop(self, None)
        if self.other is not None:
            self._net.connections.pop(self.other, None)


class Net:
    """Stands in for asyncio's two functions of that name while a simulation runs."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.connections: dict[_Writer, None] = {}
        """In their order: a set would have another one in each run of the same seed."""
        self._servers: list[_Server] = []

    async def open_unix_connection(self, path: str, **more: Any) -> tuple[asyncio.StreamReader, Any]:
        await asyncio.sleep(0)
        server = next((s for s in reversed(self._servers) if s.listens), None)
        if server is None:
            raise ConnectionRefusedError(path)
        there, back = _Writer(self), _Writer(self)
        there.other, back.other = back, there
        self.connections |= {there: None, back: None}
        server.accept(there.far, back)
        return back.far, there

    async def start_unix_server(self, accept: Callable[..., Awaitable[None]], path: str, **more: Any) -> _Server:
        Path(path).touch()
        server = _Server(accept)
        self._servers.append(server)
        return server

    def cut(self) -> None:
        """Every connection is lost."""
        for end in tuple(self.connections):
            end.close()

    def shut(self) -> None:
        """The process that listened is dead."""
        for server in self._servers:
            server.close()
        self.cut()


class _Server:
    def __init__(self, accept: Callable[..., Awaitable[None]]) -> None:
        self._accept = accept
        self._context = copy_context()
        self._tasks: set[asyncio.Task[None]] = set()
        self.listens = True

    def accept(self, reader: asyncio.StreamReader, writer: _Writer) -> None:
        """In the process that listens."""
        work: Any = self._accept(reader, writer)
        task = asyncio.get_running_loop().create_task(work, context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        self.listens = False
