"""Servers elsewhere are asked within bounds: of their heads, their bodies, and of who they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from itertools import chain, repeat

import pytest

from havre.engines import web, webhook
from havre.kernel.errors import Permanent, Temporary

heard: list[bytes] = []


@asynccontextmanager
async def server(head: bytes, then: Iterator[bytes]) -> AsyncIterator[str]:
    """Answers so, and goes on for as long as somebody listens."""
    heard.clear()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        try:
            for piece in chain([head], then):
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    made = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with made:
        yield f"http://127.0.0.1:{made.sockets[0].getsockname()[1]}/a?b=c"


async def ask(url: str, most: int = 100_000) -> web.WebAnswer:
    return await web.fetch("GET", url, (), b"", 60, most)


async def test_an_answer() -> None:
    head = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 4\r\nA: b\r\n\r\n"
    async with server(head, iter([b"body"])) as url:
        answer = await ask(url)
    assert (answer.status, answer.body) == (201, b"body") and ("a", "b") in answer.headers
    assert heard[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")


async def test_a_body_in_small_chunks() -> None:
    pieces = iter([b"1\r\nx\r\n" * 90_000, b"0\r\n\r\n"])
    async with server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", pieces) as url:
        assert (await ask(url)).body == b"x" * 90_000


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"A: " + b"b" * 10_000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nA: ", b"b" * 10_000),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"b" * 4096 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: " + b"b" * 10_000 + b"\r\n"),
    ],
    ids=["headers", "a header", "informational answers", "body", "trailers"],
)
async def test_an_answer_without_an_end(head: bytes, piece: bytes) -> None:
    async with server(head, repeat(piece)) as url:
        with pytest.raises(Temporary, match=r"too long|more than"):
            await ask(url)


async def test_metadata_of_clouds_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_METADATA", (ip_network("127.0.0.0/8"),))
    async with server(b"HTTP/1.1 200 OK\r\n\r\n", iter(())) as url:
        with pytest.raises(Permanent, match="for this machine alone"):
            await ask(url)
    assert heard == []
