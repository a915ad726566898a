"""The port to which a debugger connects."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.control.functions.harness import ground

from havre.control.functions.debugging import DebugDoors, Streams
from havre.engines.sandbox import Sandbox

ONE, TWO = Sandbox("one", 1, -1), Sandbox("two", 2, -1)


def awake() -> None:
    """It is already."""


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
    await doors.lead(port, ONE, awake)
    assert await say(port, b"hello") == f"one:{port}:hello".encode()
    await doors.lead(port, TWO, awake)
    doors.close(ONE)
    assert await say(port, b"hello") == f"two:{port}:hello".encode()
    doors.close(TWO)
    with pytest.raises(OSError):
        await say(port, b"hello")


async def test_who_is_connected_keeps_it_awake(doors: DebugDoors) -> None:
    port = free()
    woken: list[bool] = []
    await doors.lead(port, ONE, lambda: woken.append(doors.in_use(ONE)))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readexactly(4)
    assert woken == [True], "and nobody freezes it again"
    assert doors.in_use(ONE) and not doors.in_use(TWO)
    writer.close()
    while doors.in_use(ONE):
        await asyncio.sleep(0.005)


async def test_who_connects_wakes_an_environment_that_was_idle(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        port = free()
        await g.invoke(g.function("def handler(event, context):\n    return 1", debug_port=port))
        while not g.engine.calls["freeze"]:
            await asyncio.sleep(0.005)
        assert not g.engine.calls["thaw"], "nobody has asked for anything"
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        while not g.engine.calls["thaw"]:
            await asyncio.sleep(0.005)
        writer.close()


async def test_a_port_that_somebody_has_hinders_nothing(doors: DebugDoors) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        await doors.lead(taken.getsockname()[1], ONE, awake)
        assert not doors.in_use(ONE)
    doors.close(ONE)
