"""IPv4 addresses and blocks, and the private names of addresses."""

from __future__ import annotations

from typing import NamedTuple


def inner_address(loopback: str) -> str:
    """Of a load balancer with this address on the host (127.x.y.z): one that containers behind a bridge can send to. It is
    of the block that nobody uses (240.0.0.0/4), and as much its own as the other."""
    return f"240.{loopback.partition('.')[2]}"


class Cidr(NamedTuple):
    """An IPv4 block: its first address as a number, and the length of its prefix."""

    base: int
    bits: int

    def __str__(self) -> str:
        return f"{address_of(self.base)}/{self.bits}"

    @property
    def size(self) -> int:
        return int(1 << (32 - self.bits))

    @property
    def last(self) -> int:
        return self.base + self.size - 1

    @property
    def router(self) -> str:
        return address_of(self.base + 1)

    @property
    def resolver(self) -> str:
        """Where AWS's DNS server answers: the third address."""
        return address_of(self.base + 2)

    def has(self, address: str) -> bool:
        return self.base <= number_of(address) <= self.last

    def holds(self, other: Cidr) -> bool:
        return self.base <= other.base and other.last <= self.last

    def meets(self, other: Cidr) -> bool:
        return self.base <= other.last and other.base <= self.last


def number_of(address: str) -> int:
    """Raises ValueError for what is not a dotted quad."""
    parts = address.split(".")
    if len(parts) != 4:
        raise ValueError(f"not an IPv4 address: {address!r}")
    number = 0
    for part in parts:
        if not (part.isascii() and part.isdigit() and len(part) <= 3) or int(part) > 255 or str(int(part)) != part:
            raise ValueError(f"not an IPv4 address: {address!r}")
        number = number << 8 | int(part)
    return number


def address_of(number: int) -> str:
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def parse_cidr(text: str) -> Cidr:
    """The block, with the bits behind its prefix cleared as AWS does (``10.0.0.9/24`` is ``10.0.0.0/24``).

    Raises ValueError.
    """
    address, slash, length = text.partition("/")
    if not slash or not (length.isascii() and length.isdigit() and len(length) <= 2) or int(length) > 32:
        raise ValueError(f"not a CIDR block: {text!r}")
    bits = int(length)
    return Cidr(number_of(address) >> (32 - bits) << (32 - bits), bits)


def private_name(address: str, domain: str) -> str:
    """``ip-172-31-0-5.ec2.internal``"""
    return f"ip-{address.replace('.', '-')}.{domain}"


def address_named(name: str, domain: str) -> str | None:
    """The address behind a private name; None for any other name."""
    host, _, rest = name.lower().rstrip(".").partition(".")
    if not domain or rest != domain or not host.startswith("ip-"):
        return None
    try:
        address = host[3:].replace("-", ".")
        number_of(address)
    except ValueError:
        return None
    return address
