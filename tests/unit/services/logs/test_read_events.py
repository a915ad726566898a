"""GetLogEvents: its order, its pages, its tokens."""

from __future__ import annotations

import pytest
from tests.running_gateway import code
from tests.unit.services.logs.logs_harness import DAY, GROUP, Logs, texts


@pytest.fixture
def ten(logs: Logs) -> tuple[Logs, int]:
    """Ten events, a second apart, the last one now."""
    logs.make()
    begin = logs.now() - 9_000
    logs.put(*((begin + n * 1000, str(n)) for n in range(10)))
    return logs, begin


def test_the_newest_page_comes_first_unless_asked_from_the_head(ten: tuple[Logs, int]) -> None:
    logs, _ = ten
    assert texts(logs.get(limit=3)) == ["7", "8", "9"]
    assert texts(logs.get(limit=3, startFromHead=False)) == ["7", "8", "9"]
    assert texts(logs.get(limit=3, startFromHead=True)) == ["0", "1", "2"]


def test_forwards_to_the_end_where_the_token_comes_back(ten: tuple[Logs, int]) -> None:
    logs, _ = ten
    page, seen = logs.get(limit=4, startFromHead=True), []
    while page["events"]:
        seen += texts(page)
        token = page["nextForwardToken"]
        page = logs.get(limit=4, startFromHead=True, nextToken=token)
    assert seen == [str(n) for n in range(10)]
    assert page["nextForwardToken"] == token
    logs.put((logs.now(), "later"))
    assert texts(logs.get(nextToken=token, startFromHead=True)) == ["later"]
    assert texts(logs.get(nextToken=page["nextBackwardToken"], limit=2)) == ["8", "9"]


def test_backwards_to_the_beginning(ten: tuple[Logs, int]) -> None:
    logs, _ = ten
    page, seen = logs.get(limit=4), []
    while page["events"]:
        seen = texts(page) + seen
        token = page["nextBackwardToken"]
        page = logs.get(limit=4, nextToken=token)
    assert seen == [str(n) for n in range(10)]
    assert page["nextBackwardToken"] == token
    assert texts(logs.get(nextToken=page["nextForwardToken"], limit=2)) == ["0", "1"]


def test_the_end_of_the_window_is_not_included(ten: tuple[Logs, int]) -> None:
    logs, begin = ten
    assert texts(logs.get(startTime=begin + 2000, endTime=begin + 5000)) == ["2", "3", "4"]
    assert texts(logs.get(startTime=begin + 8000)) == ["8", "9"]
    assert texts(logs.get(startTime=begin + 9001)) == []


def test_an_empty_stream_can_be_followed(logs: Logs) -> None:
    logs.make()
    page = logs.get(startFromHead=True)
    assert page["events"] == []
    again = logs.get(startFromHead=True, nextToken=page["nextForwardToken"])
    assert again["nextForwardToken"] == page["nextForwardToken"]
    logs.put((logs.now() - 5000, "first"))
    assert texts(logs.get(startFromHead=True, nextToken=page["nextForwardToken"])) == ["first"]


def test_events_of_one_millisecond_are_all_given_once(logs: Logs) -> None:
    logs.make()
    now = logs.now()
    logs.put(*((now, str(n)) for n in range(5)))
    logs.put((now, "5"))
    first = logs.get(startFromHead=True, limit=2)
    rest = logs.get(startFromHead=True, nextToken=first["nextForwardToken"])
    assert texts(first) + texts(rest) == list("012345")


def test_a_page_holds_a_mebibyte(logs: Logs) -> None:
    logs.make()
    for _ in range(3):
        logs.put((logs.now(), "x" * 700_000))
    assert len(logs.get(startFromHead=True)["events"]) == 1
    page, seen = logs.get(), 0
    while page["events"]:
        seen += len(page["events"])
        page = logs.get(nextToken=page["nextBackwardToken"])
    assert seen == 3


@pytest.mark.parametrize("token", ["x", "f/", "f/1-2", "g/1-2/s", "f/1-2/s ", "b/99999999999999999999-1/s"])
def test_a_token_that_is_none_is_refused(logs: Logs, token: str) -> None:
    logs.make()
    asked = {"logGroupName": GROUP, "logStreamName": "one", "nextToken": token}
    assert code(logs.client.get_log_events, **asked) == "InvalidParameterException"


def test_name_or_identifier_but_not_both(logs: Logs) -> None:
    logs.make()
    get = logs.client.get_log_events
    assert get(logGroupIdentifier=GROUP, logStreamName="one")["events"] == []
    assert code(get, logStreamName="one") == "InvalidParameterException"
    assert code(get, logGroupName=GROUP, logGroupIdentifier=GROUP, logStreamName="one") == "ValidationException"


def test_what_the_retention_says_is_over_is_not_shown(logs: Logs) -> None:
    logs.make()
    now = logs.now()
    logs.put((now, "today"))
    (stream,) = logs.running.wait(logs.running.journal.extents("logs/"))
    old = (now - 2 * DAY).to_bytes(6, "big")
    logs.running.wait(logs.running.journal.append(stream, [(now - 2 * DAY, old + b"before")]))
    assert texts(logs.get()) == ["before", "today"]
    logs.client.put_retention_policy(logGroupName=GROUP, retentionInDays=1)
    assert texts(logs.get()) == logs.filter() == ["today"]
    logs.client.delete_retention_policy(logGroupName=GROUP)
    assert texts(logs.get()) == ["before", "today"]
    assert code(logs.client.put_retention_policy, logGroupName=GROUP, retentionInDays=2) == "InvalidParameterException"
