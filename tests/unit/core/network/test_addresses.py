"""Which address comes next in a subnet, and the names and MAC addresses that go with it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from havre.core import network
from havre.kernel.addresses import Cidr, address_of, number_of, parse_cidr

SMALL = st.builds(
    lambda base, bits: Cidr(base >> (32 - bits) << (32 - bits), bits), st.integers(0, 2**32 - 1), st.integers(24, 28)
)


@given(SMALL, st.data())
def test_a_free_address_is_found_whenever_there_is_one(cidr: Cidr, data: st.DataObject) -> None:
    usable = [address_of(number) for number in network.usable(cidr)]
    assert len(usable) == cidr.size - network.RESERVED
    taken = data.draw(st.sets(st.sampled_from(usable)) | st.just(set(usable)))
    start = data.draw(st.integers(0, len(usable) - 1))
    picked = network.pick(cidr, lambda address: address in taken, start)
    if picked is None:
        assert taken == set(usable)
    else:
        assert picked in usable and picked not in taken
        between = [usable[(start + n) % len(usable)] for n in range((usable.index(picked) - start) % len(usable))]
        assert taken.issuperset(between), "the first one that is free, from the start on"


@given(SMALL)
def test_what_aws_reserves_is_never_given(cidr: Cidr) -> None:
    reserved = {address_of(cidr.base + n) for n in range(4)} | {address_of(cidr.last)}
    assert cidr.router in reserved and cidr.resolver in reserved
    assert reserved.isdisjoint(address_of(number) for number in network.usable(cidr))


@given(st.integers(0, 2**40 - 1), st.integers(0, 2**40 - 1))
def test_macs_are_local_unicast_and_tell_interfaces_apart(one: int, two: int) -> None:
    mac = network.mac_of(one)
    raw = bytes.fromhex(mac.replace(":", ""))
    assert len(raw) == 6 and raw[0] & 3 == 2
    assert (mac == network.mac_of(two)) == (one == two)


def test_private_domains_are_those_of_aws() -> None:
    assert network.private_domain("us-east-1") == "ec2.internal"
    assert network.private_domain("eu-west-1") == "eu-west-1.compute.internal"


@given(SMALL, st.data())
def test_every_address_can_be_the_next(cidr: Cidr, data: st.DataObject) -> None:
    usable = network.usable(cidr)
    at = data.draw(st.integers(0, len(usable) - 1))
    assert network.pick(cidr, lambda _: False, at) == address_of(usable[at])
    assert parse_cidr(str(cidr)) == cidr and number_of(cidr.router) == cidr.base + 1
