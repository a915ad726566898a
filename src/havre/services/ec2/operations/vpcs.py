"""VPCs."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.core import network
from havre.kernel.errors import ApiError, not_built
from havre.kernel.resource import Kind
from havre.services.ec2 import defaults, errors, find, make, present, tags
from havre.services.ec2 import resources as r
from havre.services.ec2.blocks import cidr_block
from havre.services.ec2.declare import Ec2Operations, arns
from havre.services.ec2.filters import Values, flag
from havre.services.ec2.listing import ACCEPTS, described
from havre.store.ports import Reader, Transaction

ops = Ec2Operations()
MOST = 100
"""Quotas are as AWS raises them when asked, for here is nobody to ask."""

FILTERS: dict[str, Values[r.VpcR]] = {
    "cidr": lambda v: v.spec.cidr,
    "cidrBlock": lambda v: v.spec.cidr,
    "cidr-block": lambda v: v.spec.cidr,
    "cidr-block-association.cidr-block": lambda v: v.spec.cidr,
    "cidr-block-association.association-id": lambda v: v.spec.association,
    "cidr-block-association.state": lambda v: "associated",
    "dhcp-options-id": lambda v: v.spec.dhcp_options,
    "dhcpOptionsId": lambda v: v.spec.dhcp_options,
    "ipv6-cidr-block-association.ipv6-cidr-block": lambda v: (),
    "ipv6-cidr-block-association.ipv6-pool": lambda v: (),
    "ipv6-cidr-block-association.association-id": lambda v: (),
    "ipv6-cidr-block-association.state": lambda v: (),
    "is-default": lambda v: flag(v.spec.default),
    "isDefault": lambda v: flag(v.spec.default),
    "owner-id": lambda v: v.meta.account,
    "state": lambda v: "available",
    "vpc-id": lambda v: v.meta.name,
}


@ops.on("CreateVpc", "CidrBlock TagSpecifications InstanceTenancy", resources=arns(creates=("vpc",)))
async def create_vpc(call: Call, request: Request) -> Answer:
    if request.get("InstanceTenancy", "default") != "default":
        raise not_built("ec2", f"the tenancy {request['InstanceTenancy']}")
    cidr = cidr_block(request)
    if not 16 <= cidr.bits <= 28 or any(cidr.meets(block) for block in network.UNUSABLE):
        raise ApiError("InvalidVpc.Range", f"The CIDR '{request['CidrBlock']}' is invalid.")
    given = tags.given(request, "vpc")
    await tags.allow(call, given, "vpc/*")

    def change(tx: Transaction) -> r.VpcR:
        if len(tx.list(r.VPC, call.account, call.region)) >= MOST:
            raise errors.limit("VpcLimitExceeded", "VPCs")
        return make.vpc(call, tx, str(cidr), tags=given)

    return {"Vpc": {**present.vpc(await call.store.transact(change)), "State": "pending"}}


@ops.on("CreateDefaultVpc", "", resources=arns(creates=("vpc",)))
async def create_default_vpc(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> r.VpcR:
        if find.default_vpc(call, tx) is not None:
            raise ApiError("DefaultVpcAlreadyExists", "A Default VPC already exists for this account in this region.")
        return defaults.default_vpc(call, tx)

    return {"Vpc": present.vpc(await call.store.transact(change))}


@ops.on("DeleteVpc", "VpcId", resources=arns("VpcId"))
async def delete_vpc(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        vpc = find.one(call, tx, r.VPC, request["VpcId"])
        if _is_needed(tx, vpc.meta.name):
            raise errors.has_dependencies(errors.VPC, vpc.meta.name)
        born: tuple[Kind[Any, Any], ...] = (r.GROUP, r.TABLE, r.ACL)
        for kind in born:
            for own in tx.find(kind, "vpc", vpc.meta.name):
                tx.remove(own)
        tx.remove(vpc)

    await call.store.transact(change)
    return {}


def _is_needed(reader: Reader, vpc: str) -> bool:
    """True while there is more than what the VPC was born with."""
    added: tuple[Kind[Any, Any], ...] = (r.SUBNET, r.INTERFACE, r.GATEWAY)
    return (
        any(reader.count(kind, "vpc", vpc) for kind in added)
        or reader.count(r.GROUP, "vpc", vpc) > 1
        or reader.count(r.TABLE, "vpc", vpc) > 1
    )


@ops.on("DescribeVpcs", f"VpcIds {ACCEPTS}")
async def describe_vpcs(call: Call, request: Request) -> Answer:
    found, token = described(call, request, r.VPC, "VpcIds", FILTERS)
    return {"Vpcs": [present.vpc(v) for v in found], "NextToken": token}


@ops.on("DescribeVpcAttribute", "Attribute VpcId")
async def describe_vpc_attribute(call: Call, request: Request) -> Answer:
    vpc = find.one(call, call.store, r.VPC, request["VpcId"])
    values = {
        "enableDnsSupport": vpc.spec.dns_support,
        "enableDnsHostnames": vpc.spec.dns_hostnames,
        "enableNetworkAddressUsageMetrics": False,
    }
    asked: str = request["Attribute"]
    if asked not in values:
        raise errors.invalid(f"Value ({asked}) for parameter attribute is invalid. Unknown attribute.")
    return {"VpcId": vpc.meta.name, asked[0].upper() + asked[1:]: {"Value": values[asked]}}


@ops.on("ModifyVpcAttribute", "VpcId EnableDnsSupport EnableDnsHostnames", resources=arns("VpcId"))
async def modify_vpc_attribute(call: Call, request: Request) -> Answer:
    asked: dict[str, Any] = {
        field: request[member].get("Value", False)
        for member, field in (("EnableDnsSupport", "dns_support"), ("EnableDnsHostnames", "dns_hostnames"))
        if member in request
    }
    if len(asked) > 1:
        raise errors.combination("Only one attribute can be modified at a time.")

    def change(tx: Transaction) -> None:
        vpc = find.one(call, tx, r.VPC, request["VpcId"])
        tx.update(vpc, spec=replace(vpc.spec, **asked))

    await call.store.transact(change)
    return {}


@ops.on("DescribeDhcpOptions", f"DhcpOptionsIds {ACCEPTS}")
async def describe_dhcp_options(call: Call, request: Request) -> Answer:
    known: dict[str, Values[r.DhcpR]] = {
        "dhcp-options-id": lambda d: d.meta.name,
        "key": lambda d: tuple(key for key, _ in d.spec.options),
        "value": lambda d: tuple(value for _, values in d.spec.options for value in values),
        "owner-id": lambda d: d.meta.account,
    }
    found, token = described(call, request, r.DHCP, "DhcpOptionsIds", known)
    return {"DhcpOptions": [present.dhcp_options(d) for d in found], "NextToken": token}


@ops.on("DescribeNetworkAcls", f"NetworkAclIds {ACCEPTS}")
async def describe_network_acls(call: Call, request: Request) -> Answer:
    def subnets(a: r.AclR) -> tuple[r.SubnetR, ...]:
        return tuple(call.store.find(r.SUBNET, "vpc", a.spec.vpc))

    known: dict[str, Values[r.AclR]] = {
        "association.association-id": lambda a: [s.spec.acl_association for s in subnets(a)],
        "association.network-acl-id": lambda a: a.meta.name,
        "association.subnet-id": lambda a: [s.meta.name for s in subnets(a)],
        "default": lambda a: "true",
        "network-acl-id": lambda a: a.meta.name,
        "owner-id": lambda a: a.meta.account,
        "vpc-id": lambda a: a.spec.vpc,
    }
    found, token = described(call, request, r.ACL, "NetworkAclIds", known)
    return {"NetworkAcls": [present.acl(call.store, a) for a in found], "NextToken": token}
