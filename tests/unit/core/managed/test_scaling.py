"""How many environments a version has, and who gets a provider's vCPUs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from havre.core.managed.ledger import Ledger, fitting
from havre.core.managed.scaling import Bounds, Load, wanted

shares = st.floats(0, 2, allow_nan=False)
loads = st.builds(Load, st.integers(0, 50), shares, st.floats(0, 1, allow_nan=False), st.booleans())


@st.composite
def some_bounds(draw: st.DrawFn) -> Bounds:
    most = draw(st.none() | st.integers(0, 40))
    return Bounds(draw(st.integers(0 if most == 0 else 1, 40 if most is None else most)) if most else 0, most)


@given(st.integers(0, 60), loads, some_bounds(), st.floats(0.05, 1), st.booleans())
def test_bounds_hold_whatever_the_load(now: int, load: Load, bounds: Bounds, target: float, rested: bool) -> None:
    count = wanted(now, load, bounds, target, rested=rested)
    assert bounds.least <= count
    assert bounds.most is None or count <= bounds.most


@given(st.integers(1, 60), loads, st.floats(0.05, 1), st.booleans())
def test_it_grows_to_twice_at_most_and_shrinks_by_one(now: int, load: Load, target: float, rested: bool) -> None:
    count = wanted(now, load, Bounds(1), target, rested=rested)
    assert now - 1 <= count <= 2 * now
    if not rested:
        assert count >= now


@given(st.integers(1, 40), some_bounds().filter(lambda b: not b.off))
def test_saturated_environments_get_company_up_to_the_most(now: int, bounds: Bounds) -> None:
    now = bounds.hold(now)
    count = wanted(now, Load(now, busy=1.0, refused=True), bounds)
    assert count > now or count == bounds.most


@given(st.integers(1, 40), some_bounds())
def test_without_load_it_comes_down_to_the_least_and_stays(now: int, bounds: Bounds) -> None:
    for _ in range(60):
        now = wanted(now, Load(now), bounds, rested=True)
    assert now == bounds.least


def test_more_are_wanted_only_when_those_are_ready_that_were_wanted_before() -> None:
    assert wanted(6, Load(3, busy=1.0), Bounds(1)) == 6
    assert wanted(6, Load(6, busy=1.0), Bounds(1)) == 12
    assert wanted(3, Load(3, cpu=0.9), Bounds(), 0.9) == 3
    assert wanted(3, Load(3, cpu=0.9), Bounds(), 0.3) == 6
    assert wanted(9, Load(9), Bounds(0, 0)) == 0


@given(st.integers(0, 100), st.floats(0.5, 16), st.floats(-100, 500))
def test_what_fits_has_room(count: int, each: float, room: float) -> None:
    granted = fitting(count, each, room)
    assert 0 <= granted <= count
    assert granted * each <= max(0.0, room) + 1e-6
    assert granted == count or (granted + 1) * each > room - 1e-6


class Claims(RuleBasedStateMachine):
    """However versions ask, a provider's vCPUs are never given twice."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.most = 400.0

    @rule(id=st.sampled_from("abcd"), each=st.sampled_from([1.0, 2.0, 4.0, 1.5]), count=st.integers(0, 300))
    def claim(self, id: str, each: float, count: int) -> None:
        before = self.ledger.used("p", but=id)
        granted = self.ledger.claim("p", id, each, count, self.most)
        assert self.ledger.has("p", id) == granted
        assert self.ledger.used("p", but=id) == before
        assert granted == count or before + (granted + 1) * each > self.most

    @rule(id=st.sampled_from("abcd"))
    def release(self, id: str) -> None:
        self.ledger.release("p", id)
        assert self.ledger.has("p", id) == 0

    @rule(id=st.sampled_from("abcd"))
    def others_have_their_own(self, id: str) -> None:
        assert self.ledger.claim("q", id, 1.0, 1, 4.0) == 1

    @invariant()
    def never_more_than_there_is(self) -> None:
        assert self.ledger.used("p") <= self.most + 1e-6


TestClaims = Claims.TestCase
