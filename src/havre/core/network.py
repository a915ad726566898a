"""Addresses of a VPC: what AWS reserves in a subnet, which address comes next."""

from __future__ import annotations

from collections.abc import Callable

from havre.kernel.addresses import Cidr, address_of, parse_cidr

RESERVED = 5
"""Of every subnet: network, router, DNS, one for later, broadcast."""


UNUSABLE = tuple(map(parse_cidr, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")))
"""Blocks that no network can have: this host's own, link-local ones, multicast and what is reserved."""


def usable(cidr: Cidr) -> range:
    """The addresses that interfaces can have, as numbers."""
    return range(cidr.base + 4, cidr.last)


def pick(cidr: Cidr, taken: Callable[[str], bool], start: int) -> str | None:
    """The first free address from the ``start``-th on, around the block; None when all are taken.

    Callers draw ``start``, so that an address that was just given back is seldom the next to be given out.
    """
    addresses = usable(cidr)
    for step in range(len(addresses)):
        address = address_of(addresses[(start + step) % len(addresses)])
        if not taken(address):
            return address
    return None


def mac_of(bits: int) -> str:
    """A locally administered unicast MAC address from 40 random bits."""
    return ":".join(["02", *(f"{bits >> shift & 255:02x}" for shift in (32, 24, 16, 8, 0))])


def private_domain(region: str) -> str:
    return "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
