"""Long bodies pass the parser by, files go from the page cache to the socket: whatever the cuts and whoever hangs up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from havre.apps.http import files
from havre.apps.http.listeners import Listeners

LONG = 300_000


class Application:
    """Echoes bodies; ``/file`` sends ``count`` bytes of a file, announcing ``length``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = self.length = path.stat().st_size
        self.ended = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert "http.response.zerocopysend" in scope["extensions"]
        if scope["path"] == "/file":
            await self._file(send)
            return
        body = b""
        while True:
            message = await receive()
            assert message["type"] == "http.request"
            body += message["body"]
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    async def _file(self, send: Any) -> None:
        headers = [(b"content-length", b"%d" % self.length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        file = os.open(self.path, os.O_RDONLY)
        try:
            await send({"type": "http.response.zerocopysend", "file": file, "offset": 1, "count": self.count - 1})
        finally:
            os.close(file)
            self.ended.set()


@pytest.fixture
def application(tmp_path: Path) -> Application:
    path = tmp_path / "file"
    path.write_bytes(b"-" + os.urandom(3 << 20))
    made = Application(path)
    made.length -= 1
    return made


@pytest.fixture
async def port(application: Application) -> AsyncIterator[int]:
    listeners = Listeners(application)
    await listeners.open("127.0.0.1", 0)
    yield next(iter(listeners._servers.values())).sockets[0].getsockname()[1]
    await listeners.close(1)


async def _answers(port: int, *pieces: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.get_running_loop().create_task(reader.read())
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    whole = await asyncio.wait_for(answer, 90)
    writer.close()
    return whole


def _post(body: bytes, more: bytes = b"") -> bytes:
    return b"POST /echo HTTP/1.1\r\nhost: x\r\n%scontent-length: %d\r\n\r\n%s" % (more, len(body), body)


@pytest.mark.parametrize("cut", [1, 70, 70_000, LONG - 1])
async def test_long_bodies_cut_anywhere_and_pipelined(port: int, cut: int) -> None:
    first, second, third = os.urandom(LONG), os.urandom(LONG + 7), b"short"
    stream = _post(first) + _post(second) + _post(third, b"connection: close\r\n")
    answer = await _answers(port, stream[:cut], stream[cut : LONG + cut], stream[LONG + cut :])
    bodies = [part.split(b"\r\n\r\n", 1)[1] for part in answer.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert bodies == [first, second, third]


async def test_a_long_length_beside_chunks_is_refused(port: int) -> None:
    head = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 300000\r\ntransfer-encoding: chunked\r\n\r\n"
    assert (await _answers(port, head + b"0\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_a_file_is_sent_whole_between_other_answers(port: int, application: Application) -> None:
    get = b"GET /file HTTP/1.1\r\nhost: x\r\n\r\n"
    answer = await _answers(port, _post(b"one") + get + get + _post(b"two", b"connection: close\r\n"))
    content = application.path.read_bytes()[1:]
    parts = answer.split(b"HTTP/1.1 200 OK\r\n")
    assert answer.count(content) == 2
    assert parts[1].endswith(b"one") and parts[-1].endswith(b"two")


async def test_a_slow_reader_gets_all_and_holds_up_nobody(
    port: int, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SLICE", 100_000)
    application.path.write_bytes(os.urandom(24 << 20))
    application.count, application.length = 24 << 20, (24 << 20) - 1
    slow = [await asyncio.open_connection("127.0.0.1", port, limit=65536) for _ in range(files.WORKERS + 2)]
    for _, writer in slow:
        writer.write(b"GET /file HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    await asyncio.sleep(0.1)
    get = b"GET /file HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    content = application.path.read_bytes()[1:]
    assert (await _answers(port, get)).endswith(content)
    for reader, writer in slow:
        assert (await asyncio.wait_for(reader.read(), 90)).endswith(content)
        writer.close()


async def test_a_reader_that_hangs_up_ends_the_sending(port: int, application: Application) -> None:
    application.path.write_bytes(os.urandom(24 << 20))
    application.count, application.length = 24 << 20, (24 << 20) - 1
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=65536)
    writer.write(b"GET /file HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readexactly(1000)
    writer.transport.abort()
    await asyncio.wait_for(application.ended.wait(), 90)
    assert (await _answers(port, _post(b"on", b"connection: close\r\n"))).endswith(b"on")


async def test_a_file_that_is_too_short_cuts_the_answer(port: int, application: Application) -> None:
    application.count += 1000
    application.length += 1000
    answer = await _answers(port, b"GET /file HTTP/1.1\r\nhost: x\r\n\r\n")
    assert len(answer) < application.length + 100


async def test_a_file_longer_than_announced_is_not_sent(port: int, application: Application) -> None:
    application.length = 10
    answer = await _answers(port, b"GET /file HTTP/1.1\r\nhost: x\r\n\r\n")
    assert len(answer) < 1000
