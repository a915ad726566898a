"""Addresses of a VPC: what AWS reserves in a subnet, which address comes next."""

from __future__ import annotations

from collections.abc import Callable

from havre.kernel.addresses import Cidr, address_of

RESERVED = 5
"""Of every subnet: network, router, DNS, one for later, broadcast."""


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
