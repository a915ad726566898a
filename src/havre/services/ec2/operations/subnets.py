"""Subnets."""

from __future__ import annotations

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.addresses import Cidr, parse_cidr
from havre.kernel.errors import ApiError, not_built
from havre.services.ec2 import defaults, errors, find, make, present, tags
from havre.services.ec2 import resources as r
from havre.services.ec2.blocks import cidr_block
from havre.services.ec2.declare import Ec2Operations, arns, asks
from havre.services.ec2.filters import Values, flag
from havre.services.ec2.listing import ACCEPTS, described
from havre.services.ec2.zones import zone_id, zone_of_id, zones
from havre.store.ports import Transaction

ops = Ec2Operations()
MOST = 200
_ATTRIBUTES = (
    "AssignIpv6AddressOnCreation MapCustomerOwnedIpOnLaunch EnableDns64 EnableResourceNameDnsARecordOnLaunch "
    "EnableResourceNameDnsAAAARecordOnLaunch"
)

FILTERS: dict[str, Values[r.SubnetR]] = {
    "availability-zone": lambda s: s.spec.zone,
    "availabilityZone": lambda s: s.spec.zone,
    "availability-zone-id": lambda s: zone_id(s.spec.zone),
    "availabilityZoneId": lambda s: zone_id(s.spec.zone),
    "cidr": lambda s: s.spec.cidr,
    "cidrBlock": lambda s: s.spec.cidr,
    "cidr-block": lambda s: s.spec.cidr,
    "customer-owned-ipv4-pool": lambda s: (),
    "default-for-az": lambda s: flag(s.spec.default),
    "defaultForAz": lambda s: flag(s.spec.default),
    "enable-dns64": lambda s: "false",
    "ipv6-cidr-block-association.ipv6-cidr-block": lambda s: (),
    "ipv6-cidr-block-association.association-id": lambda s: (),
    "ipv6-cidr-block-association.state": lambda s: (),
    "ipv6-native": lambda s: "false",
    "map-customer-owned-ip-on-launch": lambda s: "false",
    "map-public-ip-on-launch": lambda s: flag(s.spec.map_public),
    "outpost-arn": lambda s: (),
    "owner-id": lambda s: s.meta.account,
    "private-dns-name-options-on-launch.hostname-type": lambda s: "ip-name",
    "private-dns-name-options-on-launch.enable-resource-name-dns-a-record": lambda s: "false",
    "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record": lambda s: "false",
    "state": lambda s: "available",
    "subnet-arn": lambda s: s.meta.arn,
    "subnet-id": lambda s: s.meta.name,
    "vpc-id": lambda s: s.spec.vpc,
}


@ops.on(
    "CreateSubnet",
    "VpcId CidrBlock AvailabilityZone AvailabilityZoneId TagSpecifications",
    resources=arns("VpcId", creates=("subnet",)),
)
async def create_subnet(call: Call, request: Request) -> Answer:
    given = tags.given(request, "subnet")
    await tags.allow(call, given, "subnet/*")
    zone = _zone(call, request)
    cidr = _block(request)

    def change(tx: Transaction) -> r.SubnetR:
        vpc = find.one(call, tx, r.VPC, request["VpcId"])
        others = tx.find(r.SUBNET, "vpc", vpc.meta.name)
        if not parse_cidr(vpc.spec.cidr).holds(cidr):
            raise ApiError("InvalidSubnet.Range", f"The CIDR '{request['CidrBlock']}' is invalid.")
        if any(parse_cidr(s.spec.cidr).meets(cidr) for s in others):
            raise ApiError("InvalidSubnet.Conflict", f"The CIDR '{request['CidrBlock']}' conflicts with another subnet")
        if len(others) >= MOST:
            raise errors.limit("SubnetLimitExceeded", "subnets")
        return make.subnet(call, tx, r.SubnetSpec(vpc.meta.name, str(cidr), zone, "", tags=given))

    made = await call.store.transact(change)
    return {"Subnet": present.subnet(call.store, made)}


def _block(request: Request) -> Cidr:
    cidr = cidr_block(request)
    if not 16 <= cidr.bits <= 28:
        raise ApiError("InvalidSubnet.Range", f"The CIDR '{request['CidrBlock']}' is invalid.")
    return cidr


