"""Retries, traces, records, paces and payloads."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.invoking import pace, payloads, records, retries, traces
from havre.core.invoking.records import Told
from havre.core.invoking.retries import Policy, Tried

NOW = 1_700_000_000.0
DEEP = b"[" * 9999 + b"]" * 9999


def test_a_function_that_fails_is_tried_after_one_and_after_two_minutes() -> None:
    first = retries.failed(Tried(NOW), Policy(), NOW + 5)
    assert first.again == Tried(NOW, 1, 0, NOW + 65)
    second = retries.failed(first.again, Policy(), NOW + 66)
    assert second.again == Tried(NOW, 2, 0, NOW + 186)
    assert retries.failed(second.again, Policy(), NOW + 190).condition == retries.RETRIES_EXHAUSTED


def test_a_function_without_retries_fails_once() -> None:
    assert retries.failed(Tried(NOW), Policy(attempts=0), NOW).condition == retries.RETRIES_EXHAUSTED


def test_no_retry_begins_behind_the_age() -> None:
    assert retries.failed(Tried(NOW), Policy(age=60), NOW + 1).condition == retries.EVENT_AGE_EXCEEDED
    assert retries.expired(Tried(NOW), Policy(age=60), NOW + 61)
    assert not retries.expired(Tried(NOW), Policy(age=60), NOW + 60)


@given(st.floats(0, 1))
def test_throttles_back_off_from_a_second_to_five_minutes_for_six_hours(chance: float) -> None:
    tried, now, waits = Tried(NOW), NOW, []
    while True:
        verdict = retries.set_back(tried, Policy(), now, chance)
        if verdict.again is None:
            break
        waits.append(verdict.again.due - now)
        tried, now = verdict.again, verdict.again.due
    assert verdict.condition == retries.EVENT_AGE_EXCEEDED
    assert 0.75 <= waits[0] <= 1.0 and max(waits) <= 300.0 and waits == sorted(waits)
    assert NOW + 21_600 - 300 <= now <= NOW + 21_600
    assert tried.runs == 0, "throttles are no attempts"


def test_a_run_that_failed_forgets_the_throttles_before_it() -> None:
    throttled = retries.set_back(Tried(NOW, 1, 7), Policy(), NOW + 100)
    assert throttled.again is not None and throttled.again.setbacks == 8
    failed = retries.failed(throttled.again, Policy(), NOW + 300)
    assert failed.again is not None and failed.again.setbacks == 0 and failed.again.runs == 2


@pytest.mark.parametrize(
    "header", ["Root=1-a;X=y\r\nHeader: z", "Root=1-a\n", "Root=1-a;Lineage=f:\u00b2", "Root=\u00e9"]
)
def test_what_no_header_can_be_is_no_trace(header: str) -> None:
    """Messages' attributes and events bring some, and runtimes get them in a header."""
    assert traces.parse(header) is None


def test_traces_travel_and_count() -> None:
    arn = "arn:aws:lambda:eu-west-1:111122223333:function:f"
    header = traces.first(NOW, "0123456789abcdef" * 3, arn)
    begun = f"Root=1-{int(NOW):08x}-0123456789abcdef01234567;Parent=89abcdef01234567;Sampled=0"
    assert header == f"{begun};Lineage={traces.mark(arn)}:1"
    for times in range(2, 20):
        parsed = traces.parse(header)
        assert parsed is not None
        through, counted = traces.through(parsed, arn)
        assert counted == times
        header = through.header()
    other, counted = traces.through(traces.parse(header) or pytest.fail(), arn + "2")
    assert counted == 1 and other.lineage[traces.mark(arn)] == 19


def test_the_longest_of_several_chains() -> None:
    short, long = "Root=1-1-1;Lineage=a:1", "Root=1-2-2;Lineage=a:1|b:7"
    assert traces.deepest(["", short, long, "nonsense"]) == long
    assert traces.deepest(["", "Root=1-3-3"]) == "Root=1-3-3" and traces.deepest([]) == ""


@pytest.mark.parametrize("header", ["", "nonsense", "Sampled=1", "Root=", "x" * 2000])
def test_what_is_no_trace(header: str) -> None:
    assert traces.parse(header) is None


def test_unknown_fields_travel_on() -> None:
    found = traces.parse(
        "Self=1-2-3;Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1;Lineage=a87bd80c:1|x:y;CalledFrom=app"
    )
    assert found is not None
    assert found.header() == "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1;Lineage=a87bd80c:1;CalledFrom=app"


@given(st.text(max_size=200))
def test_any_header_is_read_or_refused(header: str) -> None:
    found = traces.parse(header)
    if found is not None:
        assert traces.parse(found.header()) is not None or len(found.header()) > traces.LONGEST


