"""Network interfaces: an address and a MAC of its own in a subnet, under security groups.

Those that an AWS service makes are attached from the start, and only services delete them.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.core import network
from havre.kernel import addresses
from havre.kernel.errors import ApiError, not_built
from havre.services.ec2 import errors, find, make, present, tags
from havre.services.ec2 import resources as r
from havre.services.ec2.compile import tell_nodes
from havre.services.ec2.declare import Ec2Operations, arns
from havre.services.ec2.filters import Values, flag
from havre.services.ec2.listing import ACCEPTS, described
from havre.store.ports import Reader, Transaction

ops = Ec2Operations()
MOST = 5000
GROUPS_EACH = 5


@ops.on(
    "CreateNetworkInterface",
    "SubnetId Description PrivateIpAddress PrivateIpAddresses Groups TagSpecifications ClientToken InterfaceType",
    resources=arns("SubnetId", "Groups", creates=("network-interface",)),
)
async def create_network_interface(call: Call, request: Request) -> Answer:
    given = tags.given(request, "network-interface")
    await tags.allow(call, given, "network-interface/*")
    if request.get("InterfaceType", "interface") != "interface":
        raise not_built("ec2", f"the interface type {request['InterfaceType']}")
    token = request.get("ClientToken", "")
    wanted = _wanted_address(request)

    def change(tx: Transaction) -> r.InterfaceR:
        known = _made_before(call, tx, request, wanted)
        if known is not None:
            return known
        subnet = find.one(call, tx, r.SUBNET, request["SubnetId"])
        groups = _groups(call, tx, subnet.spec.vpc, request.get("Groups", ()))
        if len(tx.list(r.INTERFACE, call.account, call.region)) >= MOST:
            raise errors.limit("NetworkInterfaceLimitExceeded", "network interfaces")
        service = call.principal.service
        spec = r.InterfaceSpec(
            vpc=subnet.spec.vpc,
            subnet=subnet.meta.name,
            zone=subnet.spec.zone,
            address=_address(call, tx, subnet, wanted),
            mac=network.mac_of(call.world.chance.getrandbits(40)),
            groups=groups,
            description=request.get("Description", ""),
            requester=service,
            requester_id=_requester_id(call),
            attachment=make.id_of(call, "ela-attach-") if service else "",
            attached=call.now if service else 0.0,
            token=token,
            tags=given,
        )
        made = make.new(call, tx, r.INTERFACE, spec)
        tell_nodes(tx, call.account, call.region, subnet.spec.vpc)
        return made

    made = await call.store.transact(change)
    return {"NetworkInterface": present.interface(call.store, made), "ClientToken": token or None}


def _made_before(call: Call, reader: Reader, request: Request, wanted: str) -> r.InterfaceR | None:
    """The interface that the same request made. Raises IdempotentParameterMismatch."""
    token = request.get("ClientToken", "")
    found = find.made_by(call, reader, r.INTERFACE, token)
    if found is None:
        return None
    if found.spec.subnet != request["SubnetId"] or (wanted and found.spec.address != wanted):
        raise errors.other_request(token)
    return found


def _requester_id(call: Call) -> str:
    if call.principal.service == "elasticloadbalancing.amazonaws.com":
        return "amazon-elb"
    return call.principal.id


def _wanted_address(request: Request) -> str:
    given = request.get("PrivateIpAddresses", ())
    if len(given) > 1 or any(not each.get("Primary", True) for each in given):
        raise not_built("ec2", "secondary private addresses of network interfaces")
    if given and "PrivateIpAddress" in request:
        raise errors.combination(
            "The parameters privateIpAddress and privateIpAddresses cannot be used in the same request"
        )
    wanted: str = given[0].get("PrivateIpAddress", "") if given else request.get("PrivateIpAddress", "")
    return wanted


def _address(call: Call, tx: Transaction, subnet: r.SubnetR, wanted: str) -> str:
    cidr = addresses.parse_cidr(subnet.spec.cidr)

    def taken(address: str) -> bool:
        return tx.count(r.INTERFACE, "address", f"{subnet.meta.name}/{address}") > 0

    if not wanted:
        start = call.world.chance.randrange(len(network.usable(cidr)))
        address = network.pick(cidr, taken, start)
        if address is None:
            raise ApiError(
                "InsufficientFreeAddressesInSubnet",
                "The specified subnet does not have enough free addresses to satisfy the request.",
            )
        return address
    try:
        number = addresses.number_of(wanted)
    except ValueError:
        raise errors.invalid(f"Value ({wanted}) for parameter privateIpAddress is invalid.") from None
    if not cidr.has(wanted):
        raise errors.invalid("Address does not fall within the subnet's address range")
    if number not in network.usable(cidr):
        raise errors.invalid("Address is in subnet's reserved address range")
    if taken(wanted):
        raise ApiError("InvalidIPAddress.InUse", f"Address {wanted} is in use.")
    return wanted


def _groups(call: Call, reader: Reader, vpc: str, ids: Sequence[str]) -> tuple[str, ...]:
    """The groups, checked; the VPC's default group when there are none."""
    if not ids:
        return (reader.find(r.GROUP, "name", f"{vpc}/default")[0].meta.name,)
    if len(ids) > GROUPS_EACH:
        raise errors.limit("SecurityGroupsPerInterfaceLimitExceeded", "security groups per interface")
    found = [find.one(call, reader, r.GROUP, id) for id in dict.fromkeys(ids)]
    for group in found:
        if group.spec.vpc != vpc:
            raise ApiError("InvalidParameter", "You have specified two resources that belong to different networks.")
    return tuple(group.meta.name for group in found)


