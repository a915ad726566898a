"""A port of a function under development, on this machine's loopback: where a debugger connects.

It leads into the environment that began last, for a saved file means another one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from havre.engines.sandbox import Sandbox

log = logging.getLogger("havre.functions")

_CHUNK = 65536
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[Sandbox, int], Awaitable[Streams]]
"""To a port inside of a sandbox. Raises OSError."""
Wake = Callable[[], object]


class DebugDoors:
    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._leads: dict[int, tuple[Sandbox, Wake]] = {}
        self._listeners: dict[int, asyncio.Server] = {}
        self._open: Counter[str] = Counter()

    async def lead(self, port: int, sandbox: Sandbox, wake: Wake) -> None:
        """From now on the port leads there. One that somebody else has is told of, and no more. ``wake``: it is frozen
        while nobody invokes it, and who connects wants it to answer."""
        self._leads[port] = (sandbox, wake)
        if port in self._listeners:
            return
        try:
            self._listeners[port] = await asyncio.start_server(
                lambda reader, writer: self._serve(port, reader, writer), "127.0.0.1", port
            )
        except OSError as error:
            log.error("no debugger can connect to port %d: %s", port, error.strerror or error)

    def close(self, sandbox: Sandbox) -> None:
        """It has ended."""
        for port in [port for port, (led, _) in self._leads.items() if led.id == sandbox.id]:
            del self._leads[port]
            if (listener := self._listeners.pop(port, None)) is not None:
                listener.close()

    def in_use(self, sandbox: Sandbox) -> bool:
        """Whether somebody is connected: it must not be frozen."""
        return self._open[sandbox.id] > 0

    async def _serve(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        led = self._leads.get(port)
        if led is None:
            writer.close()
            return
        sandbox, wake = led
        self._open[sandbox.id] += 1
        try:
            wake()
            inner_reader, inner_writer = await self._connect(sandbox, port)
            try:
                await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))
            finally:
                inner_writer.close()
        except OSError as error:
            log.info("nothing listens on port %d in the function: %s", port, error.strerror or error)
        finally:
            writer.close()
            self._open[sandbox.id] -= 1


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one of them ends; the other then hears of it."""
    try:
        while (data := await reader.read(_CHUNK)) and not writer.is_closing():
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()
