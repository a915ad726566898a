"""PutLogEvents: what is taken, and what is turned away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.services.logs.logs_harness import DAY, GROUP, HOUR, STREAM, Logs, refusal, texts

from havre.kernel.errors import ApiError
from havre.services.logs import rules


def test_events_come_back_as_they_were_put(logs: Logs) -> None:
    logs.make()
    now = logs.now()
    odd = ['{"a": 1}', " lead and trail \n", "żółć 日本 🚢", "\x00\x1f", "line\nline"]
    answer = logs.put(*((now + n, text) for n, text in enumerate(odd)))
    assert len(answer["nextSequenceToken"]) == 56 and "rejectedLogEventsInfo" not in answer
    found = logs.get(startFromHead=True)["events"]
    assert [e["message"] for e in found] == odd
    assert [e["timestamp"] for e in found] == [now + n for n in range(len(odd))]
    assert all(now <= e["ingestionTime"] <= logs.now() for e in found)


def test_sequence_tokens_are_ignored(logs: Logs) -> None:
    logs.make()
    for token in ("wrong", "wrong"):
        logs.put((logs.now(), "x"), sequenceToken=token)
    assert texts(logs.get()) == ["x", "x"]


def test_old_and_new_events_are_turned_away_and_the_rest_is_kept(logs: Logs) -> None:
    logs.make()
    now = logs.now()
    events = [
        (now - 15 * DAY, "old"),
        (now - HOUR, "a"),
        (now + HOUR, "b"),
        (now + 3 * HOUR, "new"),
        (now + 4 * HOUR, "n"),
    ]
    answer = logs.put(*events)
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 3, "tooOldLogEventEndIndex": 1}
    assert texts(logs.get()) == ["a", "b"]


def test_events_beyond_the_retention_are_turned_away(logs: Logs) -> None:
    logs.make()
    logs.client.put_retention_policy(logGroupName=GROUP, retentionInDays=1)
    answer = logs.put((logs.now() - 2 * DAY, "expired"), (logs.now(), "a"))
    assert answer["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    assert texts(logs.get()) == ["a"]


def test_what_cannot_be_a_batch_is_refused_and_nothing_kept(logs: Logs) -> None:
    logs.make()
    put, now = logs.client.put_log_events, logs.now()
    where = {"logGroupName": GROUP, "logStreamName": STREAM}

    def refused(*events: tuple[int, str]) -> tuple[str, str]:
        return refusal(put, **where, logEvents=[{"timestamp": at, "message": text} for at, text in events])

    code, words = refused((now, "b"), (now - 1, "a"))
    assert (code, "chronological" in words) == ("InvalidParameterException", True)
    code, words = refused((now - 25 * HOUR, "a"), (now, "b"))
    assert (code, "24 hours" in words) == ("InvalidParameterException", True)
    half = "é" * 262_144
    assert refused((now, half), (now, half)) == (
        "InvalidParameterException",
        "Upload too large: 1048628 bytes exceeds limit of 1048576",
    )
    code, words = refused((now, "x" * 1_048_576))
    assert (code, words) == ("InvalidParameterException", "Log event too large: 1048602 bytes exceeds limit of 1048576")
    assert refused(*[(now, "x")] * 10_001)[0] == "InvalidParameterException"
    assert refused()[0] == "InvalidParameterException"
    assert refused((now, ""))[0] == "InvalidParameterException"
    assert texts(logs.get()) == []
    logs.put((now, "x" * (1_048_576 - 26)))


def test_a_missing_group_and_a_missing_stream_are_told_apart(logs: Logs) -> None:
    event = [{"timestamp": logs.now(), "message": "x"}]
    put = logs.client.put_log_events
    assert refusal(put, logGroupName=GROUP, logStreamName="s", logEvents=event) == (
        "ResourceNotFoundException",
        "The specified log group does not exist.",
    )
    logs.make()
    assert refusal(put, logGroupName=GROUP, logStreamName="s", logEvents=event) == (
        "ResourceNotFoundException",
        "The specified log stream does not exist.",
    )


def test_an_entity_is_said_not_to_be_kept(logs: Logs) -> None:
    logs.make()
    answer = logs.put((logs.now(), "x"), entity={"keyAttributes": {"Type": "Service", "Name": "a"}})
    assert answer["rejectedEntityInfo"] == {"errorType": "UnsupportedLogGroupType"}
    assert texts(logs.get()) == ["x"]


NOW = 2_000 * DAY


@given(
    times=st.lists(st.integers(NOW - 20 * DAY, NOW + DAY), min_size=1, max_size=12).map(sorted),
    days=st.sampled_from([0, 1, 7, 30]),
)
def test_exactly_what_is_in_the_window_is_kept(times: list[int], days: int) -> None:
    oldest = NOW - days * DAY if days else 0
    good = [t for t in times if max(NOW - 14 * DAY, oldest) <= t <= NOW + 2 * HOUR]
    try:
        taken = rules.window(times, NOW, oldest)
    except ApiError:
        assert good[-1] - good[0] > DAY
        return
    assert times[taken.first : taken.last] == good
    rejected = dict(taken.rejected or {})
    assert times[rejected.pop("tooNewLogEventStartIndex", len(times)) :] == [t for t in times if t > NOW + 2 * HOUR]
    assert times[: rejected.pop("tooOldLogEventEndIndex", 0)] == [t for t in times if t < NOW - 14 * DAY]
    assert times[: rejected.pop("expiredLogEventEndIndex", 0)] == [t for t in times if t < oldest]
    assert rejected == {}


@pytest.mark.parametrize("lengths", [[1_048_551], [1] * 38_837])
def test_sizes_count_what_each_event_costs(lengths: list[int]) -> None:
    with pytest.raises(ApiError):
        rules.sizes(lengths)
    rules.sizes(lengths[:-1] or [1_048_550])
