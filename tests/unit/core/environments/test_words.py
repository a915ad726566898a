"""What is told of an invocation, what processes write, and what they find in their environment."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.environments import failures
from havre.core.environments import report as words
from havre.core.environments.framing import MAX_LINE, Messages, Written
from havre.core.environments.report import Report
from havre.core.environments.variables import Surroundings, log_stream, variables
from havre.engines.oci.zygotes import warm_enough
from havre.kernel.function import Code, Function, FunctionLogs


def frame(text: bytes, kind: int = 0x03, at: int = 1_700_000_000_123_000) -> bytes:
    return bytes([0xA5, 0x5A, 0x00, kind]) + len(text).to_bytes(4, "big") + at.to_bytes(8, "big") + text


LINE = st.text(st.characters(exclude_characters="\n", exclude_categories=("Cs",)), min_size=1).map(str.encode)
PIECE = st.one_of(st.tuples(st.just("line"), LINE), st.tuples(st.just("frame"), st.text(min_size=1).map(str.encode)))


@given(st.lists(PIECE), st.lists(st.integers(1, 40)))
def test_lines_and_frames_come_out_whole_however_they_are_cut(pieces: list[tuple[str, bytes]], cuts: list[int]) -> None:
    stream = b"".join(text + b"\n" if kind == "line" else frame(text) for kind, text in pieces)
    messages, found, at = Messages(), [], 0
    for cut in [*cuts, len(stream)]:
        found += messages.feed(stream[at : at + cut], 5)
        at += cut
    found += messages.end(5)
    assert [written.text for written in found] == [text + b"\n" * (kind == "line") for kind, text in pieces]
    for (kind, _), written in zip(pieces, found, strict=True):
        assert written.at == (5 if kind == "line" else 1_700_000_000_123)


@given(st.binary(max_size=2000))
def test_whatever_is_written_nothing_breaks(data: bytes) -> None:
    messages = Messages()
    messages.feed(data, 1)
    messages.end(1)


def test_a_large_frame_is_put_together_once() -> None:
    """What has come of it is not copied with each piece that comes."""
    messages, text = Messages(), bytes(range(256)) * 8192
    whole = b"before\n" + frame(text)
    for at in range(0, len(whole), 1000):
        found = messages.feed(whole[at : at + 1000], 1)
        assert len(messages._rest) < 1000 and ([w.text for w in found] == [b"before\n"]) is (at == 0)
        if at + 2000 > len(whole):
            break
    found = messages.feed(whole[at + 1000 :] + b"after\n", 1)
    assert b"".join(w.text for w in found) == text + b"after\n" and not messages._rest
    for piece in (frame(text)[:5000], b"more"):
        assert messages.feed(piece, 1) == []
    assert [w.text for w in messages.end(1)] == [frame(text)[:5000] + b"more"]


def test_levels_of_frames() -> None:
    assert Messages().feed(frame(b"m", 0x12) + frame(b"m", 0x0B) + frame(b"m", 0x02), 1) == [
        Written(1_700_000_000_123, b"m", "WARN"),
        Written(1_700_000_000_123, b"m", "DEBUG"),
        Written(1_700_000_000_123, b"m", ""),
    ]


def test_a_line_without_end_is_parted() -> None:
    messages = Messages()
    found = messages.feed(b"x" * (MAX_LINE + 1), 1)
    assert [len(w.text) for w in found + messages.end(1)] == [MAX_LINE, 1]


def test_text_before_a_frame_is_a_line_of_its_own() -> None:
    assert [w.text for w in Messages().feed(b"no newline" + frame(b"two\nlines"), 1)] == [b"no newline", b"two\nlines"]


def test_lines_are_no_later_than_the_frames_behind_them() -> None:
    read = 1_700_000_000_200
    found = Messages().feed(b"one\ntwo\n" + frame(b"three") + b"four\n", read)
    assert [w.at for w in found] == [1_700_000_000_123] * 3 + [read]


REPORT = Report("r-1", 12.345, 128, 40, init=100.5)


def test_report_as_aws_writes_it() -> None:
    assert words.report_text(REPORT) == (
        b"REPORT RequestId: r-1\tDuration: 12.35 ms\tBilled Duration: 113 ms\tMemory Size: 128 MB\t"
        b"Max Memory Used: 40 MB\tInit Duration: 100.50 ms\t\n"
    )
    failed = Report(
        "r", 3000, 128, 40, status="error", error_type="Runtime.ExitError", trace="Root=1-a;Parent=b;Sampled=1"
    )
    assert words.report_text(failed).decode().splitlines() == [
        "REPORT RequestId: r\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\t"
        "Max Memory Used: 40 MB\tStatus: error\tError Type: Runtime.ExitError",
        "XRAY TraceId: 1-a\tSegmentId: b\tSampled: true\t",
    ]


def test_report_as_an_event() -> None:
    event = json.loads(words.event_text("2026-01-01T00:00:00.000Z", "platform.report", words.report_record(REPORT)))
    assert event["record"] == {
        "requestId": "r-1",
        "metrics": {
            "durationMs": 12.345,
            "billedDurationMs": 113,
            "memorySizeMB": 128,
            "maxMemoryUsedMB": 40,
            "initDurationMs": 100.5,
        },
        "status": "success",
    }


def test_levels_of_events() -> None:
    assert words.level_of("platform.start", {}) == "INFO"
    assert words.level_of("platform.runtimeDone", {"status": "success"}) == "DEBUG"
    assert words.level_of("platform.report", {"status": "timeout"}) == "WARN"


@given(st.floats(0, 1e6), st.floats(0, 1e5))
def test_begun_milliseconds_are_billed_whole(duration: float, init: float) -> None:
    billed = words.billed(duration, init)
    assert (billed >= 1 and duration + init <= billed < duration + init + 1) or billed == 1


def test_failures() -> None:
    assert json.loads(failures.exited("r", -11, False).payload) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: r Error: Runtime exited with error: signal: segmentation fault",
    }
    said = b'{"errorType": "ValueError", "errorMessage": "no"}'
    assert failures.reported(said, "") == failures.Failure("Unhandled", "Runtime.Unknown", said)
    assert failures.reported(b"no JSON", "").type == "Runtime.Unknown"


FUNCTION = Function(
    "i", "arn", "000000000000", "eu-west-1", "name", "7", Code("zip"), "", FunctionLogs("/g", "JSON", "WARN"),
    "python3.11", "app.handler", environment={"MINE": "1", "AWS_REGION": "elsewhere", "TZ": "Europe/Berlin"},
)  # fmt: skip
KEYS = {"AccessKeyId": "A", "SecretAccessKey": "S", "SessionToken": "T"}


def test_variables() -> None:
    found = variables(FUNCTION, Surroundings("on-demand", "2026/01/02/[7]ab", "http://h:1", KEYS), FUNCTION.environment)
    expected = {
        "_HANDLER": "app.handler",
        "AWS_REGION": "eu-west-1",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_LEVEL": "WARN",
        "AWS_SESSION_TOKEN": "T",
        "AWS_ENDPOINT_URL": "http://h:1",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        "MINE": "1",
        "TZ": "Europe/Berlin",
    }
    assert expected.items() <= found.items()
    elsewhere = {"AWS_XRAY_DAEMON_ADDRESS": "collector:2000"}
    assert elsewhere.items() <= variables(FUNCTION, Surroundings("on-demand", "s", ""), elsewhere).items()
    assert warm_enough(found), "an interpreter that waits can become this function's"
    assert log_stream("7", "2026/01/02", "ab") == "2026/01/02/[7]ab"


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "without providing a reason"), (129, "with error: exit status 129"), (-1, "with error: signal: hangup")],
)
def test_how_a_process_ended(code: int, words: str) -> None:
    assert failures.exit_words(code) == f"Runtime exited {words}"


@pytest.mark.parametrize(
    ("header", "payload", "type"),
    [
        ("Runtime.HandlerNotFound", b"{}", "Runtime.HandlerNotFound"),
        ("", b'{"errorType": "Function.Broken"}', "Function.Broken"),
        ("", b'{"errorType": "ValueError"}', "Runtime.Unknown"),
        ("Unhandled", b"", "Runtime.Unknown"),
        ("", b"no JSON", "Runtime.Unknown"),
    ],
)
def test_types_that_the_platform_knows(header: str, payload: bytes, type: str) -> None:
    assert failures.reported(payload, header).type == type
