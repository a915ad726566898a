"""Step scaling: which step holds, and what it makes of capacity."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.autoscaling.steps import CHANGE, EXACT, PERCENT, Step, Stepping, fault, wanted

OUT = Stepping(CHANGE, (Step(1, 0, 10), Step(2, 10, 20), Step(4, 20, None)))
IN = Stepping(CHANGE, (Step(-1, -10, 0), Step(-2, None, -10)))


def test_the_step_for_a_distance() -> None:
    assert [wanted(OUT, 5, d) for d in (-1, 0, 9.9, 10, 19, 20, 1000)] == [5, 6, 6, 7, 7, 9, 9]
    assert [wanted(IN, 5, d) for d in (1, 0, -9.9, -10, -1000)] == [5, 4, 4, 3, 3]
    assert wanted(IN, 1, -50) == 0


def test_exact_capacity() -> None:
    assert wanted(Stepping(EXACT, (Step(7, 0),)), 2, 5) == 7


@pytest.mark.parametrize(
    ("capacity", "percent", "least", "to"),
    [(10, 25, 0, 12), (4, 25, 2, 6), (1, 10, 0, 2), (10, -15, 0, 9), (3, -10, 0, 2), (4, -25, 2, 2), (0, 50, 3, 0)],
)
def test_percents_are_rounded_as_on_aws(capacity: int, percent: int, least: int, to: int) -> None:
    assert wanted(Stepping(PERCENT, (Step(percent),), least), capacity, 0) == to


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ((Step(1), Step(2, 5)), "can't be null in the same"),
        ((Step(1, 5, 5),), "less than"),
        ((Step(1, 0, 10), Step(2, 11)), "overlap or have a gap"),
        ((Step(1, 0, 10), Step(2, 9)), "overlap or have a gap"),
        ((Step(1, 0), Step(2, 9)), "overlap or have a gap"),
        ((Step(1, -5, 0),), "unspecified lower bound"),
        ((Step(1, 0, 5),), "unspecified upper bound"),
    ],
)
def test_steps_that_are_none(steps: tuple[Step, ...], words: str) -> None:
    assert words in fault(Stepping(CHANGE, steps))
    assert words in fault(Stepping(CHANGE, steps[::-1]))


def test_exact_capacity_is_not_negative() -> None:
    assert "negative" in fault(Stepping(EXACT, (Step(-1, 0),)))
    assert fault(OUT) == fault(IN) == fault(Stepping(CHANGE, (Step(1),))) == ""


@given(st.lists(st.floats(-100, 100), unique=True, max_size=6), st.floats(-1000, 1000), st.integers(0, 100))
def test_of_steps_without_gaps_one_holds(bounds: list[float], distance: float, capacity: int) -> None:
    edges: list[float | None] = [None, *sorted(bounds), None]
    steps = tuple(Step(n, lower, upper) for n, (lower, upper) in enumerate(pairwise(edges), 1))
    made = Stepping(CHANGE, steps)
    assert fault(made) == ""
    assert capacity < wanted(made, capacity, distance) <= capacity + len(steps)
