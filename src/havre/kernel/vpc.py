"""What a network is asked to be: a VPC with its subnets and security groups."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class NetworkRule(msgspec.Struct, frozen=True):
    """One permission of a security group. ``protocol`` tcp, udp, icmp, a number, or "-1" for all; ports inclusive (-1
    all; ICMP type and code). The other side is a CIDR or a security group."""

    protocol: str
    from_port: int
    to_port: int
    cidr: str = ""
    group: str = ""


class SecurityGroup(msgspec.Struct, frozen=True):
    id: str
    ingress: tuple[NetworkRule, ...] = ()
    egress: tuple[NetworkRule, ...] = ()


class Subnet(msgspec.Struct, frozen=True):
    """``cidr``'s first address is the router, as in AWS. ``internet``: the destinations that its route table sends to
    the internet gateway; nothing else leaves the VPC from here."""

    id: str
    cidr: str
    zone: str
    internet: tuple[str, ...] = ("0.0.0.0/0",)


class Vpc(msgspec.Struct, frozen=True):
    """A whole VPC as a node builds it: one network namespace, in which its subnets' routers are."""

    id: str
    cidrs: tuple[str, ...]
    subnets: tuple[Subnet, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()
    internet: bool = True
    """Whether there is a way out (an internet gateway is attached)."""
    names: Mapping[str, str] = {}
    """Private DNS names → address, resolved inside the VPC besides load balancers' names."""
    domain: str = ""
    """What follows ``ip-172-31-0-5.`` in the private names of its addresses ("" where the VPC gives none)."""
    resolver: bool = True
    """Whether the VPC has a DNS server (enableDnsSupport)."""
    regrouped: Mapping[str, tuple[str, ...]] = {}
    """ENI → security groups, where they were changed since it was made; they go before those of the Interface."""
