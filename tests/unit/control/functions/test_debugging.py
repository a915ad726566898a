"""The port to which a debugger connects."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from havre.control.functions.debugging import DebugDoors, Streams
from havre.engines.sandbox import Sandbox

ONE, TWO = Sandbox("one", 1, -1), Sandbox("two", 2, -1)


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
async def doors() -> AsyncIterator[DebugDoors]:
    """What is said inside of a sandbox comes back with its name before it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    inside = await asyncio.start_server(answer, "127.0.0.1", 0)

    async def connect(sandbox: Sandbox, port: int) -> Streams:
        reader, writer = await asyncio.open_connection(*inside.sockets[0].getsockname())
        writer.write(f"{sandbox.id}:{port}:".encode())
        return reader, writer

    made = DebugDoors(connect)
    yield made
    made.close(ONE)
    made.close(TWO)
    inside.close()


async def say(port: int, words: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(words)
    writer.write_eof()
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_it_leads_into_the_one_that_began_last(doors: DebugDoors) -> None:
    port = free()
    await doors.lead(port, ONE)
    assert await say(port, b"hello") == f"one:{port}:hello".encode()
    await doors.lead(port, TWO)
    doors.close(ONE)
    assert await say(port, b"hello") == f"two:{port}:hello".encode()
    doors.close(TWO)
    with pytest.raises(OSError):
        await say(port, b"hello")


async def test_who_is_connected_keeps_it_awake(doors: DebugDoors) -> None:
    port = free()
    await doors.lead(port, ONE)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readexactly(4)
    assert doors.in_use(ONE) and not doors.in_use(TWO)
    writer.close()
    while doors.in_use(ONE):
        await asyncio.sleep(0.005)


async def test_a_port_that_somebody_has_hinders_nothing(doors: DebugDoors) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        await doors.lead(taken.getsockname()[1], ONE)
        assert not doors.in_use(ONE)
    doors.close(ONE)