@given(st.lists(st.integers(0, 60), max_size=200))
def test_lineages_stay_bounded(functions: list[int]) -> None:
    trace = traces.Trace("1-00000000-000000000000000000000000")
    for each in functions:
        trace, times = traces.through(trace, f"arn:{each}")
        assert trace.lineage[traces.mark(f"arn:{each}")] == times >= 1
    assert len(trace.lineage) <= traces.MOST_FUNCTIONS and len(trace.header()) <= traces.LONGEST


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda c: st.lists(c),
        max_leaves=10,
    )
)
def test_json_is_json(value: object) -> None:
    assert payloads.json_fault(json.dumps(value).encode()) is None


@pytest.mark.parametrize(
    "payload", [b"hello", b"", b"{", b'{"a":}', b"\xff", b"{} {}", b"{'a': 1}", b'"\xff"', b"[" * 9999 + b"]" * 9999]
)
def test_what_is_no_json(payload: bytes) -> None:
    assert payloads.json_fault(payload) and payloads.value(payload) is None


FAILED = Told(
    "id", "arn:f:$LATEST", "RetriesExhausted", 3, b'{"k": 1}', b'{"errorMessage":"no"}', "$LATEST", "Unhandled"
)


def test_the_record_of_a_failure() -> None:
    assert json.loads(records.record(FAILED, NOW + 0.568)) == {
        "version": "1.0",
        "timestamp": "2023-11-14T22:13:20.568Z",
        "requestContext": {
            "requestId": "id",
            "functionArn": "arn:f:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"k": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "no"},
    }


def test_the_record_of_an_event_that_never_ran_has_no_response() -> None:
    """As AWS was seen to tell it in September 2026: what Lambda answered is told, where it was asked."""
    told = json.loads(records.record(Told("id", "arn:f", "EventAgeExceeded", 0, b"{}", status=429), NOW))
    assert told["responseContext"] == {"statusCode": 429} and "responsePayload" not in told
    told = json.loads(records.record(Told("id", "arn:f", "ZeroReservedConcurrency", 0, b"{}", status=0), NOW))
    assert "responseContext" not in told and "responsePayload" not in told


def test_payloads_that_are_too_long_are_left_out() -> None:
    told = json.loads(records.record(FAILED, NOW, most=100))
    assert "requestPayload" not in told and "responsePayload" not in told and told["responseContext"]


def test_an_answer_that_is_no_json_is_told_as_text() -> None:
    told = Told("id", "arn:f", "Success", 1, b"1", b"\xffplain", "1")
    assert json.loads(records.record(told, NOW))["responsePayload"] == "\ufffdplain"
    assert json.loads(records.record(Told("id", "arn:f", "Success", 1, b"1", b"", "1"), NOW))["responsePayload"] is None


def test_a_dead_letter_says_what_went_wrong() -> None:
    found = {name: each["StringValue"] for name, each in records.letter_attributes(FAILED).items()}
    assert found == {"RequestID": "id", "ErrorCode": "200", "ErrorMessage": "no"}
    long = Told("id", "a", "RetriesExhausted", 3, b"{}", json.dumps({"errorMessage": "ü" * 2000}).encode())
    assert len(records.letter_attributes(long)["ErrorMessage"]["StringValue"].encode()) == 1024


@pytest.mark.parametrize(
    ("condition", "status", "code", "message"),
    [
        ("EventAgeExceeded", 429, "429", "Rate Exceeded."),
        ("EventAgeExceeded", 500, "500", "EventAgeExceeded"),
        (
            "ZeroReservedConcurrency",
            0,
            None,
            "Function not invoked. Function isconfigured with zero reserved concurrent executions",
        ),
    ],
)
def test_a_dead_letter_of_what_never_ran(condition: str, status: int, code: str | None, message: str) -> None:
    """In AWS's words, as they were seen in September 2026."""
    found = records.letter_attributes(Told("id", "a", condition, 0, b"{}", status=status))
    assert found.get("ErrorCode") == (None if code is None else {"DataType": "Number", "StringValue": code})
    assert found["ErrorMessage"]["StringValue"] == message


def test_where_a_record_lies_in_a_bucket() -> None:
    assert records.object_key("f", NOW, "u") == "aws/lambda/async/f/2023/11/14/2023-11-14T22.13.20-u"


def test_quick_functions_are_not_given_more_and_slow_ones_are() -> None:
    assert pace.pace(8, 10_000, 8, 4000.0) == 8
    assert pace.pace(8, 10_000, 8, 8.0) == 10
    assert pace.pace(8, 0, 8, 0.0) == 8
    assert pace.pace(1000, 10**6, 1000, 0.0) == 1000
    assert pace.slower(1) == 1 and pace.slower(9) == 4
