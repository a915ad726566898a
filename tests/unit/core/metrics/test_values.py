"""Distributions: bounded, mergeable, and off by no more than they say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from havre.core.metrics.values import ERROR, EXACT, MOST, bounded, decode, encode, merge, summary

NUMBERS = st.floats(min_value=-1e6, max_value=1e6, allow_subnormal=False).filter(lambda v: v == 0 or abs(v) > 1e-2)
COUNTS = st.integers(min_value=1, max_value=1000).map(float)


@given(st.dictionaries(NUMBERS, COUNTS, min_size=1, max_size=EXACT))
def test_few_values_are_kept_as_they_are(values: dict[float, float]) -> None:
    assert decode(encode(values)) == values


@given(st.dictionaries(NUMBERS, COUNTS, min_size=EXACT + 1, max_size=EXACT + 60))
def test_many_values_are_off_by_one_per_cent_at_most(values: dict[float, float]) -> None:
    kept = bounded(values)
    assert sum(kept.values()) == sum(values.values())
    for value in values:
        assert min(abs(near - value) for near in kept) <= abs(value) * ERROR * 1.0001
    assert bounded(kept) == kept or len(kept) <= EXACT


def test_their_number_is_bounded_whatever_comes() -> None:
    wide = {10.0 ** (n / 50): 1.0 for n in range(-5000, 5000)}
    kept = bounded(wide)
    assert len(kept) <= MOST
    assert sum(kept.values()) == len(wide)


@given(st.lists(st.dictionaries(NUMBERS, COUNTS, min_size=1, max_size=5), min_size=1, max_size=5))
def test_merging_adds_up_and_minds_no_order(many: list[dict[float, float]]) -> None:
    forwards = decode(merge([encode(v) for v in many]))
    backwards = decode(merge([encode(v) for v in many[::-1]]))
    assert forwards == backwards
    assert forwards is not None
    assert sum(forwards.values()) == sum(sum(v.values()) for v in many)


def test_what_is_unknown_stays_so() -> None:
    assert decode(encode(None)) is None
    assert decode(merge([encode({1.0: 1.0}), encode(None)])) is None


def test_a_summary_counts_each_value_as_often_as_it_was_seen() -> None:
    assert summary({2.0: 3.0, -1.0: 1.0}) == (4.0, 5.0, -1.0, 2.0)
