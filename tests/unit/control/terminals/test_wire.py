"""The connection of one session: an end that has gone is told of, however it went."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop

from havre.control.terminals.messages import Output, Wire
from havre.kernel.errors import Temporary


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_what_is_sent_to_nobody_says_so(run: Any) -> None:
    async def scene() -> None:
        met: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(lambda _, writer: met.set_result(writer), "127.0.0.1", 0)
        wire = Wire(*await asyncio.open_connection(*server.sockets[0].getsockname()))
        (await met).transport.abort()
        assert await wire.receive() is None
        wire.close()
        await asyncio.sleep(0.01)
        with pytest.raises(Temporary):
            await wire.send(Output(b"late"))
        server.close()

    run(scene())
