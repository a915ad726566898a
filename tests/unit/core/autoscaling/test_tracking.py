"""Target tracking."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from havre.core.autoscaling.tracking import IN_AFTER, MINUTE, OUT_AFTER, Bounds, Tracking, sample, together, wanted

POLICY = Tracking(0.7)
BOUNDS = Bounds(1, 100)
NOW = 1_000_000.0 - 1_000_000.0 % MINUTE


def minutes(*values: float) -> dict[int, float]:
    this = int(NOW // MINUTE)
    return {this - len(values) + n: value for n, value in enumerate(values)}


def test_three_minutes_over_the_target_make_more() -> None:
    assert wanted(minutes(0.9, 0.9), 10, POLICY, BOUNDS, NOW, 0, 0) == 10
    assert wanted(minutes(0.9, 1.0, 0.8), 10, POLICY, BOUNDS, NOW, 0, 0) == 15
    assert wanted(minutes(0.9, 0.5, 0.9), 10, POLICY, BOUNDS, NOW, 0, 0) == 10
    assert wanted(minutes(1.0, 1.0, 1.0), 90, POLICY, BOUNDS, NOW, 0, 0) == 100


def test_fifteen_minutes_under_it_make_less() -> None:
    assert wanted(minutes(*[0.1] * 14), 10, POLICY, BOUNDS, NOW, 0, 0) == 10
    assert wanted(minutes(*[0.1] * 15), 10, POLICY, BOUNDS, NOW, 0, 0) == 2
    assert wanted(minutes(*[0.65] * 15), 10, POLICY, BOUNDS, NOW, 0, 0) == 10
    assert wanted(minutes(*[0.0] * 15), 10, POLICY, BOUNDS, NOW, 0, 0) == 1
    assert wanted(minutes(*[0.1] * 15), 10, Tracking(0.7, scale_in=False), BOUNDS, NOW, 0, 0) == 10


def test_several_policies() -> None:
    assert together(4, []) == 4
    assert together(4, [(6, True), (3, True), (8, False)]) == 8
    assert together(4, [(2, True), (3, True)]) == 3
    assert together(4, [(2, True), (4, True)]) == 4, "all must want less"
    assert together(4, [(2, True), (4, False)]) == 2, "but those that never do"
    assert together(4, [(4, False)]) == 4


def test_cooldowns() -> None:
    slow = Tracking(0.7, 300, 300)
    assert wanted(minutes(1, 1, 1), 10, slow, BOUNDS, NOW, NOW - 299, 0) == 10
    assert wanted(minutes(1, 1, 1), 10, slow, BOUNDS, NOW, NOW - 300, 0) == 15
    assert wanted(minutes(*[0.1] * 15), 10, slow, BOUNDS, NOW, NOW - 299, 0) == 10


def test_a_minute_keeps_its_largest_value_and_old_ones_go() -> None:
    kept = sample(sample({}, NOW, 0.4), NOW + 1, 0.2)
    assert list(kept.values()) == [0.4]
    assert len(sample(kept, NOW + 3600, 0.1)) == 1


@given(
    st.lists(st.floats(0, 1), max_size=20),
    st.integers(0, 200),
    st.integers(0, 50),
    st.integers(0, 50),
    st.floats(0.1, 0.9),
    st.booleans(),
)
def test_it_stays_within_its_bounds_and_moves_the_right_way(
    values: list[float], capacity: int, least: int, more: int, target: float, scale_in: bool
) -> None:
    bounds, policy = Bounds(least, least + more), Tracking(target, scale_in=scale_in)
    found = minutes(*values)
    to = wanted(found, capacity, policy, bounds, NOW, 0, 0)
    assert bounds.least <= to <= bounds.most
    if to > bounds.hold(capacity):
        assert len(values) >= OUT_AFTER and min(values[-OUT_AFTER:]) > target
    if to < bounds.hold(capacity):
        assert scale_in and len(values) >= IN_AFTER and max(values[-IN_AFTER:]) < target
