"""Describe operations of what there can be none of here, because nothing makes it: their truthful answer is an empty list.

Tools ask for these before they delete or plan something. An id that is asked for does not exist; whatever else a request
says narrows an empty list. What EC2-Classic had is refused as in regions that never had it, which tools know how to take.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError

ops = Operations()


class _Absent(NamedTuple):
    """``ids`` names the request's members with ids, ``answer`` those of the answer where it has not the name of what is
    described; several are separated by blanks."""

    what: str
    ids: str = ""
    code: str = ""
    called: str = ""
    answer: str = ""

    @property
    def operation(self) -> str:
        return f"Describe{self.what}"

    @property
    def empty(self) -> dict[str, list[object]]:
        return {member: [] for member in (self.answer or self.what).split()}


ABSENT = (
    _Absent("Addresses", "AllocationIds", "InvalidAllocationID.NotFound", "allocation ID"),
    _Absent("AddressesAttribute", "AllocationIds", "InvalidAllocationID.NotFound", "allocation ID", answer="Addresses"),
    _Absent("CarrierGateways", "CarrierGatewayIds", "InvalidCarrierGatewayID.NotFound", "carrier gateway ID"),
    _Absent("CustomerGateways", "CustomerGatewayIds", "InvalidCustomerGatewayID.NotFound", "customerGateway ID"),
    _Absent(
        "EgressOnlyInternetGateways",
        "EgressOnlyInternetGatewayIds",
        "InvalidEgressOnlyInternetGatewayId.NotFound",
        "eigw ID",
    ),
    _Absent("FlowLogs", "FlowLogIds", "InvalidFlowLogId.NotFound", "flow log ID"),
    _Absent("Hosts", "HostIds", "InvalidHostID.NotFound", "host ID"),
    _Absent("Images", "ImageIds", "InvalidAMIID.NotFound", "image id"),
    _Absent("KeyPairs", "KeyNames KeyPairIds", "InvalidKeyPair.NotFound", "key pair"),
    _Absent(
        "LaunchTemplates",
        "LaunchTemplateIds LaunchTemplateNames",
        "InvalidLaunchTemplateId.NotFound",
        "launch template",
    ),
    _Absent(
        "ManagedPrefixLists", "PrefixListIds", "InvalidPrefixListID.NotFound", "prefix list ID", answer="PrefixLists"
    ),
    _Absent("NatGateways", "NatGatewayIds", "NatGatewayNotFound", "NAT gateway"),
    _Absent(
        "NetworkInterfacePermissions", "NetworkInterfacePermissionIds", "InvalidPermissionID.NotFound", "permission ID"
    ),
    _Absent("PlacementGroups", "GroupNames GroupIds", "InvalidPlacementGroup.Unknown", "placement group"),
    _Absent("PrefixLists", "PrefixListIds", "InvalidPrefixListID.NotFound", "prefix list ID"),
    _Absent("ReservedInstances", "ReservedInstancesIds", "InvalidReservedInstancesId", "reserved instances ID"),
    _Absent("SecurityGroupVpcAssociations"),
    _Absent("Snapshots", "SnapshotIds", "InvalidSnapshot.NotFound", "snapshot"),
    _Absent(
        "SpotInstanceRequests",
        "SpotInstanceRequestIds",
        "InvalidSpotInstanceRequestID.NotFound",
        "spot instance request ID",
    ),
    _Absent(
        "TransitGatewayAttachments",
        "TransitGatewayAttachmentIds",
        "InvalidTransitGatewayAttachmentID.NotFound",
        "transit gateway attachment",
    ),
    _Absent(
        "TransitGatewayVpcAttachments",
        "TransitGatewayAttachmentIds",
        "InvalidTransitGatewayAttachmentID.NotFound",
        "transit gateway attachment",
    ),
    _Absent("TransitGateways", "TransitGatewayIds", "InvalidTransitGatewayID.NotFound", "transitGateway ID"),
    _Absent("VolumeStatus", "VolumeIds", "InvalidVolume.NotFound", "volume", answer="VolumeStatuses"),
    _Absent("Volumes", "VolumeIds", "InvalidVolume.NotFound", "volume"),
    _Absent("VpcEndpointConnections"),
    _Absent(
        "VpcEndpointServices",
        "ServiceNames",
        "InvalidServiceName",
        "Vpc Endpoint Service",
        answer="ServiceNames ServiceDetails",
    ),
    _Absent("VpcEndpoints", "VpcEndpointIds", "InvalidVpcEndpointId.NotFound", "Vpc Endpoint Id"),
    _Absent(
        "VpcPeeringConnections",
        "VpcPeeringConnectionIds",
        "InvalidVpcPeeringConnectionID.NotFound",
        "vpcPeeringConnection ID",
    ),
    _Absent("VpnConnections", "VpnConnectionIds", "InvalidVpnConnectionID.NotFound", "vpnConnection ID"),
    _Absent("VpnGateways", "VpnGatewayIds", "InvalidVpnGatewayID.NotFound", "vpnGateway ID"),
)


def _nothing(absent: _Absent) -> Callable[[Call, Request], Awaitable[Answer]]:
    async def describe(call: Call, request: Request) -> Answer:
        for member in absent.ids.split():
            for id in request.get(member, ()):
                raise ApiError(absent.code, f"The {absent.called} '{id}' does not exist")
        for address in request.get("PublicIps", ()):
            raise ApiError("InvalidAddress.NotFound", f"Address '{address}' not found.")
        return absent.empty

    return describe


for _each in ABSENT:
    ops(_each.operation)(_nothing(_each))


async def _no_classic(call: Call, request: Request) -> Answer:
    raise ApiError("UnsupportedOperation", "The functionality you requested is not available in this region.")


for _classic in ("DescribeClassicLinkInstances", "DescribeVpcClassicLink", "DescribeVpcClassicLinkDnsSupport"):
    ops(_classic)(_no_classic)
