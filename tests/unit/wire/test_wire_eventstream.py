"""Event streams as botocore reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from havre.kernel.errors import ApiError
from havre.wire import codec, eventstream
from havre.wire.eventstream import FrameError, Timestamp, decode_message, encode_message
from havre.wire.http import HttpResponse
from havre.wire.models import ModelSource
from havre.wire.routing import Route

_MODELS = ModelSource(None)
_HEADERS: dict[str, Any] = {
    ":event-type": "é",
    "yes": True,
    "no": False,
    "n": -5,
    "b": b"\x00\xff",
    "t": Timestamp(1763950000123),
}


def test_botocore_reads_our_messages() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(encode_message(_HEADERS, b"payload") + encode_message({}))
    first, second = list(buffer)
    assert (first.payload, second.payload) == (b"payload", b"")
    assert first.headers == {**_HEADERS, "t": 1763950000123}


def test_messages_come_back() -> None:
    data = encode_message(_HEADERS, b"payload")
    assert decode_message(data + b"more") == (_HEADERS, b"payload", len(data))
    assert isinstance(decode_message(data)[0]["t"], Timestamp)


def test_cut_and_damaged_messages() -> None:
    data = encode_message(_HEADERS, b"payload")
    for end in range(len(data)):
        with pytest.raises(EOFError):
            decode_message(data[:end])
    for at in range(len(data)):
        damaged = data[:at] + bytes((data[at] ^ 0x40,)) + data[at + 1 :]
        with pytest.raises(FrameError):
            decode_message(damaged)


async def _collect(response: HttpResponse) -> list[tuple[dict[str, Any], bytes]]:
    assert not isinstance(response.body, bytes)
    data = b"".join([part async for part in response.body])
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(message.headers, message.payload) for message in buffer]


async def _events(*events: Mapping[str, Any], error: ApiError | None = None) -> AsyncIterator[Mapping[str, Any]]:
    for event in events:
        yield event
    if error is not None:
        raise error


async def test_lambda_streams_its_response() -> None:
    model = _MODELS.service("lambda")
    events = _events({"PayloadChunk": {"Payload": b"one"}}, {"InvokeComplete": {"ErrorCode": "X", "LogResult": None}})
    answer = {"StatusCode": 200, "ExecutedVersion": "$LATEST", "EventStream": events}
    route = Route("lambda", "InvokeWithResponseStream", "rest-json")
    response = codec.render(model, route, answer, "rid")
    headers = dict(response.headers)
    assert headers["Content-Type"] == eventstream.CONTENT_TYPE
    assert headers["X-Amz-Executed-Version"] == "$LATEST"
    chunk, complete = await _collect(response)
    assert chunk[0][":event-type"] == "PayloadChunk"
    assert chunk[1] == b"one"
    assert complete == (
        {":message-type": "event", ":event-type": "InvokeComplete", ":content-type": "application/json"},
        b'{"ErrorCode":"X"}',
    )


async def test_logs_tails_with_an_initial_response_and_ends_in_a_modelled_exception() -> None:
    model = _MODELS.service("logs")
    update = {"sessionUpdate": {"sessionResults": [{"message": "line", "timestamp": 5}]}}
    answer = {"responseStream": _events(update, error=ApiError("SessionTimeoutException", "too long"))}
    response = codec.render(model, Route("logs", "StartLiveTail", "json"), answer, "rid")
    initial, line, end = await _collect(response)
    assert (initial[0][":event-type"], initial[1]) == ("initial-response", b"{}")
    assert line[1] == b'{"sessionResults":[{"message":"line","timestamp":5}]}'
    assert end[0][":message-type"] == "exception"
    assert end[0][":exception-type"] == "SessionTimeoutException"
    assert end[1] == b'{"message":"too long"}'


async def test_an_error_that_the_stream_does_not_model() -> None:
    answer = {"responseStream": _events(error=ApiError("InternalFailure", "sorry"))}
    response = codec.render(_MODELS.service("logs"), Route("logs", "StartLiveTail", "json"), answer, "rid")
    headers = (await _collect(response))[-1][0]
    assert headers == {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "sorry"}
