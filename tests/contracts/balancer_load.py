"""Clients that ask without a pause, and count what went wrong."""

from __future__ import annotations

import asyncio
import collections
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Load:
    """``answered``: target → requests; ``failed``: what went wrong, in words."""

    answered: collections.Counter[str] = field(default_factory=collections.Counter)
    failed: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return self.answered.total()

    async def more(self, requests: int) -> None:
        """Returns when so many more have been answered."""
        goal = self.requests + requests
        async with asyncio.timeout(60):
            while self.requests < goal and not self.failed:
                await asyncio.sleep(0.002)


class Connection:
    """One client with keep-alive. It opens a new connection only when the server said that it would close this one."""

    def __init__(self, address: str, port: int, host: str = "", tls: ssl.SSLContext | None = None) -> None:
        self._address, self._port = address, port
        self._tls: dict[str, Any] = {"ssl": tls, "server_hostname": host} if tls is not None else {}
        self._request = f"GET /load HTTP/1.1\r\nHost: {host or address}\r\n\r\n".encode()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self) -> tuple[int, bytes]:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._address, self._port, **self._tls)
        assert self._reader is not None
        self._writer.write(self._request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await self._reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        return int(head[0].split()[1]), body

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None


@asynccontextmanager
async def load(
    address: str, port: int, clients: int = 4, host: str = "", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Load]:
    found = Load()

    async def client() -> None:
        connection = Connection(address, port, host, tls)
        try:
            while True:
                try:
                    async with asyncio.timeout(60):
                        status, body = await connection.ask()
                except (OSError, EOFError, TimeoutError) as error:
                    found.failed.append(repr(error))
                    return
                if status == 200:
                    found.answered[json.loads(body)["target"]] += 1
                else:
                    found.failed.append(f"{status}: {body[:200]!r}")
        finally:
            connection.close()

    tasks = [asyncio.create_task(client()) for _ in range(clients)]
    try:
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
