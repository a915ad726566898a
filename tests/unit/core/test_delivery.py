"""Retries: as many as the policy says, never beyond its age, growing from the least delay to the most."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from havre.core.delivery import AWS_ENDPOINT, DAY, FUNCTIONS, RetryPolicy, event_policy, next_attempt

POLICIES = st.builds(
    RetryPolicy,
    at_once=st.integers(0, 5),
    early=st.integers(0, 5),
    growing=st.integers(0, 12),
    late=st.integers(0, 5),
    least=st.floats(1, 20),
    most=st.floats(20, 3600),
    function=st.sampled_from(FUNCTIONS),
)


@given(POLICIES)
def test_each_retry_comes_in_its_phase_and_then_it_is_given_up(policy: RetryPolicy) -> None:
    delays = []
    while (when := next_attempt(policy, len(delays) + 1, 0.0, 0.0)) is not None:
        delays.append(when)
    assert len(delays) == policy.retries
    late = policy.at_once + policy.early
    assert all(d == 0 for d in delays[: policy.at_once])
    assert all(d == policy.least for d in delays[policy.at_once : late])
    growing = delays[late : late + policy.growing]
    assert growing == sorted(growing)
    assert all(policy.least - 1e-6 <= d <= policy.most + 1e-6 for d in growing)
    if len(growing) > 1:
        assert abs(growing[0] - policy.least) < 1e-6 and abs(growing[-1] - policy.most) < 1e-6 * policy.most
    assert all(d == policy.most for d in delays[late + policy.growing :])


@given(st.integers(0, 185), st.floats(60, DAY), st.floats(0, 1))
def test_nothing_is_tried_beyond_its_age(retries: int, age: float, chance: float) -> None:
    policy, now, failed = event_policy(retries, age), 0.0, 1
    while (when := next_attempt(policy, failed, 0.0, now, chance)) is not None:
        assert now <= when <= age
        now, failed = when, failed + 1
    assert failed <= retries + 1


def test_sns_goes_on_for_23_days() -> None:
    now, failed = 0.0, 1
    first = []
    while (when := next_attempt(AWS_ENDPOINT, failed, 0.0, now)) is not None:
        first.append(when - now)
        now, failed = when, failed + 1
    assert first[:6] == [0, 0, 0, 1, 1, 1]
    assert 22 * DAY < now < 24 * DAY
