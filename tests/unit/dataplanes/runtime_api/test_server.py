"""The Runtime API's HTTP: whatever way requests come in pieces, what is too much, and what is nothing of it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.control.functions.api import USUAL_CONNECTIONS, Exchange, Sink
from havre.dataplanes.runtime_api.routes import route
from havre.dataplanes.runtime_api.server import MAX_BODY, Connection, Server


class Environment:
    """Answers everything at once, and remembers it."""

    connections = USUAL_CONNECTIONS

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.pieces: list[bytes] = []
        self.whole: list[bool] = []

    def next(self, exchange: Exchange) -> None:
        self.asked.append(("next",))
        exchange.answer(200, b"event", b"Lambda-Runtime-Aws-Request-Id: r\r\n")

    def response(self, exchange: Exchange, request_id: str) -> None:
        size = len(exchange.body)
        self.asked.append(("response", request_id, size, exchange.too_large, exchange.header(b"content-type")))
        exchange.answer(202)

    def stream(self, exchange: Exchange, request_id: str) -> Sink | None:
        return self if request_id == "r" else exchange.answer(400)  # type: ignore[func-returns-value]

    def piece(self, data: bytes) -> None:
        self.pieces.append(data)

    def end(self, exchange: Exchange, whole: bool) -> None:
        self.whole.append(whole)
        self.asked.append(("stream", exchange.header(b"lambda-runtime-function-error-type")))
        exchange.answer(202)

    def error(self, exchange: Exchange, request_id: str) -> None:
        self.asked.append(("error", request_id, exchange.body))
        exchange.answer(202)

    def __getattr__(self, name: str) -> Any:
        def note(exchange: Exchange, *more: Any) -> None:
            self.asked.append((name, *more))
            exchange.answer(200)

        return note


@pytest.fixture
async def served() -> AsyncIterator[tuple[Environment, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    environment = Environment()
    server = Server(listener.detach(), environment)  # type: ignore[arg-type]
    yield environment, port
    server.close()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[int, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        return int(head.split()[1]), await self.reader.readexactly(length)

    async def say(self, *pieces: bytes) -> tuple[int, bytes]:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0.002)
        return await self.answer()


async def dial(port: int) -> Client:
    return Client(*await asyncio.open_connection("127.0.0.1", port))


NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"
RESPONSE = b"POST /2018-06-01/runtime/invocation/r/response HTTP/1.1\r\n"


@pytest.mark.parametrize("cut", [0, 3, 40, len(NEXT) - 2, len(NEXT) - 1])
async def test_next_however_it_comes(served: tuple[Environment, int], cut: int) -> None:
    environment, port = served
    client = await dial(port)
    for _ in range(2):
        assert await client.say(*filter(None, (NEXT[:cut], NEXT[cut:]))) == (200, b"event")
    assert environment.asked == [("next",)] * 2


async def test_answers_of_all_sizes(served: tuple[Environment, int]) -> None:
    environment, port = served
    client = await dial(port)
    for size in (0, 5, 100_000, MAX_BODY, MAX_BODY + 1):
        head = RESPONSE + b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % size
        assert (await client.say(head, b"x" * size))[0] == 202
        assert await client.say(NEXT) == (200, b"event")
    seen = [asked[2:4] for asked in environment.asked if asked[0] == "response"]
    assert seen == [(0, False), (5, False), (100_000, False), (MAX_BODY, False), (0, True)]


async def test_expecting_to_be_told_to_go_on(served: tuple[Environment, int]) -> None:
    _, port = served
    client = await dial(port)
    client.writer.write(RESPONSE + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert b"100 Continue" in await client.reader.readuntil(b"\r\n\r\n")
    assert (await client.say(b"{}"))[0] == 202


async def test_a_stream_and_its_trailers(served: tuple[Environment, int]) -> None:
    environment, port = served
    client = await dial(port)
    head = RESPONSE + b"Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n"
    trailers = b"0\r\nLambda-Runtime-Function-Error-Type: Late\r\n\r\n"
    assert (await client.say(head, b"3\r\none\r\n", b"3\r\ntwo\r\n", trailers))[0] == 202
    assert (b"".join(environment.pieces), environment.whole, environment.asked[-1]) == (
        b"onetwo",
        [True],
        ("stream", "Late"),
    )
    assert await client.say(NEXT) == (200, b"event")


async def test_a_stream_that_breaks_off(served: tuple[Environment, int]) -> None:
    environment, port = served
    client = await dial(port)
    client.writer.write(
        RESPONSE + b"Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
    )
    while not environment.pieces:
        await asyncio.sleep(0.005)
    client.writer.close()
    while not environment.whole:
        await asyncio.sleep(0.005)
    assert environment.whole == [False]


async def test_a_stream_that_nobody_wants_is_read_to_its_end(served: tuple[Environment, int]) -> None:
    _, port = served
    client = await dial(port)
    head = RESPONSE.replace(b"/r/", b"/other/") + b"Lambda-Runtime-Function-Response-Mode: streaming\r\n"
    assert (await client.say(head + b"Content-Length: 6\r\n\r\n", b"one", b"two"))[0] == 400
    assert await client.say(NEXT) == (200, b"event")


@pytest.mark.parametrize(
    "nonsense", [b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * (3 << 20), NEXT + NEXT]
)
async def test_what_is_no_conversation_ends(served: tuple[Environment, int], nonsense: bytes) -> None:
    environment, port = served
    environment.next = lambda exchange: None  # type: ignore[method-assign]
    client = await dial(port)
    client.writer.write(nonsense)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.reader.readexactly(1 << 20)


@pytest.mark.parametrize("piece", [b"X-%d: " + b"y" * 65536 + b"\r\n", b"y" * 65536])
async def test_trailers_without_end_are_not_kept(served: tuple[Environment, int], piece: bytes) -> None:
    """Headers that never end, and one header that never does."""
    _, port = served
    client = await dial(port)
    client.writer.write(RESPONSE + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n" + b"X" * (b"%d" not in piece))
    with pytest.raises(ConnectionError):
        for number in range(1000):
            client.writer.write(piece.replace(b"%d", b"%d" % number) if b"%d" in piece else piece)
            await client.writer.drain()


async def test_bodies_that_come_side_by_side_have_a_bound_together(served: tuple[Environment, int]) -> None:
    environment, port = served
    half = MAX_BODY // 2
    clients = [await dial(port) for _ in range(5)]
    for client in clients:
        client.writer.write(RESPONSE + b"Content-Length: %d\r\n\r\n" % MAX_BODY + b"x" * half)
        await client.writer.drain()
    for client in clients:
        assert (await client.say(b"x" * (MAX_BODY - half)))[0] == 202
    kept = [asked[2] for asked in environment.asked]
    assert sum(kept) <= 3 * MAX_BODY and kept.count(0) >= 2
    assert await clients[0].say(RESPONSE + b"Content-Length: 5\r\n\r\n12345") == (202, b"")
    assert environment.asked[-1][2:4] == (5, False)
    clients[0].writer.write(RESPONSE + b"Content-Length: %d\r\n\r\n" % MAX_BODY + b"x" * half)
    await clients[0].writer.drain()
    clients[0].writer.close()
    for client in clients[1:3]:
        head = RESPONSE + b"Content-Length: %d\r\n\r\n" % MAX_BODY
        assert (await client.say(head, b"x" * MAX_BODY))[0] == 202
        assert environment.asked[-1][2:4] == (MAX_BODY, False)


async def test_only_answers_are_large(served: tuple[Environment, int]) -> None:
    environment, port = served
    environment.register = lambda exchange: exchange.answer(400 + exchange.too_large)  # type: ignore[attr-defined]
    client = await dial(port)
    for size, status in ((1000, 400), (1 << 20, 401)):
        head = b"POST /2020-01-01/extension/register HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size
        assert (await client.say(head, b"x" * size))[0] == status


class Transport:
    def __init__(self) -> None:
        self.reading = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


async def test_who_does_not_read_answers_is_asked_no_more(served: tuple[Environment, int]) -> None:
    environment, _ = served
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(listener.detach(), environment)  # type: ignore[arg-type]
    connection, transport = Connection(server), Transport()
    connection.connection_made(transport)
    connection.pause()
    connection.pause_writing()
    assert not transport.reading
    connection.resume()
    assert not transport.reading
    connection.resume_writing()
    assert transport.reading
    server.connections.clear()
    server.close()


async def test_who_does_not_wait_for_answers_is_hung_up_on(served: tuple[Environment, int]) -> None:
    """Thousands of requests that came together would be answered together, while everybody else waits."""
    _, port = served
    client = await dial(port)
    ping = b"GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n"
    assert await client.say(ping) == (200, b"pong")
    assert await client.say(ping * 1000) == (200, b"pong")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.answer()


async def test_other_paths(served: tuple[Environment, int]) -> None:
    environment, port = served
    client = await dial(port)
    for line, status in (
        (b"GET /2018-06-01/ping", 200),
        (b"GET /nowhere", 404),
        (b"DELETE /2018-06-01/runtime/invocation/next", 405),
        (b"GET /2018-06-01/runtime/invocation/r/response", 405),
    ):
        found, body = await client.say(line + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert found == status and (status == 200 or json.loads(body)["errorType"])
    found, _ = await client.say(b"PUT /2022-07-01/telemetry/ HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
    assert environment.asked[-1] == ("subscribe", "2022-07-01")


@given(st.binary(max_size=200), st.binary(max_size=10))
def test_any_path_is_some_route(url: bytes, method: bytes) -> None:
    assert route(method, url).what
