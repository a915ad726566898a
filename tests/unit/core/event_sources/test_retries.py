"""A stream against functions that fail: order is kept, every record ends once, and poison is found."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.event_sources import verdict, windows
from havre.core.event_sources.retries import (
    EXHAUSTED,
    TOO_OLD,
    Limits,
    Part,
    Progress,
    StreamRecord,
    after,
    before,
    wait,
)


def records(count: int, arrived: float = 0) -> tuple[StreamRecord, ...]:
    return tuple(StreamRecord(str(n), "p", arrived) for n in range(count))


def run(
    batch: tuple[StreamRecord, ...], limits: Limits, function: Any, most: int = 2000
) -> tuple[list[str], list[str]]:
    """(what ended in order, what was given up)."""
    ended, lost, parts = [], [], deque([Part(batch)])
    while parts and most:
        most -= 1
        part = parts.popleft()
        step = after(part, function(part), limits)
        ended += [r.sequence for r in step.done]
        lost += [r.sequence for r in step.lost]
        parts.extendleft(reversed(step.again))
    assert most, "it does not end"
    return ended, lost


@given(
    st.integers(1, 40),
    st.sets(st.integers(0, 39)),
    st.integers(0, 5),
    st.booleans(),
    st.booleans(),
)
def test_poison_is_given_up_and_the_rest_is_done(
    count: int, poison: set[int], attempts: int, bisect: bool, partial: bool
) -> None:
    def function(part: Part) -> verdict.Verdict:
        bad = [place for place, record in enumerate(part.records) if int(record.sequence) in poison]
        if not bad:
            return verdict.Verdict()
        return verdict.Verdict(tuple(bad)) if partial else verdict.whole(len(part.records))

    ended, lost = run(records(count), Limits(attempts, -1, bisect), function)
    assert ended == [str(n) for n in range(count)]
    present = {str(n) for n in poison if n < count}
    assert present <= set(lost)
    if bisect:
        assert set(lost) == present
    if not present:
        assert not lost


@given(st.integers(1, 20), st.integers(0, 6))
def test_a_batch_is_tried_as_often_as_it_says(count: int, attempts: int) -> None:
    tried = []

    def function(part: Part) -> verdict.Verdict:
        tried.append(part)
        return verdict.whole(len(part.records))

    run(records(count), Limits(attempts), function)
    assert len(tried) == attempts + 1


def test_without_a_limit_it_is_tried_for_ever() -> None:
    part = Part(records(3), 10_000)
    assert after(part, verdict.whole(3), Limits()).again == (Part(records(3), 10_001),)
    assert wait(10_000) == 30.0 and wait(0) == 0.0 and wait(1) < wait(2) < wait(3)


def test_records_that_are_too_old_are_given_up_before_they_are_handed_over() -> None:
    old, young = records(2, arrived=0), (StreamRecord("9", "p", 95),)
    step = before(Part((*old, *young), 3), Limits(age=60), now=100)
    assert (step.lost, step.done, step.why, step.again) == (old, old, TOO_OLD, (Part(young, 3),))
    assert before(Part(old), Limits(age=60), now=100).again == ()
    assert before(Part(old), Limits(), now=1e12).again == (Part(old),)
    assert after(Part(old, 0), verdict.whole(2), Limits(attempts=0)).why == EXHAUSTED


@given(st.lists(st.integers(1, 5), min_size=1, max_size=10), st.randoms())
def test_the_checkpoint_never_passes_what_is_under_way(sizes: list[int], random: Any) -> None:
    progress, batches, count = Progress(), [], 0
    for size in sizes:
        batches.append([str(n) for n in range(count, count + size)])
        progress.begin(batches[-1])
        count += size
    ended: set[int] = set()
    random.shuffle(batches)
    reached = -1
    for batch in batches:
        ended.update(int(s) for s in batch)
        checkpoint = progress.end(batch)
        if checkpoint is not None:
            assert int(checkpoint) > reached
            reached = int(checkpoint)
        assert set(range(reached + 1)) <= ended and reached + 1 not in ended
    assert progress.idle and reached == count - 1


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (b"", ()),
        (b"null", ()),
        (b"{}", ()),
        (b'{"batchItemFailures": []}', ()),
        (b'{"batchItemFailures": null}', ()),
        (b'{"batchItemFailures": [{"itemIdentifier": "b"}]}', (1,)),
        (b'{"batchItemFailures": [{"itemIdentifier": "c"}, {"itemIdentifier": "a"}]}', (0, 2)),
        (b'{"batchItemFailures": [{"itemIdentifier": ""}]}', (0, 1, 2)),
        (b'{"batchItemFailures": [{"itemIdentifier": null}]}', (0, 1, 2)),
        (b'{"batchItemFailures": [{"item": "b"}]}', (0, 1, 2)),
        (b'{"batchItemFailures": [{"itemIdentifier": "unknown"}]}', (0, 1, 2)),
        (b'{"batchItemFailures": "b"}', (0, 1, 2)),
        (b'"text"', (0, 1, 2)),
        (b"{broken", (0, 1, 2)),
    ],
)
def test_what_an_answer_says_of_a_batch(answer: bytes, failed: tuple[int, ...]) -> None:
    assert verdict.of_answer(answer, ["a", "b", "c"]).failed == failed


@given(st.floats(0, 2e9), st.integers(1, 900))
def test_a_window_holds_its_moment(at: float, length: int) -> None:
    window = windows.window_of(at, length)
    assert window.holds(at) and window.start % length == 0


def test_a_batch_ends_where_its_window_does() -> None:
    window = windows.window_of(100, 30)
    batch = (StreamRecord("1", "p", 80), StreamRecord("2", "p", 119), StreamRecord("3", "p", 120))
    assert windows.head(batch, window) == 2
    told = windows.members(window, final=True)
    assert told["window"] == {"start": "1970-01-01T00:01:30Z", "end": "1970-01-01T00:02:00Z"}
    assert told["isFinalInvokeForWindow"] and told["state"] == {} and json.dumps(told)