@ops.on("DeleteNetworkInterface", "NetworkInterfaceId", resources=arns("NetworkInterfaceId"))
async def delete_network_interface(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = find.one(call, tx, r.INTERFACE, request["NetworkInterfaceId"])
        if found.spec.attachment and not call.principal.service:
            raise errors.invalid(f"Network interface '{found.meta.name}' is currently in use.")
        tx.remove(found)

    await call.store.transact(change)
    return {}


@ops.on(
    "ModifyNetworkInterfaceAttribute",
    "NetworkInterfaceId Description Groups SourceDestCheck",
    resources=arns("NetworkInterfaceId", "Groups"),
)
async def modify_network_interface_attribute(call: Call, request: Request) -> Answer:
    asked = request.keys() & {"Description", "Groups", "SourceDestCheck"}
    if len(asked) != 1:
        raise errors.combination("Exactly one attribute can be modified at a time.")
    if not request.get("SourceDestCheck", {}).get("Value", True):
        raise not_built("ec2", "interfaces without source/destination check")

    def change(tx: Transaction) -> None:
        found = find.one(call, tx, r.INTERFACE, request["NetworkInterfaceId"])
        spec = found.spec
        if "Groups" in request:
            groups = _groups(call, tx, spec.vpc, request["Groups"])
            spec = replace(spec, groups=groups, regrouped=True)
        elif "Description" in request:
            spec = replace(spec, description=request["Description"].get("Value", ""))
        tx.update(found, spec=spec)

    await call.store.transact(change)
    return {}


@ops.on("DescribeNetworkInterfaceAttribute", "NetworkInterfaceId Attribute")
async def describe_network_interface_attribute(call: Call, request: Request) -> Answer:
    found = find.one(call, call.store, r.INTERFACE, request["NetworkInterfaceId"])
    shape = present.interface(call.store, found)
    answers = {
        "description": {"Description": {"Value": found.spec.description}},
        "groupSet": {"Groups": shape["Groups"]},
        "sourceDestCheck": {"SourceDestCheck": {"Value": found.spec.source_dest_check}},
        "attachment": {"Attachment": shape["Attachment"]},
        "associatePublicIpAddress": {"AssociatePublicIpAddress": False},
    }
    asked = request.get("Attribute")
    if asked not in answers:
        raise errors.invalid(f"Value ({asked}) for parameter attribute is invalid. Unknown attribute.")
    return {"NetworkInterfaceId": found.meta.name, **answers[asked]}


@ops.on("DescribeNetworkInterfaces", f"NetworkInterfaceIds IncludeManagedResources {ACCEPTS}")
async def describe_network_interfaces(call: Call, request: Request) -> Answer:
    found, token = described(call, request, r.INTERFACE, "NetworkInterfaceIds", _filters(call))
    return {"NetworkInterfaces": [present.interface(call.store, i) for i in found], "NextToken": token}


def _filters(call: Call) -> dict[str, Values[r.InterfaceR]]:
    def names(i: r.InterfaceR) -> list[str]:
        return [g["GroupName"] for g in present.interface_groups(call.store, i)]

    def private(i: r.InterfaceR) -> tuple[str, ...]:
        name = present.private_name(call.store, i)
        return (name,) if name else ()

    return {**FILTERS, "group-name": names, "private-dns-name": private}


FILTERS: dict[str, Values[r.InterfaceR]] = {
    "addresses.private-ip-address": lambda i: i.spec.address,
    "addresses.primary": lambda i: "true",
    "addresses.association.public-ip": lambda i: (),
    "addresses.association.owner-id": lambda i: (),
    "association.allocation-id": lambda i: (),
    "association.association-id": lambda i: (),
    "association.ip-owner-id": lambda i: (),
    "association.public-dns-name": lambda i: (),
    "association.public-ip": lambda i: (),
    "attachment.attach-time": lambda i: (),
    "attachment.attachment-id": lambda i: i.spec.attachment or (),
    "attachment.delete-on-termination": lambda i: "false" if i.spec.attachment else (),
    "attachment.device-index": lambda i: "1" if i.spec.attachment else (),
    "attachment.instance-id": lambda i: (),
    "attachment.instance-owner-id": lambda i: find.owner_of(i.spec.requester) if i.spec.attachment else (),
    "attachment.status": lambda i: "attached" if i.spec.attachment else (),
    "availability-zone": lambda i: i.spec.zone,
    "description": lambda i: i.spec.description,
    "group-id": lambda i: i.spec.groups,
    "interface-type": lambda i: "interface",
    "ipv6-addresses.ipv6-address": lambda i: (),
    "mac-address": lambda i: i.spec.mac,
    "network-interface-id": lambda i: i.meta.name,
    "owner-id": lambda i: i.meta.account,
    "private-ip-address": lambda i: i.spec.address,
    "requester-id": lambda i: i.spec.requester_id,
    "requester-managed": lambda i: flag(bool(i.spec.requester)),
    "source-dest-check": lambda i: flag(i.spec.source_dest_check),
    "status": lambda i: "in-use" if i.spec.attachment else "available",
    "subnet-id": lambda i: i.spec.subnet,
    "vpc-id": lambda i: i.spec.vpc,
}
