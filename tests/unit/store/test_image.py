"""Places are in order for whoever looks, however they came."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from havre.store.image import Place, Places

_PLACES = st.tuples(st.sampled_from(["1", "2"]), st.sampled_from(["r", "s"]), st.text("abc", max_size=3))
_STEPS = st.lists(st.tuples(st.sampled_from(["add", "add", "add", "leave", "look"]), _PLACES), max_size=80)


@given(st.sets(_PLACES), _STEPS)
def test_places_are_as_a_sorted_set(first: set[Place], steps: list[tuple[str, Place]]) -> None:
    expected, places = set(first), Places(sorted(first))
    for what, place in steps:
        if what == "add" and place not in expected:
            expected.add(place)
            places.add(place)
        elif what == "leave" and place in expected:
            expected.remove(place)
            places.leave(place)
        elif what == "look":
            assert list(places.ordered()) == sorted(expected)
        assert len(places) == len(expected)
    assert list(places.ordered()) == sorted(expected)


def test_few_that_come_to_many_are_put_in_their_places() -> None:
    places = Places([("1", "r", f"{n:04}") for n in range(0, 1000, 2)])
    for n in (999, 1, 501):
        places.add(("1", "r", f"{n:04}"))
    assert list(places.ordered()) == sorted(places)
    assert len(places) == 503
