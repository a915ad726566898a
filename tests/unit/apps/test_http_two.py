"""HTTP/2 without TLS, as clients speak it who know that we do: several requests at once, windows, breaches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes

from havre.apps.http import two
from havre.apps.http.listeners import Listeners

LONG = b"0123456789" * 100_000
gone: list[str] = []


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = scope["path"]
    if path == "/fail":
        raise ValueError("wanted")
    if path == "/wait":
        while (message := await receive())["type"] != "http.disconnect":
            pass
        gone.append(message["type"])
        return
    body, message = b"", {"more_body": path != "/unread"}
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    headers = dict(scope["headers"])
    told = LONG if path == "/long" else b"%s %s %s %s" % (
        scope["method"].encode(), path.encode(), headers[b"host"], headers.get(b"cookie", b"") or body
    )  # fmt: skip
    start = [(b"content-length", b"%d" % len(told)), (b"connection", b"keep-alive")]
    await send({"type": "http.response.start", "status": 200, "headers": start})
    if path == "/half":
        return
    if path == "/cut":
        raise ConnectionAbortedError("its source has failed")
    await send({"type": "http.response.body", "body": told})


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.answers: dict[int, tuple[dict[str, str], bytes]] = {}
        self.ended: dict[int, str] = {}
        self.flush()

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def ask(self, path: str, body: bytes = b"", method: str = "POST", more: tuple[tuple[str, str], ...] = ()) -> int:
        id = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "h"), *more]
        self.h2.send_headers(id, head, end_stream=not body)
        if body:
            self.h2.send_data(id, body, end_stream=True)
        self.flush()
        return id

    async def turn(self) -> bool:
        """False at the end of the connection."""
        data = await self.reader.read(65536)
        for event in self.h2.receive_data(data):
            if isinstance(event, events.ResponseReceived):
                self.answers[event.stream_id] = ({str(n): str(v) for n, v in event.headers}, b"")
            elif isinstance(event, events.DataReceived):
                head, body = self.answers[event.stream_id]
                self.answers[event.stream_id] = head, body + event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, events.StreamEnded):
                self.ended[event.stream_id] = "ended"
            elif isinstance(event, events.StreamReset):
                self.ended.setdefault(event.stream_id, "reset")
        self.flush()
        return bool(data)

    async def answer(self, id: int) -> tuple[str, bytes]:
        while id not in self.ended:
            assert await self.turn(), "the connection ended"
        head, body = self.answers.get(id, ({}, b""))
        return head.get(":status", self.ended[id]), body


@pytest.fixture
async def port() -> AsyncIterator[int]:
    listeners = Listeners(application)
    await listeners.open("127.0.0.1", 0)
    yield next(iter(listeners._servers.values())).sockets[0].getsockname()[1]
    await listeners.close(1)


@pytest.fixture
async def client(port: int) -> AsyncIterator[Client]:
    made = Client(*await asyncio.open_connection("127.0.0.1", port))
    yield made
    made.writer.close()


async def test_requests_one_after_another_and_at_once(client: Client) -> None:
    assert await client.answer(client.ask("/a%20b", b"body")) == ("200", b"POST /a b h body")
    ids = [client.ask(f"/{n}", b"%d" % n) for n in range(20)]
    assert [await client.answer(id) for id in ids] == [("200", b"POST /%d h %d" % (n, n)) for n in range(20)]
    head = client.answers[ids[0]][0]
    assert "date" in head and "connection" not in head
    assert await client.answer(client.ask("/head", method="HEAD")) == ("200", b"")
    pieces = (("cookie", "a=1"), ("cookie", "b=2"))
    assert await client.answer(client.ask("/c", more=pieces)) == ("200", b"POST /c h a=1; b=2")


async def test_answers_longer_than_any_window(client: Client) -> None:
    ids = [client.ask("/long") for _ in range(3)]
    for id in ids:
        assert await client.answer(id) == ("200", LONG)


async def test_bodies_longer_than_any_window(client: Client) -> None:
    id = client.h2.get_next_available_stream_id()
    client.h2.send_headers(id, [(":method", "PUT"), (":path", "/p"), (":scheme", "http"), (":authority", "h")])
    left = memoryview(LONG)
    while left:
        size = min(len(left), client.h2.local_flow_control_window(id), client.h2.max_outbound_frame_size)
        if size:
            client.h2.send_data(id, bytes(left[:size]))
            left = left[size:]
            client.flush()
        else:
            assert await client.turn()
    client.h2.end_stream(id)
    client.flush()
    assert await client.answer(id) == ("200", b"PUT /p h " + LONG)


async def test_what_the_application_leaves_open(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    assert (await client.answer(client.ask("/fail")))[0] == "500"
    half = client.ask("/half")
    await client.answer(half)
    assert client.ended[half] == "reset"
    assert await client.answer(client.ask("/unread", b"x" * 1000)) == ("200", b"POST /unread h ")
    assert await client.answer(client.ask("/after", b"y")) == ("200", b"POST /after h y")
    assert "the application failed on POST /fail" in caplog.text


async def test_an_answer_that_is_cut_off_on_purpose_is_a_line_at_most(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    cut = client.ask("/cut")
    await client.answer(cut)
    assert client.ended[cut] == "reset"
    [record] = [r for r in caplog.records if r.name.startswith("havre")]
    assert record.message == "POST /cut was cut off: its source has failed" and record.exc_info is None


async def test_the_application_hears_of_a_client_that_takes_back_its_request_or_goes(client: Client) -> None:
    gone.clear()
    client.h2.reset_stream(client.ask("/wait"), ErrorCodes.CANCEL)
    assert await client.answer(client.ask("/still", b"z")) == ("200", b"POST /still h z")
    client.ask("/wait")
    await client.answer(client.ask("/there", b"z"))
    client.writer.close()
    async with asyncio.timeout(30):
        while len(gone) < 2:
            await asyncio.sleep(0.01)


async def test_breaches_end_the_connection(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for wrong in (bytes(9), b"\0\0\4\1\4\0\0\0\1\xff\xff\xff\xff", b"a frame that is longer than it may be " * 5000):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(preface + wrong)
        async with asyncio.timeout(30):
            await reader.read()
        writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(preface + bytes.fromhex("000000040000000000"))
    with pytest.raises(ConnectionError):  # pings whose answers nobody takes
        for _ in range(4000):
            writer.write(bytes.fromhex("0000080600000000000000000000000000") * 1000)
            await writer.drain()
    writer.close()
    monkeypatch.setattr(two, "RESETS", 5)
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    for _ in range(7):
        client.h2.reset_stream(client.ask("/wait"), ErrorCodes.CANCEL)
        client.flush()
    async with asyncio.timeout(30):
        while await client.turn():
            pass
    client.writer.close()
