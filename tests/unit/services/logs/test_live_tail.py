"""StartLiveTail: events as they come, to whom they matter; a client that goes leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.running_gateway import ACCOUNT, code
from tests.unit.services.logs.logs_harness import GROUP, Logs

from havre.services.logs.tails import MOST, MOST_EVENTS, Session, Tails, Wanted

ARN = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{GROUP}"


@pytest.fixture
def tail(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start a session: its stream, and its events."""
    monkeypatch.setattr("havre.services.logs.tails.EVERY", 0.02)
    client = logs.running.client("logs", inject_host_prefix=False)
    opened = []

    def start(**request: Any) -> Iterator[dict[str, Any]]:
        answer = client.start_live_tail(logGroupIdentifiers=[ARN], **request)
        opened.append(answer["responseStream"])
        return iter(answer["responseStream"])

    yield start
    for stream in opened:
        stream.close()


def heard(events: Iterator[dict[str, Any]]) -> list[str]:
    """The messages of the first update that has any."""
    for event in events:
        results = event["sessionUpdate"]["sessionResults"]
        if results:
            return [e["message"] for e in results]
    return []


def test_events_are_heard_as_they_come(logs: Logs, tail: Any) -> None:
    logs.make()
    events = tail()
    start = next(events)["sessionStart"]
    assert start["logGroupIdentifiers"] == [ARN] and start["sessionId"] and start["requestId"]
    logs.put((logs.now(), "a"), (logs.now(), "b"))
    assert heard(events) == ["a", "b"]
    logs.put((logs.now(), "c"))
    assert heard(events) == ["c"]


def test_streams_and_patterns_choose(logs: Logs, tail: Any) -> None:
    logs.make(GROUP, "web/1", "web/2", "db/1")
    by_prefix = tail(logStreamNamePrefixes=["web/"])
    by_name = tail(logStreamNames=["db/1"])
    by_pattern = tail(logEventFilterPattern="-quiet")
    for events in (by_prefix, by_name, by_pattern):
        next(events)
    for stream in ("db/1", "web/2"):
        logs.put((logs.now(), f"{stream} quiet"), (logs.now(), f"{stream} loud"), stream=stream)
    assert heard(by_prefix) == ["web/2 quiet", "web/2 loud"]
    assert heard(by_name) == ["db/1 quiet", "db/1 loud"]
    assert heard(by_pattern)[0] == "db/1 loud"


def test_wrong_requests_are_refused(logs: Logs) -> None:
    logs.client.create_log_group(logGroupName="/rare", logGroupClass="INFREQUENT_ACCESS")
    logs.make()
    start = logs.running.client("logs", inject_host_prefix=False).start_live_tail
    both = {"logStreamNames": ["a"], "logStreamNamePrefixes": ["a"]}
    assert code(start, logGroupIdentifiers=[ARN], **both) == "InvalidParameterException"
    assert code(start, logGroupIdentifiers=[GROUP]) == "InvalidParameterException"
    assert code(start, logGroupIdentifiers=[f"{ARN}x"]) == "ResourceNotFoundException"
    assert code(start, logGroupIdentifiers=[ARN, f"{ARN}x"], logStreamNames=["a"]) == "InvalidParameterException"
    assert code(start, logGroupIdentifiers=[ARN.replace(GROUP, "/rare")]) == "InvalidOperationException"
    assert code(start, logGroupIdentifiers=[ARN], logEventFilterPattern="{") == "InvalidParameterException"


def test_a_client_that_goes_leaves_its_place(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("havre.services.logs.tails.EVERY", 0.02)
    logs.make()
    client = logs.running.client("logs", inject_host_prefix=False, max_pool_connections=MOST + 1)

    def start() -> Any:
        stream = client.start_live_tail(logGroupIdentifiers=[ARN])["responseStream"]
        next(iter(stream))
        return stream

    streams = [start() for _ in range(MOST)]
    assert code(client.start_live_tail, logGroupIdentifiers=[ARN]) == "LimitExceededException"
    streams[0].close()
    while code(client.start_live_tail, logGroupIdentifiers=[ARN]) != "no error":
        time.sleep(0.02)  # until the server has noticed, or the test's own time is up


async def test_a_session_is_over_when_it_is_closed() -> None:
    tails, session = Tails(), Session(Wanted("1", ("g",)), lambda text: True)
    events = tails.events(session, {}, lambda: 0.0)
    assert await anext(events) == {"sessionStart": {}}
    assert list(tails.of("g")) == [session]
    await events.aclose()  # type: ignore[attr-defined]
    assert list(tails.of("g")) == [] and not tails.full("1")


def test_too_many_events_are_a_sample() -> None:
    session = Session(Wanted("1", ("g",)), lambda text: True)
    session.offer("g", "s", [(1, b"000000%d" % n) for n in range(MOST_EVENTS + 1)], 5)
    update = session.update()
    assert len(update["sessionResults"]) == MOST_EVENTS and update["sessionMetadata"] == {"sampled": True}
    assert session.update() == {"sessionMetadata": {"sampled": False}, "sessionResults": []}
