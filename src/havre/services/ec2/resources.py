"""EC2's records. All are written by operations only; a resource is named by its id. Tags are part of each.

Every kind but REGION has an index ``vpc`` where it belongs to one, so that questions like "what does this VPC still
hold" cost what they find.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from havre.kernel.resource import Kind, NoStatus, Resource, scoped


class RegionSpec(msgspec.Struct, frozen=True):
    """That an account has used a region: its default VPC was made then, and is not made again if it was deleted."""

    default_vpc: str


class VpcSpec(msgspec.Struct, frozen=True):
    cidr: str
    association: str
    dhcp_options: str
    default: bool = False
    tenancy: str = "default"
    dns_support: bool = True
    dns_hostnames: bool = False
    tags: Mapping[str, str] = {}


class SubnetSpec(msgspec.Struct, frozen=True):
    """``zone`` is the zone's name, ``acl_association`` the id of its association with the default network ACL."""

    vpc: str
    cidr: str
    zone: str
    acl_association: str
    default: bool = False
    map_public: bool = False
    tags: Mapping[str, str] = {}


class Rule(msgspec.Struct, frozen=True):
    """``protocol`` tcp, udp, icmp, icmpv6, a number, or "-1"; ports -1 where there are none (ICMP: type and code).
    One of ``cidr``, ``cidr6`` and ``group`` is set."""

    id: str
    egress: bool
    protocol: str
    from_port: int
    to_port: int
    cidr: str = ""
    cidr6: str = ""
    group: str = ""
    description: str = ""
    tags: Mapping[str, str] = {}

    @property
    def what(self) -> tuple[bool, str, int, int, str, str, str]:
        """All that makes two rules the same."""
        return (self.egress, self.protocol, self.from_port, self.to_port, self.cidr, self.cidr6, self.group)


class GroupSpec(msgspec.Struct, frozen=True):
    vpc: str
    group: str
    description: str
    rules: tuple[Rule, ...] = ()
    tags: Mapping[str, str] = {}


class GatewaySpec(msgspec.Struct, frozen=True):
    vpc: str = ""
    tags: Mapping[str, str] = {}


class Route(msgspec.Struct, frozen=True):
    """``gateway`` is an internet gateway's id. The route to the VPC itself (``local``) is not written down."""

    destination: str
    gateway: str


class Association(msgspec.Struct, frozen=True):
    id: str
    subnet: str


class RouteTableSpec(msgspec.Struct, frozen=True):
    """``main`` is the id of the association that makes it the VPC's main table, "" for others. ``token``: ClientToken."""

    vpc: str
    main: str = ""
    routes: tuple[Route, ...] = ()
    associations: tuple[Association, ...] = ()
    token: str = ""
    tags: Mapping[str, str] = {}


class AclSpec(msgspec.Struct, frozen=True):
    """The default network ACL of a VPC, which allows all: the only one there is."""

    vpc: str
    tags: Mapping[str, str] = {}


class DhcpSpec(msgspec.Struct, frozen=True):
    options: tuple[tuple[str, tuple[str, ...]], ...]
    tags: Mapping[str, str] = {}


class InterfaceSpec(msgspec.Struct, frozen=True):
    """``requester`` is the AWS service that made it (``ecs.amazonaws.com``; "" for users): such an interface is attached
    from the start (``attachment``). ``regrouped``: its groups were changed since it was made. ``token``: ClientToken."""

    vpc: str
    subnet: str
    zone: str
    address: str
    mac: str
    groups: tuple[str, ...]
    description: str = ""
    requester: str = ""
    requester_id: str = ""
    attachment: str = ""
    attached: float = 0.0
    source_dest_check: bool = True
    regrouped: bool = False
    token: str = ""
    tags: Mapping[str, str] = {}


def _vpc(r: Resource[Any, Any]) -> str | None:
    return r.spec.vpc or None


def _token(r: Resource[Any, Any]) -> str | None:
    return scoped(r.meta.account, r.meta.region, r.spec.token) if r.spec.token else None


def _group_names(r: Resource[GroupSpec, NoStatus]) -> str:
    return f"{r.spec.vpc}/{r.spec.group}"


def _referenced(r: Resource[GroupSpec, NoStatus]) -> tuple[str, ...]:
    return tuple({rule.group for rule in r.spec.rules if rule.group})


REGION: Kind[RegionSpec, NoStatus] = Kind("ec2.region", RegionSpec, NoStatus)
VPC: Kind[VpcSpec, NoStatus] = Kind(
    "ec2.vpc",
    VpcSpec,
    NoStatus,
    {"dhcp": lambda r: r.spec.dhcp_options},
)
SUBNET: Kind[SubnetSpec, NoStatus] = Kind("ec2.subnet", SubnetSpec, NoStatus, {"vpc": _vpc})
GROUP: Kind[GroupSpec, NoStatus] = Kind(
    "ec2.security_group",
    GroupSpec,
    NoStatus,
    {
        "vpc": _vpc,
        "name": _group_names,
        "references": _referenced,
        "rule": lambda r: tuple(rule.id for rule in r.spec.rules),
    },
)
GATEWAY: Kind[GatewaySpec, NoStatus] = Kind("ec2.internet_gateway", GatewaySpec, NoStatus, {"vpc": _vpc})
TABLE: Kind[RouteTableSpec, NoStatus] = Kind(
    "ec2.route_table",
    RouteTableSpec,
    NoStatus,
    {
        "vpc": _vpc,
        "subnet": lambda r: tuple(a.subnet for a in r.spec.associations),
        "association": lambda r: (r.spec.main, *(a.id for a in r.spec.associations)),
        "token": _token,
    },
)
ACL: Kind[AclSpec, NoStatus] = Kind("ec2.network_acl", AclSpec, NoStatus, {"vpc": _vpc})
DHCP: Kind[DhcpSpec, NoStatus] = Kind("ec2.dhcp_options", DhcpSpec, NoStatus)
INTERFACE: Kind[InterfaceSpec, NoStatus] = Kind(
    "ec2.network_interface",
    InterfaceSpec,
    NoStatus,
    {
        "vpc": _vpc,
        "subnet": lambda r: r.spec.subnet,
        "address": lambda r: f"{r.spec.subnet}/{r.spec.address}",
        "group": lambda r: r.spec.groups,
        "token": _token,
        "regrouped": lambda r: r.spec.vpc if r.spec.regrouped else None,
    },
)
KINDS = (REGION, VPC, SUBNET, GROUP, GATEWAY, TABLE, ACL, DHCP, INTERFACE)

VpcR = Resource[VpcSpec, NoStatus]
SubnetR = Resource[SubnetSpec, NoStatus]
GroupR = Resource[GroupSpec, NoStatus]
GatewayR = Resource[GatewaySpec, NoStatus]
TableR = Resource[RouteTableSpec, NoStatus]
AclR = Resource[AclSpec, NoStatus]
DhcpR = Resource[DhcpSpec, NoStatus]
InterfaceR = Resource[InterfaceSpec, NoStatus]
