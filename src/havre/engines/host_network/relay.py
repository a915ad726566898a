"""From an address inside a VPC to Havre's own API on the host, and to nothing else."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable

CONNECTIONS, EACH = 1024, 256
"""At once, of all and of one address: nobody keeps the others out."""
CHUNK = 1 << 16


class Relay:
    """Bytes go through as they are, in both directions, until both sides have ended. ``admits`` says whether an address
    may pass; without it everyone who gets here may."""

    def __init__(self, host: str, port: int, admits: Callable[[str], Awaitable[bool]] | None = None) -> None:
        self._target = (host, port)
        self._admits = admits
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self._from: Counter[str] = Counter()

    async def serve(self, listener: socket.socket) -> None:
        self._server = await asyncio.start_server(self._accept, sock=listener)

    def close(self) -> None:
        """Nobody else comes in; what passes goes on."""
        if self._server is not None:
            self._server.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Its own task: Python 3.11 complains of one of its streams that is cancelled."""
        passing = asyncio.ensure_future(self._pass(reader, writer))  # noqa: TID251
        self._passing.add(passing)
        passing.add_done_callback(self._passing.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str((writer.get_extra_info("peername") or ("",))[0])
        self._from[peer] += 1
        try:
            if len(self._passing) > CONNECTIONS or self._from[peer] > EACH or not await self._admitted(peer):
                return
            there_reader, there_writer = await asyncio.open_connection(*self._target)
            try:
                await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
            finally:
                there_writer.close()
        except OSError:
            return
        finally:
            writer.close()
            self._from[peer] -= 1
            if not self._from[peer]:
                del self._from[peer]

    async def _admitted(self, peer: str) -> bool:
        return self._admits is None or (bool(peer) and await self._admits(peer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What is written to a connection that was lost is an error of uvloop's that is none of the system's."""
    try:
        while (data := await reader.read(CHUNK)) and not writer.is_closing():
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()
    except OSError:
        writer.close()
