from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from havre.apps.http import exchange
from havre.apps.http.listeners import Listeners

Send = Callable[[dict[str, Any]], Any]


async def _read(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        body += message["body"]
        if not message["more_body"]:
            return body


async def application(scope: dict[str, Any], receive: Any, send: Send) -> None:
    path = scope["path"]
    if path == "/fail":
        raise ValueError("wanted")
    if path == "/cut":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        raise ConnectionAbortedError("its source has failed")
    if path == "/ignore":
        body = b"ignored"
    elif path == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        await send({"type": "http.response.body"})
        return
    elif path == "/short":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"abc"})
        return
    elif path == "/empty":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
        return
    else:
        body = f"{scope['method']} {path} ".encode() + await _read(receive)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    listeners = Listeners(application)
    await listeners.open("127.0.0.1", 0)
    yield next(iter(listeners._servers.values())).sockets[0].getsockname()[1]
    await listeners.close(1)


async def talk(port: int, *pieces: bytes, end: bool = True) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    if end:
        writer.write(b"GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 90)
    writer.close()
    return answer


async def test_keep_alive_and_pipelining(port: int) -> None:
    answer = await talk(port, b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n" * 5)
    assert answer.count(b"HTTP/1.1 200 OK") == 6
    assert answer.count(b"GET /a ") == 5
    assert answer.endswith(b"GET /last ")


async def test_bodies_sized_and_chunked(port: int) -> None:
    sized = await talk(port, b"POST /s HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhe", b"llo")
    assert b"POST /s hello" in sized
    chunked = await talk(
        port, b"PUT /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", b"0\r\n\r\n"
    )
    assert b"PUT /c abc" in chunked


async def test_a_body_larger_than_the_water_mark_arrives_whole(port: int) -> None:
    size = exchange.HIGH_WATER * 5
    head = f"POST /big HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n".encode()
    answer = await talk(port, head, b"x" * size)
    assert answer.count(b"x") > size - 1


async def test_a_response_without_length_is_chunked(port: int) -> None:
    answer = await talk(port, b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
    assert b"transfer-encoding: chunked" in answer
    assert b"3\r\nabc\r\n3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n" in answer


async def test_old_clients_get_the_end_of_the_connection(port: int) -> None:
    answer = await talk(port, b"GET /stream HTTP/1.0\r\n\r\n", end=False)
    assert b"chunked" not in answer
    assert answer.endswith(b"\r\n\r\nabcabcabc")


async def test_head_has_no_body(port: int) -> None:
    answer = await talk(port, b"HEAD /h HTTP/1.1\r\nhost: x\r\n\r\n")
    first, rest = answer.split(b"\r\n\r\n", 1)
    assert b"content-length: 8" in first
    assert rest.startswith(b"HTTP/1.1 200 OK")


async def test_no_content(port: int) -> None:
    answer = await talk(port, b"GET /empty HTTP/1.1\r\nhost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert b"chunked" not in answer.split(b"\r\n\r\n")[0]


@pytest.mark.parametrize("status", [204, 304])
async def test_a_body_where_none_may_be_is_no_answer_of_its_own(status: int) -> None:
    """The client would take it for the answer to its next request."""

    async def talks(scope: dict[str, Any], receive: Any, send: Send) -> None:
        headers = [(b"content-length", b"42")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"HTTP/1.1 200 OK\r\n", "more_body": True})
        await send({"type": "http.response.body", "body": b"content-length: 4\r\n\r\nevil"})

    answer = await answered(talks)
    assert answer.count(b"HTTP/1.1 %d " % status) == 2 and b"evil" not in answer


@pytest.mark.parametrize(
    ("status", "name"), [(100, b"x-a"), (101, b"x-a"), (200, b"x-a\r\nset-cookie"), (200, b"x-a: b\n"), (200, b"")]
)
async def test_what_would_be_two_answers_or_headers_is_none(status: int, name: bytes) -> None:
    async def talks(scope: dict[str, Any], receive: Any, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(name, b"1")]})
        await send({"type": "http.response.body", "body": b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"})

    answer = await answered(talks)
    assert answer.startswith(b"HTTP/1.1 500 ") and b"evil" not in answer and b"x-a" not in answer


async def answered(application: Any) -> bytes:
    """What a client gets who asks twice."""
    listeners = Listeners(application)
    await listeners.open("127.0.0.1", 0)
    port = next(iter(listeners._servers.values())).sockets[0].getsockname()[1]
    answer = await talk(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await listeners.close(1)
    return answer


async def test_continue_is_said_when_the_body_is_wanted(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /e HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n\r\n"
    )
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 90) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"ok")
    assert (await asyncio.wait_for(reader.read(), 90)).endswith(b"POST /e ok")
    writer.close()


async def test_a_body_that_nobody_reads_does_not_become_the_next_request(port: int) -> None:
    head = b"POST /ignore HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n"
    answer = await talk(port, head + b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n", end=False)
    assert answer.endswith(b"ignored")
    assert b"smuggled" not in answer


async def test_a_failing_application_answers_500(port: int) -> None:
    answer = await talk(port, b"GET /fail HTTP/1.1\r\nhost: x\r\n\r\n", end=False)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"wanted" not in answer


async def test_an_answer_that_is_cut_off_on_purpose_is_a_line_at_most(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    answer = await talk(port, b"GET /cut HTTP/1.1\r\nhost: x\r\n\r\n", end=False)
    assert answer.endswith(b"abc\r\n"), "its last chunk is missing"
    [record] = [r for r in caplog.records if r.name.startswith("havre")]
    assert record.message == "GET /cut was cut off: its source has failed" and record.exc_info is None


async def test_a_body_shorter_than_announced_cuts_the_connection(port: int) -> None:
    answer = await talk(port, b"GET /short HTTP/1.1\r\nhost: x\r\n\r\n", end=False)
    assert b"abc" not in answer


@pytest.mark.parametrize(
    "wrong",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nname : value\r\n\r\n",
    ],
)
async def test_ambiguous_requests_are_refused(port: int, wrong: bytes) -> None:
    assert (await talk(port, wrong, end=False)).startswith(b"HTTP/1.1 400 ")


async def test_heads_are_bounded(port: int) -> None:
    endless = b"GET / HTTP/1.1\r\n" + b"".join(b"h%d: %s\r\n" % (i, b"v" * 1000) for i in range(200))
    assert (await talk(port, endless, end=False)).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("piece", [b"X-%d: " + b"y" * 65536 + b"\r\n", b"y" * 65536])
async def test_what_is_around_a_body_is_bounded(port: int, piece: bytes) -> None:
    """Trailers that never end, and one trailer that never does."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    first = b"" if b"%d" in piece else b"X: "
    writer.write(b"POST /body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n" + first)
    with pytest.raises(ConnectionError):
        for _ in range(1000):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
    writer.close()


async def test_trailers_are_no_headers() -> None:
    seen: list[Any] = []

    async def remember(scope: dict[str, Any], receive: Any, send: Send) -> None:
        await _read(receive)
        seen.extend(scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    listeners = Listeners(remember)
    await listeners.open("127.0.0.1", 0)
    port = next(iter(listeners._servers.values())).sockets[0].getsockname()[1]
    chunked = b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-late: 1\r\n\r\n"
    await talk(port, b"POST / HTTP/1.1\r\nhost: x\r\n" + chunked)
    await listeners.close(1)
    assert seen[0:2] == [(b"host", b"x"), (b"transfer-encoding", b"chunked")] and seen[2] == (b"host", b"x")


async def test_who_does_not_read_answers_is_asked_to_wait() -> None:
    """Else what he does not take would be kept, as much as he likes."""
    served = 0

    async def large(scope: dict[str, Any], receive: Any, send: Send) -> None:
        nonlocal served
        served += 1
        assert scope[exchange.ANSWER](200, [], b"x" * 100_000)

    listeners = Listeners(large)
    await listeners.open("127.0.0.1", 0)
    port = next(iter(listeners._servers.values())).sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    for _ in range(20):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 100)
        await asyncio.sleep(0.01)
    before = -1
    while served != before:
        before = served
        await asyncio.sleep(0.3)
    (connection,) = listeners._shared.connections
    assert connection.transport.get_write_buffer_size() < 300_000
    got = 0
    async with asyncio.timeout(90):
        while got < 2000 * 100_000:
            got += len(await reader.read(1 << 20))
    assert served == 2000
    writer.close()
    await listeners.close(1)


async def test_paths_are_given_raw_and_decoded() -> None:
    seen: list[dict[str, Any]] = []

    async def remember(scope: dict[str, Any], receive: Any, send: Send) -> None:
        seen.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    listeners = Listeners(remember)
    await listeners.open("127.0.0.1", 0)
    port = next(iter(listeners._servers.values())).sockets[0].getsockname()[1]
    await talk(port, b"GET /a%2Fb/c?x=%20&y HTTP/1.1\r\nhost: x\r\n\r\n")
    await listeners.close(1)
    assert seen[0]["raw_path"] == b"/a%2Fb/c"
    assert seen[0]["path"] == "/a/b/c"
    assert seen[0]["query_string"] == b"x=%20&y"
    assert seen[0]["server"] == ("127.0.0.1", port)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 140), max_size=8), bodies=st.lists(st.binary(max_size=40), min_size=1, max_size=4))
async def test_any_cut_of_the_stream_reads_the_same(port: int, cuts: list[int], bodies: list[bytes]) -> None:
    stream = b"".join(
        b"POST /p HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body) for body in bodies
    )
    whole = await talk(port, stream)
    edges = sorted({cut for cut in cuts if cut < len(stream)})
    pieces = [stream[a:b] for a, b in zip([0, *edges], [*edges, len(stream)], strict=True)]
    assert undated(await talk(port, *pieces)) == undated(whole)


def undated(answer: bytes) -> list[bytes]:
    return [line for line in answer.split(b"\r\n") if not line.startswith(b"date: ")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=300))
async def test_noise_does_no_harm(port: int, noise: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(noise)
    writer.close()
    assert (await talk(port)).endswith(b"GET /last ")
    del reader


async def test_closing_lets_the_answer_out() -> None:
    going = asyncio.Event()

    async def slow(scope: dict[str, Any], receive: Any, send: Send) -> None:
        going.set()
        await asyncio.sleep(0.05)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"done"})

    listeners = Listeners(slow)
    await listeners.open("127.0.0.1", 0)
    port = next(iter(listeners._servers.values())).sockets[0].getsockname()[1]
    answer = asyncio.get_running_loop().create_task(talk(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", end=False))
    await going.wait()
    await listeners.close(90)
    assert (await answer).endswith(b"done")
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)
