"""Checkpoints, time and history of durable executions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.durable import history, timers, updates
from havre.core.durable.model import FAILED, OPEN, PENDING, READY, STARTED, SUCCEEDED, Op, Refused

NOW = 1_700_000_000.0


def up(id: str, kind: str, action: str, **more: Any) -> dict[str, Any]:
    return {"Id": id, "Type": kind, "Action": action, **more}


def applied(ops: dict[str, Op], *given_: dict[str, Any], now: float = NOW) -> dict[str, Op]:
    changes = updates.apply(ops, given_, now, lambda id: f"callback of {id}")
    return {**ops, **{c.op.id: c.op for c in changes}}


def test_a_step_from_its_start_to_its_end() -> None:
    ops = applied({}, up("s", "STEP", "START", Name="charge"))
    assert (ops["s"].status, ops["s"].attempt, ops["s"].name) == (STARTED, 0, "charge")
    ops = applied(
        ops, up("s", "STEP", "RETRY", Error={"ErrorMessage": "no"}, StepOptions={"NextAttemptDelaySeconds": 5})
    )
    assert (ops["s"].status, ops["s"].attempt, ops["s"].due) == (PENDING, 1, NOW + 5)
    assert timers.passed(ops.values(), NOW + 4) == [] and timers.next_time(ops.values()) == NOW + 5
    (ready,) = timers.passed(ops.values(), NOW + 5)
    assert ready.status == READY
    ops = applied({"s": ready}, up("s", "STEP", "START"), up("s", "STEP", "SUCCEED", Payload='"done"'))
    assert (ops["s"].status, ops["s"].attempt, ops["s"].result) == (SUCCEEDED, 2, '"done"')


def test_waits_and_callbacks_end_by_time() -> None:
    ops = applied(
        {},
        up("w", "WAIT", "START", WaitOptions={"WaitSeconds": 10}),
        up("c", "CALLBACK", "START", CallbackOptions={"TimeoutSeconds": 20, "HeartbeatTimeoutSeconds": 15}),
        up("e", "CALLBACK", "START"),
    )
    assert ops["c"].callback == "callback of c" and timers.next_time(ops.values()) == NOW + 10
    (waited,) = timers.passed(ops.values(), NOW + 10)
    assert (waited.id, waited.status, waited.ended) == ("w", SUCCEEDED, NOW + 10)
    late = {op.id: op for op in timers.passed(ops.values(), NOW + 16)}
    assert late["c"].status == "TIMED_OUT" and late["c"].fault.kind == "Callback.Heartbeat"  # type: ignore[union-attr]
    later = {op.id: op for op in timers.passed(ops.values(), NOW + 21)}
    assert later["c"].fault.kind == "Callback.Timeout" and "e" not in later  # type: ignore[union-attr]


@pytest.mark.parametrize(("before", "update", "words"), [
    ([], [up("a", "STEP", "CANCEL")], "Invalid action for the given operation type."),
    ([up("a", "STEP", "START")], [up("a", "WAIT", "CANCEL")], "Inconsistent operation type."),
    ([up("a", "STEP", "START", Name="x")], [up("a", "STEP", "SUCCEED", Name="y")], "Inconsistent operation name."),
    ([up("a", "STEP", "SUCCEED")], [up("a", "STEP", "START")], "Invalid current STEP state to start."),
    ([up("a", "STEP", "SUCCEED")], [up("a", "STEP", "FAIL")], "Invalid current STEP state to close."),
    ([up("a", "STEP", "START")], [up("a", "STEP", "RETRY")], "Invalid StepOptions for the given action."),
    ([], [up("a", "STEP", "FAIL", Payload="x")], "Cannot provide a Payload for FAIL action."),
    ([], [up("a", "STEP", "SUCCEED", Error={})], "Cannot provide an Error for SUCCEED action."),
    ([], [up("a", "STEP", "START", ParentId="b")], "Invalid parent operation id."),
    ([up("b", "STEP", "START")], [up("a", "STEP", "START", ParentId="b")], "Invalid parent operation id."),
    ([], [up("a", "WAIT", "START", WaitOptions={"WaitSeconds": 1})] * 2,
     "Cannot checkpoint multiple operations with the same ID."),
    ([], [up("a", "WAIT", "CANCEL")], "Cannot cancel a WAIT that does not exist or has already completed."),
    ([], [up("a", "CHAINED_INVOKE", "START")], "Update for CHAINED_INVOKE operation requires ChainedInvokeOptions."),
    ([up("a", "CONTEXT", "START")], [up("a", "CONTEXT", "START")], "Cannot start a CONTEXT that already exist."),
    ([up("a", "STEP", "START")], [up("a", "EXECUTION", "SUCCEED")], "Inconsistent operation type."),
    ([], [up("x", "EXECUTION", "SUCCEED"), up("a", "STEP", "START")], "EXECUTION checkpoint must be the last update."),
    ([], [up("a", "STEP", "SUCCEED", Payload="x" * (1024 * 1024 + 1))],
     "Payload size must be less than or equal to 1048576 bytes."),
])  # fmt: skip
def test_refusals(before: list[dict[str, Any]], update: list[dict[str, Any]], words: str) -> None:
    ops = applied({}, *before)
    with pytest.raises(Refused) as told:
        applied(ops, *update)
    assert str(told.value) == words


def test_children_of_contexts_that_have_ended_are_not_shown() -> None:
    ops = applied(
        {},
        up("c", "CONTEXT", "START"),
        up("a", "STEP", "SUCCEED", ParentId="c"),
        up("d", "CONTEXT", "START", ParentId="c"),
        up("b", "STEP", "SUCCEED", ParentId="d"),
    )
    assert [op.id for op in timers.replayed(ops)] == ["c", "a", "d", "b"]
    ended = applied(ops, up("d", "CONTEXT", "SUCCEED"))
    assert [op.id for op in timers.replayed(ended)] == ["c", "a", "d"]
    ended = applied(ended, up("c", "CONTEXT", "SUCCEED"))
    assert [op.id for op in timers.replayed(ended)] == ["c"]
    kept = applied(ops, up("c", "CONTEXT", "SUCCEED", ContextOptions={"ReplayChildren": True}))
    assert [op.id for op in timers.replayed(kept)] == ["c", "a", "d", "b"]


def test_retries_of_runs() -> None:
    assert [timers.retry_delay(n, True) for n in (1, 2, 3, 4)] == [0.0, 0.0, 0.0, 8.0]
    assert timers.retry_delay(1, False) == 1.0 and timers.retry_delay(20, False) == timers.LONGEST_BACK_OFF
    assert timers.retry_delay(timers.MOST_RETRIES + 1, False) is None
    assert timers.of_environment("Runtime.ExitError") and not timers.of_environment("Sandbox.Timedout")
    assert not timers.of_environment("Unhandled")


def test_history_without_data() -> None:
    ops = applied({}, up("s", "STEP", "SUCCEED", Payload="secret"))
    event = history.of_operation(ops["s"], 7, NOW)
    assert event is not None
    assert history.shown(event, True)["StepSucceededDetails"] == {
        "Result": {"Payload": "secret"}, "RetryDetails": {"CurrentAttempt": 1}
    }  # fmt: skip
    assert history.shown(event, False)["StepSucceededDetails"]["Result"] == {"Truncated": True}


UPDATES = st.builds(
    up,
    st.sampled_from("abcd"),
    st.sampled_from(list(updates.ACTIONS)),
    st.sampled_from(["START", "SUCCEED", "FAIL", "RETRY", "CANCEL"]),
    ParentId=st.sampled_from([None, "a", "b"]),
    StepOptions=st.sampled_from([None, {"NextAttemptDelaySeconds": 3}]),
    WaitOptions=st.just({"WaitSeconds": 4}),
    ChainedInvokeOptions=st.just({"FunctionName": "f"}),
)


@given(st.lists(st.tuples(UPDATES, st.floats(0, 10)), max_size=30))
def test_no_operation_comes_back_from_its_end(story: list[tuple[dict[str, Any], float]]) -> None:
    ops: dict[str, Op] = {}
    now = NOW
    for update, wait in story:
        now += wait
        before = dict(ops)
        ops.update({op.id: op for op in timers.passed(ops.values(), now)})
        try:
            ops = applied(ops, update, now=now)
        except Refused:
            pass
        for id, op in before.items():
            if op.status not in OPEN and op.kind != "EXECUTION":
                assert ops[id] == op
        numbers = [op.number for op in ops.values()]
        assert len(set(numbers)) == len(numbers)
        for op in ops.values():
            assert op.open is (op.ended is None)
            assert (op.status == FAILED) <= (op.fault is not None)
