"""Bodies and answers in one go, which applications may use instead of ``receive`` and ``send``."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from havre.apps.http.exchange import ANSWER, BODY, Exchange
from havre.apps.http.listeners import Listeners

taken: list[bytes | None] = []


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    body = scope[BODY]()
    taken.append(body)
    if body is None:
        body = b""
        while (message := await receive())["more_body"]:
            body += message["body"]
        body += message["body"]
    headers = {
        "/split": [("x-a", "b\r\nx-c: d")],
        "/framed": [("Content-Length", "3"), ("Transfer-Encoding", "chunked")],
    }.get(scope["path"], [("X-Path", scope["path"])])
    if scope[ANSWER](404 if scope["path"] == "/gone" else 200, headers, body):
        return
    sized = [(b"content-length", b"%d" % len(body)), (b"x-by", b"send")]
    if scope["path"] == "/split-sent":
        sized.append((b"x-a", b"b\nx-c: d"))
    await send({"type": "http.response.start", "status": 200, "headers": sized})
    await send({"type": "http.response.body", "body": body})


async def talk(*pieces: bytes) -> bytes:
    taken.clear()
    listeners = Listeners(application)
    await listeners.open("127.0.0.1", 0)
    try:
        port = next(iter(listeners._servers.values())).sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        answer = await asyncio.wait_for(reader.read(), 90)
        writer.close()
        return answer
    finally:
        await listeners.close(1)


LAST = b"GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


async def test_a_body_that_is_there_is_taken_and_answered_whole() -> None:
    ask = b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"
    answer = await talk(ask, ask.replace(b"/a", b"/gone") + LAST)
    assert taken == [b"abc", b"abc", b""]
    first, second, last = answer.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200 OK\r\ndate: ") and first.endswith(b"\r\nx-path: /a\r\ncontent-length: 3\r\n\r\nabc")
    assert second.startswith(b"404 Not Found\r\n") and second.endswith(b"\r\n\r\nabc")
    assert b"x-by: send" in last, "what closes the connection is said by send"


async def test_a_body_that_is_still_coming_is_received() -> None:
    answer = await talk(b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nabc", b"def", LAST)
    assert taken == [None, b""]
    assert b"\r\nx-path: /a\r\ncontent-length: 6\r\n\r\nabcdef" in answer


@pytest.mark.parametrize("ask", [
    b"HEAD /a HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET /a HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    b"GET /framed HTTP/1.1\r\nhost: x\r\n\r\n",
])  # fmt: skip
async def test_what_is_not_ordinary_is_left_to_send(ask: bytes) -> None:
    answer = await talk(ask, LAST)
    assert answer.count(b"x-by: send") == 2 and answer.count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize(("path", "close"), [(b"/split", b""), (b"/split-sent", b"connection: close\r\n")])
async def test_a_header_never_becomes_two(path: bytes, close: bytes) -> None:
    answer = await talk(b"GET " + path + b" HTTP/1.1\r\nhost: x\r\n" + close + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 500 ") and b"x-c" not in answer


async def test_an_exchange_leaves_no_circle_behind() -> None:
    gc.collect()
    gc.disable()
    try:
        await talk(b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc" * 4 + LAST)
        assert len(taken) == 5
        assert not [each for each in gc.get_objects() if isinstance(each, Exchange)]
    finally:
        gc.enable()
