"""WebSockets beside HTTP on one port. The client is the library's; what is behind is ASGI."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from havre.apps.http import websocket
from havre.apps.http.exchange import HIGH_WATER
from havre.apps.http.listeners import Listeners
from havre.apps.own_tls import OwnTls
from havre.control.certificates.authority import Authority


class Application:
    """``/echo`` says it again, ``/slow`` takes nothing until it is told to, ``/flood`` never stops."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.scopes: list[dict[str, Any]] = []
        self.ended: list[str] = []
        self.sent = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            body = b"http:" + (await receive())["body"]
            headers = [(b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        self.scopes.append(scope)
        assert (await receive())["type"] == "websocket.connect"
        if scope["path"] == "/closed":
            await send({"type": "websocket.close", "code": 1008})
            return
        await send({"type": "websocket.accept"})
        if scope["path"] == "/fail":
            raise ValueError("wanted")
        try:
            await self._talk(scope["path"], receive, send)
        except ConnectionError:
            self.ended.append("raised")

    async def _talk(self, path: str, receive: Any, send: Any) -> None:
        if path == "/slow":
            await self.go.wait()
        while path == "/flood":
            await send({"type": "websocket.send", "bytes": b"x" * 65536})
            self.sent += 65536
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "bye":
                await send({"type": "websocket.close", "code": 4000, "reason": "as you like"})
                return
            await send({**message, "type": "websocket.send"})
        self.ended.append(message["type"])


@pytest.fixture
async def app() -> Application:
    return Application()


@pytest.fixture
async def listeners(app: Application) -> AsyncIterator[Listeners]:
    made = Listeners(app)
    await made.open("127.0.0.1", 0)
    yield made
    await made.close(1)


@pytest.fixture
def port(listeners: Listeners) -> int:
    found: int = next(iter(listeners._servers.values())).sockets[0].getsockname()[1]
    return found


async def eventually(seen: Any) -> None:
    async with asyncio.timeout(30):
        while not seen():
            await asyncio.sleep(0.01)


async def test_words_and_bytes_go_both_ways(app: Application, port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/echo?role=me") as socket:
        for said in ("hello", b"bytes", "", b"z" * 1_000_000, "é" * 70_000):
            await socket.send(said)
            assert await socket.recv() == said
        await socket.send(["in ", "three ", "pieces"])
        assert await socket.recv() == "in three pieces"
        await (await socket.ping())
    scope = app.scopes[0]
    assert (scope["scheme"], scope["path"], scope["query_string"]) == ("ws", "/echo", b"role=me")
    await eventually(lambda: app.ended == ["websocket.disconnect"])


async def test_the_application_closes_with_its_word(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/echo") as socket:
        await socket.send("bye")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "as you like")


async def test_one_that_fails_says_so(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/fail") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1011


async def test_one_that_does_not_want_refuses(port: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"ws://127.0.0.1:{port}/closed"):
            pass
    assert refused.value.response.status_code == 403


async def test_too_long_a_message_ends_the_connection(app: Application, port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/echo", max_size=None) as socket:
        await socket.send(b"x" * (websocket.LARGEST + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
    await eventually(lambda: app.ended == ["websocket.disconnect"])


async def test_a_client_waits_for_an_application_that_takes_nothing(app: Application, port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/slow") as socket:
        sent = 0

        async def push() -> None:
            nonlocal sent
            for _ in range(1000):
                await socket.send(b"x" * 65536)
                sent += 65536

        pushing = asyncio.ensure_future(push())
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.3)
        assert HIGH_WATER < sent < 1000 * 65536
        app.go.set()
        got = 0
        while got < 1000 * 65536:
            got += len(await socket.recv())
        await pushing


async def test_an_application_waits_for_a_client_that_takes_nothing(app: Application, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(
        b"GET /flood HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"101" in head and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    before = -1
    while app.sent != before:
        before = app.sent
        await asyncio.sleep(0.3)
    writer.transport.abort()
    await eventually(lambda: app.ended == ["raised"])


async def test_who_pings_and_takes_no_answer_has_to_wait(listeners: Listeners, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(
        b"GET /slow HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    sent = 0

    async def push() -> None:
        nonlocal sent
        for _ in range(2000):
            writer.write((b"\x89\xfd" + bytes(4) + b"p" * 125) * 500)
            await writer.drain()
            sent += 1

    pushing = asyncio.ensure_future(push())
    before = -1
    while sent != before:
        before = sent
        await asyncio.sleep(0.3)
    assert sent < 2000
    (connection,) = listeners._shared.connections
    assert connection.transport.get_write_buffer_size() < 1 << 20
    pushing.cancel()
    writer.transport.abort()


async def test_http_goes_on_beside_it_and_other_upgrades_are_left_alone(port: int) -> None:
    async def ask(more: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(-1), 30)
        writer.close()
        return answer

    assert (await ask(b"Connection: close")).endswith(b"http:")
    assert (await ask(b"Upgrade: websocket\r\nConnection: close")).endswith(b"http:")
    both = await ask(b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET / HTTP/1.1\r\nConnection: close")
    assert both.count(b"200 OK") == 2
    body = b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nConnection: close"
    answer = await ask(body)
    assert answer.count(b"200 OK") == 2 and b"http:abc" in answer
    assert (await ask(b"Connection: Upgrade, close\r\nUpgrade: h2c")).endswith(b"http:")
    assert b"HTTP/1.1 400" in await ask(b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13")


async def test_the_end_of_the_process_ends_it(app: Application, listeners: Listeners, port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/echo") as socket:
        await socket.send("hello")
        await socket.recv()
        await listeners.close(5)
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert app.ended == ["websocket.disconnect"]


async def test_over_tls(app: Application, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "test")
    tls = OwnTls(authority, ("localhost", "127.0.0.1"), time.time)
    made = Listeners(app)
    await made.open("127.0.0.1", 0, tls.context)
    port = next(iter(made._servers.values())).sockets[0].getsockname()[1]
    trust = ssl.create_default_context(cafile=str(authority.certificate_file))
    try:
        async with connect(f"wss://127.0.0.1:{port}/echo", ssl=trust) as socket:
            await socket.send("hello")
            assert await socket.recv() == "hello"
        assert app.scopes[0]["scheme"] == "wss"
    finally:
        await made.close(1)
