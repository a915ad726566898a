"""Making resources: each function writes one new resource, with the id that it gets, and gives it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from havre.control.operation import Call
from havre.core import network
from havre.kernel.resource import Kind, NoStatus, Resource
from havre.services.ec2 import resources as r
from havre.services.ec2.find import NOUN
from havre.store.ports import Transaction

S = TypeVar("S", bound=msgspec.Struct)
ANYWHERE = "0.0.0.0/0"


def id_of(call: Call, prefix: str) -> str:
    return f"{prefix}{call.world.hex(17)}"


def new(call: Call, tx: Transaction, kind: Kind[S, NoStatus], spec: S) -> Resource[S, NoStatus]:
    noun = NOUN[kind.name]
    id = id_of(call, noun.prefix)
    return tx.create(
        kind,
        account=call.account,
        region=call.region,
        name=id,
        arn=call.arn(f"{noun.arn}/{id}", "ec2"),
        spec=spec,
        status=NoStatus(),
    )


def vpc(call: Call, tx: Transaction, cidr: str, *, default: bool = False, tags: Mapping[str, str] = {}) -> r.VpcR:
    """With what every VPC is born with: main route table, default network ACL, default security group."""
    spec = r.VpcSpec(
        cidr,
        id_of(call, "vpc-cidr-assoc-"),
        dhcp_options(call, tx).meta.name,
        default=default,
        dns_hostnames=default,
        tags=tags,
    )
    made = new(call, tx, r.VPC, spec)
    name = made.meta.name
    new(call, tx, r.TABLE, r.RouteTableSpec(name, main=id_of(call, "rtbassoc-")))
    new(call, tx, r.ACL, r.AclSpec(name))
    id = id_of(call, "sg-")
    rules = (
        r.Rule(id_of(call, "sgr-"), False, "-1", -1, -1, group=id),
        egress_to_anywhere(call),
    )
    tx.create(
        r.GROUP,
        account=call.account,
        region=call.region,
        name=id,
        arn=call.arn(f"security-group/{id}", "ec2"),
        spec=r.GroupSpec(name, "default", "default VPC security group", rules),
        status=NoStatus(),
    )
    return made


def egress_to_anywhere(call: Call) -> r.Rule:
    return r.Rule(id_of(call, "sgr-"), True, "-1", -1, -1, cidr=ANYWHERE)


def dhcp_options(call: Call, tx: Transaction) -> r.DhcpR:
    """The region's one set of DHCP options, which its first VPC makes."""
    found = tx.list(r.DHCP, call.account, call.region)
    if found:
        return found[0]
    options = (
        ("domain-name", (network.private_domain(call.region),)),
        ("domain-name-servers", ("AmazonProvidedDNS",)),
    )
    return new(call, tx, r.DHCP, r.DhcpSpec(options))


def subnet(call: Call, tx: Transaction, spec: r.SubnetSpec) -> r.SubnetR:
    return new(call, tx, r.SUBNET, msgspec.structs.replace(spec, acl_association=id_of(call, "aclassoc-")))
