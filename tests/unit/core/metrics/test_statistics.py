"""Statistics of a period, against the values written out one by one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.metrics.statistics import Summary, combine, percentile, statistic
from havre.core.metrics.values import summary

VALUES = st.dictionaries(
    st.floats(min_value=0, max_value=1e6, allow_subnormal=False),
    st.integers(min_value=1, max_value=20).map(float),
    min_size=1,
    max_size=30,
)


def summed(values: dict[float, float]) -> Summary:
    return Summary(*summary(values), values)


def written_out(values: dict[float, float]) -> list[float]:
    return sorted(value for value, count in values.items() for _ in range(int(count)))


def told(name: str, values: dict[float, float]) -> float:
    compute = statistic(name)
    assert compute is not None
    found = compute(summed(values))
    assert found is not None
    return found


@given(VALUES, st.integers(min_value=0, max_value=100))
def test_a_percentile_is_the_value_at_its_rank(values: dict[float, float], percent: int) -> None:
    ordered = written_out(values)
    rank = max(1, math.ceil(len(ordered) * percent / 100 - 1e-9))
    assert percentile(values, percent) == ordered[rank - 1]
    assert told(f"p{percent}", values) == ordered[rank - 1]


@given(VALUES)
def test_trimmed_means_lie_among_the_values_and_whole_ones_are_the_average(values: dict[float, float]) -> None:
    ordered = written_out(values)
    slack = 1e-9 * max(1.0, ordered[-1])
    for name in ("tm90", "TM(10%:90%)", "IQM", "WM(5%:95%)", "wm98"):
        assert ordered[0] - slack <= told(name, values) <= ordered[-1] + slack
    assert told("TM(0%:100%)", values) == pytest.approx(told("Average", values))
    assert told("TC(0%:100%)", values) == pytest.approx(len(ordered))
    assert told("TS(:100%)", values) == pytest.approx(sum(ordered))


@given(VALUES, st.floats(min_value=0, max_value=1e6))
def test_ranges_of_values_part_them_all(values: dict[float, float], at: float) -> None:
    assert told(f"PR(:{at:.3f})", values) + told(f"PR({at:.3f}:)", values) == pytest.approx(100)
    counted = told(f"TC(:{at:.3f})", values)
    assert counted == sum(1 for value in written_out(values) if value <= float(f"{at:.3f}"))


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_periods_together_are_as_one(many: list[dict[float, float]]) -> None:
    found = combine([summed(values) for values in many])
    everything = sorted(value for values in many for value in written_out(values))
    assert found.count == len(everything)
    assert found.total == pytest.approx(math.fsum(everything))
    assert (found.least, found.most) == (everything[0], everything[-1])
    assert found.values is not None
    assert sum(found.values.values()) == len(everything)


@pytest.mark.parametrize(
    "name", ["p101", "p", "Avg", "tm", "TM(:)", "TM(90%:10%)", "TM(5:90%)", "PR(1%:2%)", "TM(a:b)", ""]
)
def test_what_is_no_statistic_is_none(name: str) -> None:
    assert statistic(name) is None


@pytest.mark.parametrize("name", ["p0", "p100", "p99.99", "TM(:95%)", "TC(5:)", "pr(-1:2.5)", "iqm"])
def test_what_is_a_statistic_is_one(name: str) -> None:
    assert statistic(name) is not None


def test_what_cannot_be_told_is_not() -> None:
    ninetieth = statistic("p90")
    assert ninetieth is not None
    assert ninetieth(Summary(1.0, 1.0, 1.0, 1.0, None)) is None
    assert ninetieth(summed({-1.0: 1.0, 5.0: 1.0})) is None, "CloudWatch has no percentiles of negative values"
