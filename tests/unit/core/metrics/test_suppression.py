"""Actions that are held back are done in the end, and not while the suppressor is raised."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from havre.core.metrics.suppression import ALARM, EXTENSION, WAIT, Hold, Terms, begin, go_on

TERMS = st.builds(Terms, st.integers(0, 60).map(float), st.integers(0, 60).map(float))


def test_the_periods() -> None:
    terms = Terms(10, 20)
    assert begin(terms, True, 0) == Hold(ALARM)
    assert begin(Terms(0, 20), False, 0) is None
    waiting = begin(terms, False, 0)
    assert waiting == Hold(WAIT, 10)
    assert go_on(waiting, terms, False, 9) == waiting
    assert go_on(waiting, terms, False, 10) is None
    assert go_on(waiting, terms, True, 9) == Hold(ALARM)
    assert go_on(Hold(ALARM), terms, False, 30) == Hold(EXTENSION, 50)
    assert go_on(Hold(ALARM), Terms(10, 0), False, 30) is None
    assert go_on(Hold(EXTENSION, 50), terms, True, 40) == Hold(ALARM)
    assert go_on(Hold(EXTENSION, 50), terms, False, 50) is None


@given(TERMS, st.lists(st.booleans(), min_size=1, max_size=100))
def test_nothing_is_held_back_for_ever(terms: Terms, raised: list[bool]) -> None:
    """Looked at every second, with the suppressor as it may be, and then let go."""
    hold = begin(terms, raised[0], 0)
    for now, is_raised in enumerate(raised):
        if hold is None:
            return
        hold = go_on(hold, terms, is_raised, now)
        assert not is_raised or hold == Hold(ALARM)
    for now in range(len(raised), len(raised) + 122):
        if hold is None:
            return
        hold = go_on(hold, terms, False, now)
    assert hold is None
