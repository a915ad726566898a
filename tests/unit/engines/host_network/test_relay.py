"""The way from a VPC to the API: connections that are cut off at one end end at the other, and nothing else happens."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import pytest
import uvloop

from havre.engines.host_network import relay as relay_module
from havre.engines.host_network.relay import Relay

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing resets."""


async def _resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


async def _echoes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(-1))
    writer.close()


async def _conversation(server: Any) -> tuple[bytes, list[dict[str, Any]]]:
    """(what came back, what nobody has handled)."""
    loud: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: loud.append(context))
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    listener = socket.create_server(("127.0.0.1", 0))
    relay = Relay(*listening.sockets[0].getsockname())
    await relay.serve(listener)
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(b"x")
    await writer.drain()
    if server is _echoes:
        writer.write_eof()
    came = b""
    try:
        came = await reader.read(-1)
    except ConnectionError:
        pass
    writer.close()
    while relay._passing:
        await asyncio.sleep(0.01)
    for _ in range(5):  # what a task has raised is told when it is forgotten
        await asyncio.sleep(0)
    relay.close()
    listening.close()
    return came, loud


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize(("server", "answer"), [(_resets, b""), (_echoes, b"x")], ids=["resets", "echoes"])
def test_an_end_that_is_cut_off_ends_the_other_quietly(run: Any, server: Any, answer: bytes) -> None:
    assert run(_conversation(server)) == (answer, [])


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_process_that_ends_in_the_middle_of_it_is_quiet(run: Any) -> None:
    loud: list[dict[str, Any]] = []

    async def scene() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: loud.append(context))
        begun = asyncio.Event()
        listening = await asyncio.start_server(lambda reader, writer: begun.set(), "127.0.0.1", 0)
        listener = socket.create_server(("127.0.0.1", 0))
        relay = Relay(*listening.sockets[0].getsockname())
        await relay.serve(listener)
        _, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"x")
        await begun.wait()
        relay.close()

    run(scene())
    assert loud == []


async def test_one_address_does_not_keep_the_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "EACH", 3)
    listening = await asyncio.start_server(_echoes, "127.0.0.1", 0)
    listener = socket.create_server(("0.0.0.0", 0))
    relay = Relay(*listening.sockets[0].getsockname())
    await relay.serve(listener)
    port = listener.getsockname()[1]
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    while len(relay._passing) < 3:
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read(-1) == b""
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
    writer.write(b"other")
    writer.write_eof()
    assert await reader.read(-1) == b"other"
    writer.close()
    for _, writer in held:
        writer.close()
    while relay._passing:
        await asyncio.sleep(0.01)
    assert not relay._from
    relay.close()
    listening.close()
