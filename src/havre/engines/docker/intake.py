"""Where containers' lines come in: Docker's ``fluentd`` driver, synchronous and acknowledged, on a Unix socket.

A line is acknowledged when the sink has it for good; until then the driver holds the container's next line back. So a
sink that is full stops the containers that write, and a node that is down (or killed) loses nothing: the driver connects
again and sends what was not acknowledged. At most the first pieces of one line longer than 16 KiB are lost in a crash.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from havre.engines.docker.forward import Lines, Malformed, Short, acknowledgement, read
from havre.engines.ports import LogSink

_MAX_PENDING = 4 << 20


class Intake:
    """``sink`` takes (workload, container, lines); what it returns, if anything, is awaited before the acknowledgement."""

    def __init__(self, path: Path, sink: LogSink) -> None:
        self._path = path
        self._sink = sink
        self._open: set[_Connection] = set()

    async def run(self) -> None:
        """Listen for ever. The socket is replaced in one step: no moment without one once there was one."""
        loop = asyncio.get_running_loop()
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        server = await loop.create_unix_server(lambda: _Connection(self._sink, self._open), str(fresh))
        fresh.chmod(0o600)
        fresh.replace(self._path)
        try:
            await loop.create_future()
        finally:
            server.close()
            for connection in tuple(self._open):
                connection.close()


class _Connection(asyncio.Protocol):
    """One container's stream (or several, for all that the protocol says)."""

    def __init__(self, sink: LogSink, registry: set[_Connection]) -> None:
        self._sink = sink
        self._registry = registry
        self._rest = b""
        self._lines: dict[str, Lines] = {}
        self._transport: asyncio.Transport | None = None
        self._slow: asyncio.Future[None] | None = None
        self._acknowledgements: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._registry.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._registry.discard(self)

    def close(self) -> None:
        if self._transport:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        at = 0
        batch: dict[str, list[tuple[int, bytes]]] = {}
        try:
            while at < len(data):
                message, at = read(data, at)
                line = self._lines.setdefault(message.tag, Lines()).add(message)
                if line is not None:
                    batch.setdefault(message.tag, []).append((message.at, line))
                if message.chunk:
                    self._acknowledgements.append(acknowledgement(message.chunk))
        except Short:
            pass
        except Malformed:
            self.close()
            return
        self._rest = data[at:]
        if len(self._rest) > _MAX_PENDING:
            self.close()
            return
        self._hand_over(batch)

    def _hand_over(self, batch: dict[str, list[tuple[int, bytes]]]) -> None:
        waits = [self._give(tag, lines) for tag, lines in batch.items()]
        slow = [w for w in waits if w is not None]
        if not slow and self._slow is None:
            self._acknowledge()
            return
        if self._transport:
            self._transport.pause_reading()
        earlier = [self._slow] if self._slow else []
        self._slow = asyncio.gather(*earlier, *slow, return_exceptions=True)  # type: ignore[assignment]
        assert self._slow is not None
        self._slow.add_done_callback(self._caught_up)

    def _give(self, tag: str, lines: Sequence[tuple[int, bytes]]) -> asyncio.Future[None] | None:
        workload, _, container = tag.partition("/")
        return self._sink(workload, container, lines)

    def _caught_up(self, done: asyncio.Future[None]) -> None:
        if done is not self._slow or self._transport is None or self._transport.is_closing():
            return
        self._slow = None
        self._acknowledge()
        self._transport.resume_reading()

    def _acknowledge(self) -> None:
        if self._acknowledgements and self._transport:
            self._transport.write(b"".join(self._acknowledgements))
            self._acknowledgements.clear()
