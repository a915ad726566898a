"""The process with the borrowed services dies: what is asked in the moment before that is noticed goes to the next one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import uvloop

from havre.apps.beside import Beside
from havre.engines.borrowed import Deliver


async def _nothing(frame: Deliver, body: bytes) -> None:
    return


class _Writers:
    """Connections to processes that never answer."""

    def __init__(self) -> None:
        self.ends: list[asyncio.StreamWriter] = []
        self.began = 0

    async def spawn(self) -> asyncio.StreamWriter:
        self.began += 1
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        return writer

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.ends.append(writer)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_lost_connection_is_written_to_by_nobody(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        writers = _Writers()
        services = Beside(tmp_path, _nothing)
        monkeypatch.setattr(services, "_spawn", writers.spawn)
        first = await services.start()
        waits: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        services._waiting[1] = waits
        first.transport.abort()
        while not first.is_closing():
            await asyncio.sleep(0)
        second = await services.start()
        assert second is not first
        assert writers.began == 2
        assert waits.exception() is not None
        second.transport.abort()
        while not second.is_closing():
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        await services._hand_over(Deliver(7, "000000000000", "us-east-1", "bucket", "", 0.0), b"")

    run(scene())
