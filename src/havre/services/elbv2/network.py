"""What ELB asks EC2, as the service itself: subnets, security groups, whether there is a way in."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from havre.control.operation import Aws, Call
from havre.kernel.errors import ApiError
from havre.services.elbv2.errors import configuration
from havre.services.elbv2.resources import Placement

PRINCIPAL = "elasticloadbalancing.amazonaws.com"
OUTSIDE = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")))
"""Ranges that targets outside the VPC may come from."""


def ec2(call: Call) -> Aws:
    assert call.as_service is not None
    return call.as_service(PRINCIPAL)


async def placements(call: Call, wanted: Sequence[tuple[str, str]]) -> tuple[str, tuple[Placement, ...]]:
    """(VPC, one placement a zone) for (subnet, address) pairs. Raises SubnetNotFound, InvalidConfigurationRequest."""
    ids = [subnet for subnet, _ in wanted]
    if len(set(ids)) != len(ids):
        raise configuration("A subnet cannot be specified more than once")
    found = {s["SubnetId"]: s for s in await _subnets(call, ids)}
    vpcs = {s["VpcId"] for s in found.values()}
    if len(vpcs) != 1:
        raise configuration("All subnets must belong to the same VPC")
    zones = [found[id]["AvailabilityZone"] for id in ids]
    if len(set(zones)) != len(zones):
        raise configuration("A load balancer cannot be attached to multiple subnets in the same Availability Zone")
    places = tuple(Placement(id, zone, address) for (id, address), zone in zip(wanted, zones, strict=True))
    return vpcs.pop(), tuple(sorted(places, key=lambda p: p.zone))


async def _subnets(call: Call, ids: Sequence[str]) -> Sequence[dict[str, Any]]:
    try:
        answer = await ec2(call)("ec2", "DescribeSubnets", {"SubnetIds": list(ids)})
    except ApiError as error:
        if error.code.startswith("InvalidSubnetID"):
            raise ApiError("SubnetNotFound", error.message) from None
        raise
    found: Sequence[dict[str, Any]] = answer.get("Subnets") or ()
    return found


async def security_groups(call: Call, vpc: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """The groups, checked; the VPC's default one when there are none. Raises InvalidSecurityGroup."""
    if len(wanted) > 5:
        raise configuration("A load balancer can have at most 5 security groups")
    if not wanted:
        filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
        answer = await ec2(call)("ec2", "DescribeSecurityGroups", {"Filters": filters})
        return tuple(g["GroupId"] for g in answer.get("SecurityGroups") or ())
    ids = list(dict.fromkeys(wanted))
    try:
        answer = await ec2(call)("ec2", "DescribeSecurityGroups", {"GroupIds": ids})
    except ApiError as error:
        if error.code.startswith("InvalidGroup"):
            raise ApiError("InvalidSecurityGroup", error.message) from None
        raise
    if any(g["VpcId"] != vpc for g in answer.get("SecurityGroups") or ()):
        raise configuration(f"One or more security groups are invalid: they must belong to the VPC '{vpc}'")
    return tuple(ids)


async def check_way_in(call: Call, vpc: str) -> None:
    """Raises InvalidSubnet when nothing from the internet reaches this VPC."""
    filters = [{"Name": "attachment.vpc-id", "Values": [vpc]}]
    answer = await ec2(call)("ec2", "DescribeInternetGateways", {"Filters": filters})
    if not answer.get("InternetGateways"):
        raise ApiError("InvalidSubnet", f"VPC {vpc} has no internet gateway")


async def check_vpc(call: Call, vpc: str) -> None:
    """Raises ValidationError for a VPC that is not there."""
    try:
        await ec2(call)("ec2", "DescribeVpcs", {"VpcIds": [vpc]})
    except ApiError as error:
        raise ApiError("ValidationError", f"The VPC ID '{vpc}' is not found", 400) from error


async def vpc_cidrs(call: Call, vpc: str) -> list[tuple[ipaddress.IPv4Network, str]]:
    """(CIDR, zone) of the subnets of a VPC."""
    filters = [{"Name": "vpc-id", "Values": [vpc]}]
    answer = await ec2(call)("ec2", "DescribeSubnets", {"Filters": filters})
    return [(ipaddress.IPv4Network(s["CidrBlock"]), s["AvailabilityZone"]) for s in answer.get("Subnets") or ()]
