"""What workloads use of what they asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from havre.core.usage import Seen, Used, cpu_units, of_stats, percent, together


def test_dockers_statistics_of_both_kinds_of_control_groups() -> None:
    one = {
        "cpu_stats": {"cpu_usage": {"total_usage": 5}},
        "memory_stats": {"usage": 100, "stats": {"inactive_file": 30}},
    }
    assert of_stats(one) == Used(5, 70)
    older = {"memory_stats": {"usage": 100, "stats": {"total_inactive_file": 20, "inactive_file": 1}}}
    assert of_stats(older) == Used(0, 80)
    assert of_stats({}) == of_stats({"memory_stats": {}, "cpu_stats": None}) == Used()
    assert together([Used(1, 2), Used(3, 4)]) == Used(4, 6)


def test_parts_of_what_was_asked_for() -> None:
    half = Seen(60.0, Used(30_000_000_000, 0))
    assert cpu_units(Seen(0.0, Used()), half) == 512
    assert cpu_units(half, half) is None
    assert percent(512, 1024) == 50.0 and percent(512, 256) == 200.0
    assert percent(512, 0) is None and percent(None, 1024) is None


def test_what_began_anew_counts_from_nothing() -> None:
    again = Seen(60.0, Used(6_000_000_000, 0))
    assert percent(cpu_units(Seen(0.0, Used(10**12, 0)), again), 1024) == 10.0


@given(st.integers(0, 2**60), st.integers(0, 2**60), st.floats(0.001, 1e6))
def test_it_is_never_negative(before: int, now: int, passed: float) -> None:
    found = cpu_units(Seen(0.0, Used(before)), Seen(passed, Used(now)))
    assert found is not None and found >= 0
