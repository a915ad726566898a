"""Names of pools."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from havre.core.environments import Fleet, Rules, pools

IDS = st.text("0123456789abcdef", min_size=1, max_size=4)
TENANTS = st.from_regex(r"[a-zA-Z0-9._:/=+\-@ ]{1,8}", fullmatch=True)


@given(IDS, st.one_of(st.just(""), IDS), st.one_of(st.just(""), TENANTS), IDS)
def test_a_pool_is_of_one_function_and_one_state_of_its_files(id: str, stamp: str, tenant: str, other: str) -> None:
    pool = pools.name(id, stamp, tenant)
    assert pools.function_in(pool) == id
    assert pools.belongs(pool, id) and pools.belongs(pool, pools.name(id, stamp))
    assert pools.belongs(pool, other) == (other == id)


@given(IDS, TENANTS, TENANTS)
def test_tenants_have_pools_of_their_own(id: str, one: str, other: str) -> None:
    assert (pools.name(id, "", one) == pools.name(id, "", other)) == (one == other)


def test_a_pool_of_a_tenant_goes_with_its_last_environment() -> None:
    fleet = Fleet(Rules(memory=1000, idle=50.0))
    fleet.know("f", 1)
    fleet.know("f#blue", 1, passing=True)
    [start] = fleet.wait("f#blue", "a", 0)
    assert start.member is not None and fleet.within("f") == ("f", "f#blue")
    assert fleet.settled(start.member, 0) == "a"
    fleet.answered(start.member, 1)
    fleet.settled(start.member, 1)
    fleet.tick(100.0)
    assert fleet.within("f") == ("f",)
