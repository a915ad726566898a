"""No line of a container is lost that has somewhere to go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from havre.apps import container_lines
from havre.apps.container_lines import LineSink
from havre.control.nodelink.messages import LogStream
from havre.kernel.errors import ApiError, Temporary

STREAM = LogStream("w", "c", "1", "r", "/g", "s")


class Aws:
    """Does not answer for a while, then as a group without streams would."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.calls: list[str] = []
        self.group = True
        self.stream = False
        self.kept: list[str] = []

    async def __call__(self, service: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self.calls.append(operation)
        if self.away:
            self.away -= 1
            raise Temporary("the disk is full", after=0.0)
        if operation == "CreateLogGroup":
            self.group = True
        elif not self.group:
            raise ApiError("ResourceNotFoundException")
        elif operation == "CreateLogStream":
            if self.stream:
                raise ApiError("ResourceAlreadyExistsException")
            self.stream = True
        elif not self.stream:
            raise ApiError("ResourceNotFoundException")
        else:
            self.kept += [e["message"] for e in request["logEvents"]]
        return {}


def by(aws: Any) -> Any:
    async def writer(stream: LogStream) -> Any:
        return aws

    return writer


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_lines, "RETRY", 0.0)


async def test_a_stream_is_made_when_it_is_first_written_to() -> None:
    aws = Aws()
    sink = LineSink(by(aws))
    await sink.keep(STREAM, [(1, b"a")])
    await sink.keep(STREAM, [(2, b"b")])
    assert aws.kept == ["a", "b"]
    assert aws.calls == ["PutLogEvents", "CreateLogStream", "PutLogEvents", "PutLogEvents"]


async def test_a_group_is_made_only_where_the_container_asks_for_it(caplog: pytest.LogCaptureFixture) -> None:
    aws = Aws()
    aws.group = False
    sink = LineSink(by(aws))
    await sink.keep(STREAM, [(1, b"a")])
    assert aws.kept == [] and "1 lines of w/c are lost" in caplog.text
    await sink.keep(LogStream("w", "c", "1", "r", "/g", "s", {"awslogs-create-group": "true"}), [(1, b"a")])
    assert aws.kept == ["a"]


async def test_what_is_kept_is_not_sent_again() -> None:
    aws = Aws(away=3)
    await LineSink(by(aws)).keep(STREAM, [(n // 10_000, b"%d" % n) for n in range(15_000)])
    aws.away = 2
    await LineSink(by(aws)).keep(STREAM, [(2, b"more")])
    assert aws.kept == [*(str(n) for n in range(15_000)), "more"]


async def test_many_losses_are_told_together(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Aws()
    aws.group = False
    sink = LineSink(by(aws))
    for _ in range(50):
        await sink.keep(STREAM, [(1, b"a")])
    assert told(caplog) == ["1 lines"]
    monkeypatch.setattr(container_lines, "TOLD_EVERY", 0.0)
    await sink.keep(STREAM, [(1, b"a")])
    assert told(caplog) == ["1 lines", "50 lines"]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().partition(" of ")[0] for record in caplog.records]
