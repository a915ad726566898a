"""Batches at once, against machines of a certain width."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.event_sources.growth import FIRST, MOST, Growth


def run(growth: Growth, seconds: int, cpu: float, waiting: float, cores: int) -> int:
    """Batches that work ``cpu`` seconds and wait ``waiting`` seconds each, on so many cores; how many are allowed then."""
    for second in range(seconds):
        took = cpu * max(1.0, growth.allowed / cores) + waiting
        for _ in range(min(200, int(growth.allowed / took) + 1)):
            growth.ended(took)
        growth.wanted()
        growth.look(float(second))
    return growth.allowed


def test_functions_that_wait_get_more_and_more_at_once() -> None:
    assert run(Growth(), 60, 0.001, 5.0, cores=2) > 200
    assert run(Growth(), 1000, 0.001, 5.0, cores=2) <= MOST


def test_functions_that_work_get_no_more_than_the_machine_has() -> None:
    assert run(Growth(), 300, 0.5, 0.0, cores=2) <= 20
    assert run(Growth(), 300, 0.5, 0.0, cores=64) >= 64


@given(st.integers(1, 50), st.floats(0, 1), st.floats(0, 10), st.integers(1, 64))
def test_never_more_than_the_mapping_says(most: int, cpu: float, waiting: float, cores: int) -> None:
    growth = Growth(most)
    assert 1 <= run(growth, 100, cpu + 1e-3, waiting, cores) <= most
    growth.drained()
    assert growth.allowed == min(FIRST, most)


@pytest.mark.parametrize("short", [True, False])
def test_only_who_wants_more_gets_more(short: bool) -> None:
    growth = Growth()
    for second in range(10):
        growth.ended(1)
        if short:
            growth.wanted()
        growth.look(float(second))
    assert (growth.allowed > FIRST) is short
