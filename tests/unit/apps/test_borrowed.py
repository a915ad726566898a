"""The process with the borrowed services, when the server goes in the middle of a change."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import uvloop

from havre.apps.borrowed import Desk
from havre.engines.borrowed import Refused


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_what_a_server_that_is_gone_would_be_told_is_told_to_nobody(run: Any, tmp_path: Path) -> None:
    async def scene() -> None:
        met: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
        listening = await asyncio.start_server(lambda _, writer: met.set_result(writer), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
        desk = Desk(tmp_path, reader, writer)
        (await met).transport.abort()
        with pytest.raises((EOFError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()
        await asyncio.sleep(0.01)
        desk._send(Refused(1, "late"), b"body")
        listening.close()

    run(scene())
