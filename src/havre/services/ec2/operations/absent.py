"""Describe operations of what there can be none of here, because nothing makes it: their truthful answer is an empty list.

Tools ask for these before they delete or plan something. An id that is asked for does not exist.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.services.ec2.declare import Ec2Operations

ops = Ec2Operations()


class _Absent(NamedTuple):
    operation: str
    answer: str
    ids: str
    code: str
    called: str
    filters: str = "Filters"


_ABSENT = (
    _Absent("DescribeAddresses", "Addresses", "AllocationIds", "InvalidAllocationID", "allocation"),
    _Absent("DescribeCarrierGateways", "CarrierGateways", "CarrierGatewayIds", "InvalidCarrierGatewayID", "carrier gateway"),
    _Absent(
        "DescribeEgressOnlyInternetGateways",
        "EgressOnlyInternetGateways",
        "EgressOnlyInternetGatewayIds",
        "InvalidGatewayID",
        "egressOnlyInternetGateway",
    ),
    _Absent("DescribeFlowLogs", "FlowLogs", "FlowLogIds", "InvalidFlowLogId", "flowLog", "Filter"),
    _Absent("DescribeManagedPrefixLists", "PrefixLists", "PrefixListIds", "InvalidPrefixListID", "prefix list"),
    _Absent("DescribeNatGateways", "NatGateways", "NatGatewayIds", "NatGateway", "NatGateway", "Filter"),
    _Absent("DescribePrefixLists", "PrefixLists", "PrefixListIds", "InvalidPrefixListId", "prefix list"),
    _Absent(
        "DescribeTransitGateways", "TransitGateways", "TransitGatewayIds", "InvalidTransitGatewayID", "transitGateway"
    ),
    _Absent("DescribeVpcEndpoints", "VpcEndpoints", "VpcEndpointIds", "InvalidVpcEndpointId", "Vpc Endpoint"),
    _Absent(
        "DescribeVpcPeeringConnections",
        "VpcPeeringConnections",
        "VpcPeeringConnectionIds",
        "InvalidVpcPeeringConnectionID",
        "vpcPeeringConnection",
    ),
    _Absent("DescribeVpnGateways", "VpnGateways", "VpnGatewayIds", "InvalidVpnGatewayID", "vpnGateway"),
    _Absent("DescribeVolumes", "Volumes", "VolumeIds", "InvalidVolume", "volume"),
)  # fmt: skip


def _nothing(absent: _Absent) -> Callable[[Call, Request], Awaitable[Answer]]:
    async def describe(call: Call, request: Request) -> Answer:
        for id in request.get(absent.ids, ()):
            raise ApiError(f"{absent.code}.NotFound", f"The {absent.called} ID '{id}' does not exist")
        for address in request.get("PublicIps", ()):
            raise ApiError("InvalidAddress.NotFound", f"Address '{address}' not found.")
        return {absent.answer: []}

    return describe


for _each in _ABSENT:
    ops.on(_each.operation, f"{_each.ids} {_each.filters} PublicIps MaxResults NextToken", region=False)(
        _nothing(_each)
    )
