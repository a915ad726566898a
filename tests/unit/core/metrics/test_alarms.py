"""When alarms change: the tables of AWS's documentation, the words of reasons, and what holds for any readings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.metrics.alarms import (
    ALARM,
    COMPARISONS,
    INSUFFICIENT,
    OK,
    Check,
    Reading,
    Verdict,
    judge,
    least_samples,
    number,
    offset_of,
    window_end,
)

T = 1_698_338_520  # 26/10/23 16:42:00
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
ANY = st.none() | st.sampled_from([0.0, 5.0])


def readings(pattern: str) -> list[Reading]:
    """Oldest first, as in the documentation: 0 is within the threshold, X beyond, - is missing."""
    values = {"0": 0.0, "X": 5.0, "-": None}
    made = [Reading(T + 60 * n, values[each], 1.0) for n, each in enumerate(pattern)]
    return made[::-1]


def check(missing: str = "missing", periods: int = 3, to_alarm: int | None = None) -> Check:
    return Check("GreaterThanThreshold", 2.0, periods, to_alarm, missing)


@pytest.mark.parametrize(
    ("pattern", "states"),
    [
        ("0-X-X", (OK, OK, OK, OK)),
        ("----0", (OK, OK, OK, OK)),
        ("-----", (INSUFFICIENT, None, ALARM, OK)),
        ("0XX-X", (ALARM, ALARM, ALARM, ALARM)),
        ("--X--", (ALARM, None, ALARM, OK)),
    ],
)
def test_three_of_three(pattern: str, states: tuple[str | None, ...]) -> None:
    assert tuple(judge(check(each), readings(pattern)).state for each in TREATMENTS) == states


@pytest.mark.parametrize(
    ("pattern", "states"),
    [
        ("0-X-X", (ALARM, ALARM, ALARM, ALARM)),
        ("00X0X", (ALARM, ALARM, ALARM, ALARM)),
        ("0-X--", (OK, OK, ALARM, OK)),
        ("----0", (OK, OK, ALARM, OK)),
        ("---X-", (ALARM, None, ALARM, OK)),
    ],
)
def test_two_of_three(pattern: str, states: tuple[str | None, ...]) -> None:
    assert tuple(judge(check(each, to_alarm=2), readings(pattern)).state for each in TREATMENTS) == states


@pytest.mark.parametrize(
    ("pattern", "wanted", "reason"),
    [
        ("--X", check(periods=1), "1 datapoint [5.0 (26/10/23 16:44:00)] was greater than the threshold (2.0)."),
        ("--0", check(periods=1), "1 datapoint [0.0 (26/10/23 16:44:00)] was not greater than the threshold (2.0)."),
        (
            "0XX0X",
            check(to_alarm=2),
            "2 out of the last 3 datapoints [5.0 (26/10/23 16:46:00), 5.0 (26/10/23 16:44:00)] were greater than the "
            "threshold (2.0) (minimum 2 datapoints for OK -> ALARM transition).",
        ),
        (
            "00000",
            check(to_alarm=3),
            "3 out of the last 3 datapoints [0.0 (26/10/23 16:46:00), 0.0 (26/10/23 16:45:00), 0.0 (26/10/23 16:44:00)] "
            "were not greater than the threshold (2.0) (minimum 1 datapoint for ALARM -> OK transition).",
        ),
        (
            "----",
            check("breaching", 2),
            "no datapoints were received for 2 periods and 2 missing datapoints were treated as [Breaching].",
        ),
        (
            "---",
            check("notBreaching", 1),
            "no datapoints were received for 1 period and 1 missing datapoint was treated as [NonBreaching].",
        ),
    ],
)
def test_reasons(pattern: str, wanted: Check, reason: str) -> None:
    assert judge(wanted, readings(pattern)).reason == f"Threshold Crossed: {reason}"


def test_too_few_datapoints_say_how_many_it_takes() -> None:
    verdict = judge(check(), readings("----X"))
    assert verdict.state == OK
    assert verdict.reason.endswith(
        "was greater than the threshold (2.0) (minimum 3 datapoints for OK -> ALARM transition)."
    )


def test_what_is_unknown_is_said() -> None:
    assert judge(check(periods=1), readings("---")).reason == "Insufficient Data: 1 datapoint was unknown."
    assert judge(check(periods=3), readings("-----")).reason == "Insufficient Data: 3 datapoints were unknown."


def test_of_many_datapoints_the_most_recent_are_listed() -> None:
    reason = judge(check(periods=20), readings("X" * 22)).reason
    assert reason.startswith("Threshold Crossed: 20 datapoints were greater than the threshold (2.0). The most recent")
    assert reason.count("5.0 (") == 5


@given(st.lists(ANY, min_size=5, max_size=5), st.integers(1, 3), st.sampled_from(TREATMENTS))
def test_filling_in_what_is_missing_is_what_its_treatment_says(
    values: list[float | None], least: int, how: str
) -> None:
    """Written out: the alarm is raised as often as if the missing points were there."""
    given_readings = [Reading(T - 60 * n, value, 1.0) for n, value in enumerate(values)]
    verdict = judge(check(how, to_alarm=least), given_readings)
    real = [value for value in values if value is not None][:3]
    absent = 3 - len(real)
    breaching = sum(value > 2 for value in real)
    if how == "breaching":
        assert (verdict.state == ALARM) == (breaching + absent >= least)
    if how == "notBreaching" or not absent:
        assert (verdict.state == ALARM) == (breaching >= least)
    if breaching >= least:
        assert verdict.state == ALARM
    if any(value <= 2 for value in real) and breaching < least and how != "breaching":
        assert verdict.state == OK
    if not real:
        assert verdict.state == {"missing": INSUFFICIENT, "ignore": None, "breaching": ALARM, "notBreaching": OK}[how]


@given(
    st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=202),
    st.sampled_from(sorted(COMPARISONS)),
    st.sampled_from(TREATMENTS),
    st.booleans(),
)
def test_reasons_fit_in(values: list[float | None], comparison: str, how: str, stated: bool) -> None:
    periods = len(values) - 2
    made = [Reading(T - 60 * n, value, 1.0) for n, value in enumerate(values)]
    verdict = judge(Check(comparison, 2.0, periods, max(1, periods // 2) if stated else None, how), made)
    assert isinstance(verdict, Verdict)
    assert len(verdict.reason) < 1023
    assert bool(verdict.reason) == (verdict.state is not None)


def test_percentiles_of_few_values_may_say_nothing() -> None:
    few = Check("GreaterThanThreshold", 2.0, 1, least_samples=least_samples("p90"))
    assert judge(few, [Reading(T, 9.0, 99.0)]).state is None
    assert judge(few, [Reading(T, 9.0, 101.0)]).state == ALARM
    assert least_samples("p10") == 100
    assert (least_samples("p100"), least_samples("tm90"), least_samples("Sum")) == (0, 0, 0)


@given(st.integers(0, 4_000_000_000), st.sampled_from([10, 30, 60, 300, 3600, 86_400]), st.booleans())
def test_windows_end_with_what_is_over(now: int, period: int, aligned: bool) -> None:
    end = window_end(now, period, aligned, 19_800)
    assert end <= now
    assert now - end < (period if aligned else min(period, 60))
    assert not aligned or (end + 19_800) % period == 0


@pytest.mark.parametrize(
    ("zone", "offset"),
    [
        ("UTC", 0),
        ("+05:30", 19_800),
        ("UTC-03:00", -10_800),
        ("+15:00", None),
        ("+00:03", None),
        ("Europe/Paris", None),
    ],
)
def test_offsets(zone: str, offset: int | None) -> None:
    assert offset_of(zone) == offset


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.0, "2.0"), (0.1, "0.1"), (1e21, "1.0E21"), (-2.5e-7, "-2.5E-7"), (99.50160229693434, "99.50160229693434")],
)
def test_numbers_are_as_java_writes_them(value: float, text: str) -> None:
    assert number(value) == text
