"""What load balancers have done from one look to the next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from havre.core.traffic import since
from havre.kernel.balancer import PoolTraffic

COUNTS = st.integers(0, 10**9)
SEEN = st.builds(PoolTraffic, COUNTS, st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), COUNTS, COUNTS)


def added(one: PoolTraffic, other: PoolTraffic) -> PoolTraffic:
    a, b, c, d = (x + y for x, y in zip(one.answered, other.answered, strict=True))
    return PoolTraffic(
        one.requests + other.requests, (a, b, c, d), one.refused + other.refused, one.failed + other.failed
    )


@given(SEEN, SEEN)
def test_what_was_added_came_since(before: PoolTraffic, more: PoolTraffic) -> None:
    assert since(before, added(before, more)) == more


def test_a_proxy_that_began_anew_counts_from_nothing() -> None:
    now = PoolTraffic(5, (4, 0, 0, 1))
    assert since(PoolTraffic(100, (100, 0, 0, 0)), now) == now
    assert since(PoolTraffic(5, (5, 0, 0, 0)), now) == now
