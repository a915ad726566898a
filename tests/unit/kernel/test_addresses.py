"""IPv4 addresses and blocks, held against the standard library's."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from havre.kernel import addresses
from havre.kernel.addresses import parse_cidr

NUMBERS = st.integers(0, 2**32 - 1)
BLOCKS = st.builds(lambda number, bits: f"{ipaddress.IPv4Address(number)}/{bits}", NUMBERS, st.integers(0, 32))


@given(NUMBERS)
def test_addresses_are_written_and_read(number: int) -> None:
    text = addresses.address_of(number)
    assert text == str(ipaddress.IPv4Address(number)) and addresses.number_of(text) == number


@given(st.text("0123456789./ -+x٣", max_size=18) | st.text(max_size=18))
@example("1.2.3.04")
@example("1.2.3.4/8")
@example("1.2.3.٣")
def test_what_is_no_address_is_refused(text: str) -> None:
    try:
        expected = int(ipaddress.IPv4Address(text))
    except ValueError:
        with pytest.raises(ValueError):
            addresses.number_of(text)
    else:
        assert addresses.number_of(text) == expected


@given(BLOCKS)
def test_blocks_are_those_of_the_standard_library(text: str) -> None:
    block, network = parse_cidr(text), ipaddress.IPv4Network(text, strict=False)
    assert (str(block), block.size, block.last) == (str(network), network.num_addresses, int(network.broadcast_address))


@given(BLOCKS, BLOCKS, NUMBERS)
def test_blocks_meet_and_hold_as_the_standard_library_says(one: str, two: str, number: int) -> None:
    a, b = parse_cidr(one), parse_cidr(two)
    first, second = ipaddress.IPv4Network(one, strict=False), ipaddress.IPv4Network(two, strict=False)
    assert a.meets(b) == b.meets(a) == first.overlaps(second)
    assert a.holds(b) == second.subnet_of(first)
    assert a.has(addresses.address_of(number)) == (ipaddress.IPv4Address(number) in first)


@pytest.mark.parametrize("text", ["", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8", "a/8", "::/0"])
def test_what_is_no_block_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_cidr(text)


@given(NUMBERS, st.sampled_from(["ec2.internal", "eu-west-1.compute.internal"]))
def test_private_names_go_both_ways(number: int, domain: str) -> None:
    address = addresses.address_of(number)
    name = addresses.private_name(address, domain)
    assert addresses.address_named(name.upper() + ".", domain) == address
    assert addresses.address_named(name, "other.internal") is None
    assert addresses.address_named(name, "") is None
    assert addresses.address_named(f"x{name}", domain) is None