def _zone(call: Call, request: Request) -> str:
    """The zone that was named, or the first. Raises InvalidParameterValue."""
    have = zones(call.region)
    if "AvailabilityZoneId" in request:
        named = zone_of_id(call.region, request["AvailabilityZoneId"])
        if named is None:
            raise errors.invalid(
                f"Value ({request['AvailabilityZoneId']}) for parameter availabilityZoneId is invalid. Subnets can "
                f"currently only be created in the following availability zones: {', '.join(map(zone_id, have))}."
            )
        return named
    zone: str = request.get("AvailabilityZone", have[0])
    if zone not in have:
        raise errors.invalid(
            f"Value ({zone}) for parameter availabilityZone is invalid. Subnets can currently only be created in the "
            f"following availability zones: {', '.join(have)}."
        )
    return zone


@ops.on("CreateDefaultSubnet", "AvailabilityZone AvailabilityZoneId", resources=arns(creates=("subnet",)))
async def create_default_subnet(call: Call, request: Request) -> Answer:
    if not request.keys() & {"AvailabilityZone", "AvailabilityZoneId"}:
        raise errors.missing("availabilityZone")
    zone = _zone(call, request)

    def change(tx: Transaction) -> r.SubnetR:
        vpc = find.default_vpc(call, tx)
        if vpc is None:
            raise ApiError("DefaultVpcDoesNotExist", "No default VPC exists for this account in this region.")
        for s in tx.find(r.SUBNET, "vpc", vpc.meta.name):
            if s.spec.default and s.spec.zone == zone:
                raise ApiError(
                    "DefaultSubnetAlreadyExistsInAvailabilityZone",
                    f"'{s.meta.name}' is already the default subnet in {zone}.",
                )
        return defaults.default_subnet(call, tx, vpc, zone)

    made = await call.store.transact(change)
    return {"Subnet": present.subnet(call.store, made)}


@ops.on("DeleteSubnet", "SubnetId", resources=arns("SubnetId"))
async def delete_subnet(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        subnet = find.one(call, tx, r.SUBNET, request["SubnetId"])
        if tx.count(r.INTERFACE, "subnet", subnet.meta.name):
            raise errors.has_dependencies(errors.SUBNET, subnet.meta.name)
        for table in tx.find(r.TABLE, "subnet", subnet.meta.name):
            left = tuple(a for a in table.spec.associations if a.subnet != subnet.meta.name)
            tx.update(table, spec=replace(table.spec, associations=left))
        tx.remove(subnet)

    await call.store.transact(change)
    return {}


@ops.on("DescribeSubnets", f"SubnetIds {ACCEPTS}")
async def describe_subnets(call: Call, request: Request) -> Answer:
    def available(s: r.SubnetR) -> str:
        return str(present.available_addresses(call.store, s))

    known = {**FILTERS, "available-ip-address-count": available}
    found, token = described(call, request, r.SUBNET, "SubnetIds", known)
    return {"Subnets": [present.subnet(call.store, s) for s in found], "NextToken": token}


@ops.on(
    "ModifySubnetAttribute",
    f"SubnetId MapPublicIpOnLaunch PrivateDnsHostnameTypeOnLaunch {_ATTRIBUTES}",
    resources=arns("SubnetId"),
)
async def modify_subnet_attribute(call: Call, request: Request) -> Answer:
    for member in _ATTRIBUTES.split():
        if asks(request.get(member)):
            raise not_built("ec2", f"the parameter {member} of ModifySubnetAttribute")
    if request.get("PrivateDnsHostnameTypeOnLaunch", "ip-name") != "ip-name":
        raise not_built("ec2", "private DNS names other than ip-name")

    def change(tx: Transaction) -> None:
        subnet = find.one(call, tx, r.SUBNET, request["SubnetId"])
        public = request.get("MapPublicIpOnLaunch", {}).get("Value", subnet.spec.map_public)
        tx.update(subnet, spec=replace(subnet.spec, map_public=public))

    await call.store.transact(change)
    return {}
