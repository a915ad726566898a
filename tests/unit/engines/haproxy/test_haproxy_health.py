"""When a target is healthy, and who gets work."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.engines.haproxy.health import (
    FAILED,
    HEALTHY,
    IMPATIENCE,
    PASSED,
    TIMED_OUT,
    Health,
    Outcome,
    matches,
    mismatch,
    observe,
    pause,
    remembered,
    routed,
)
from havre.kernel.balancer import BalancerHealthCheck

CHECK = BalancerHealthCheck(interval=30, healthy=5, unhealthy=2)
OUTCOMES = st.lists(st.sampled_from([PASSED, FAILED, TIMED_OUT]), max_size=40)


def after(outcomes: list[Outcome], check: BalancerHealthCheck = CHECK, start: Health | None = None) -> Health:
    """One check an interval."""
    health = start or Health()
    for number, outcome in enumerate(outcomes):
        health = observe(health, check, outcome, number * check.interval)
    return health


def test_the_first_pass_makes_a_new_target_healthy() -> None:
    assert after([PASSED]) == HEALTHY
    assert after([FAILED, PASSED]) == HEALTHY


def test_thresholds_count_in_a_row() -> None:
    assert after([PASSED, FAILED]).state == "healthy"
    assert after([PASSED, FAILED, PASSED, FAILED]).state == "healthy"
    assert after([PASSED, FAILED, FAILED]).state == "unhealthy"
    down = after([PASSED, FAILED, FAILED])
    assert after([PASSED] * 4, start=down).state == "unhealthy"
    assert after([PASSED] * 4 + [FAILED] + [PASSED] * 4, start=down).state == "unhealthy"
    assert after([PASSED] * 5, start=down) == HEALTHY


def test_an_unhealthy_target_tells_what_was_wrong_last() -> None:
    health = after([PASSED, FAILED, mismatch(503)])
    assert (health.reason, health.description) == (
        "Target.ResponseCodeMismatch",
        "Health checks failed with these codes: [503]",
    )
    assert after([TIMED_OUT], start=health).reason == "Target.Timeout"


def test_impatient_checks_count_once_an_interval() -> None:
    health = Health()
    for second in range(30):
        health = observe(health, CHECK, FAILED, float(second))
    assert health.state == "initial"
    assert observe(health, CHECK, FAILED, 30.0).state == "unhealthy"


@given(OUTCOMES)
def test_a_target_is_unhealthy_only_after_failures_in_a_row(outcomes: list[Outcome]) -> None:
    health = after(outcomes)
    tail = outcomes[-CHECK.unhealthy :]
    if len(tail) == CHECK.unhealthy and not any(o.passed for o in tail):
        assert health.state == "unhealthy"
    if outcomes[-CHECK.healthy :] == [PASSED] * CHECK.healthy:
        assert health == HEALTHY
    assert (health.state == "initial") <= (PASSED not in outcomes)


@given(OUTCOMES)
def test_checks_come_sooner_before_the_first_answer_and_never_too_often(outcomes: list[Outcome]) -> None:
    health = after(outcomes)
    assert 0.05 <= pause(health, CHECK) <= (IMPATIENCE if health.state == "initial" else 30)


def test_what_got_work_before_a_restart_keeps_it_until_its_next_check() -> None:
    health = remembered(CHECK)
    assert health.state == "healthy"
    assert observe(health, CHECK, FAILED, 0).state == "unhealthy"
    assert observe(health, CHECK, PASSED, 0) == HEALTHY


@pytest.mark.parametrize(
    ("matcher", "fits", "others"),
    [
        ("200", [200], [199, 201, 302]),
        ("200-299", [200, 250, 299], [199, 300]),
        ("200,302", [200, 302], [201, 301]),
        ("200-202,404,400-401", [201, 404, 400], [203, 402]),
        ("0", [0], [200]),
        ("nonsense", [], [200]),
    ],
)
def test_matchers(matcher: str, fits: list[int], others: list[int]) -> None:
    assert all(matches(matcher, code) for code in fits)
    assert not any(matches(matcher, code) for code in others)


@given(st.sets(st.integers(200, 499), min_size=1, max_size=6), st.integers(200, 499))
def test_a_list_of_codes_fits_exactly_those(codes: set[int], code: int) -> None:
    assert matches(",".join(map(str, codes)), code) == (code in codes)


@given(st.dictionaries(st.text(max_size=3), st.sampled_from(["initial", "healthy", "unhealthy"]), max_size=6))
def test_work_goes_to_the_healthy_and_without_them_to_the_unhealthy(states: dict[str, str]) -> None:
    working = routed(states)
    assert all(states[t] != "initial" for t in working)
    if "healthy" in states.values():
        assert working == {t for t, s in states.items() if s == "healthy"}
    else:
        assert working == {t for t, s in states.items() if s == "unhealthy"}
