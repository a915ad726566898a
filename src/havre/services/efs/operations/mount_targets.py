"""Mount targets: where in a VPC a file system can be reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from msgspec.structs import replace

from havre.control.operation import Answer, Aws, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import NoStatus
from havre.services.efs import errors, paging, present, queries
from havre.services.efs.operations.file_systems import new_id
from havre.services.efs.resources import MOUNT_TARGET, FileSystemR, MountTarget, MountTargetR
from havre.store.ports import Transaction

ops = Operations()
PRINCIPAL = "elasticfilesystem.amazonaws.com"
_OF_EC2 = {
    # EC2's code: EFS's
    "InvalidSubnetID.NotFound": "SubnetNotFound",
    "InvalidSubnetId.Malformed": "SubnetNotFound",
    "InvalidGroup.NotFound": "SecurityGroupNotFound",
    "InvalidGroupId.Malformed": "SecurityGroupNotFound",
    "InvalidIPAddress.InUse": "IpAddressInUse",
    "InsufficientFreeAddressesInSubnet": "NoFreeAddressesInSubnet",
    "NetworkInterfaceLimitExceeded": "NetworkInterfaceLimitExceeded",
    "SecurityGroupsPerInterfaceLimitExceeded": "SecurityGroupLimitExceeded",
}


def _ec2(call: Call) -> Aws:
    assert call.as_service is not None
    return call.as_service(PRINCIPAL)


def _refuse(refusal: ApiError) -> NoReturn:
    if refusal.status is not None and refusal.status >= 500:
        raise refusal
    raise errors.error(_OF_EC2.get(refusal.code, "BadRequest"), refusal.message) from None


@ops("CreateMountTarget", resources=queries.about("FileSystemId"))
async def create_mount_target(call: Call, request: Request) -> Answer:
    """One a zone, all in one VPC."""
    for member in ("Ipv6Address", "IpAddressType"):
        if request.get(member) not in (None, "IPV4_ONLY"):
            raise errors.absent(f"CreateMountTarget with {member}")
    found = queries.available(call, call.store, request["FileSystemId"])
    subnet = await _subnet(call, request["SubnetId"])
    _check_place(queries.targets(call.store, found), found, subnet)
    id = new_id(call, "fsmt")
    made = await _interface(call, request, found.meta.name, id)
    spec = MountTarget(
        found.meta.name, subnet["SubnetId"], subnet["VpcId"], subnet["AvailabilityZone"],
        subnet.get("AvailabilityZoneId") or "", made["NetworkInterfaceId"], made["PrivateIpAddress"],
        tuple(group["GroupId"] for group in made.get("Groups") or ()),
    )  # fmt: skip

    def change(tx: Transaction) -> MountTargetR:
        fresh = queries.available(call, tx, found.meta.name)
        _check_place(queries.targets(tx, fresh), fresh, subnet)
        return tx.create(
            MOUNT_TARGET, account=call.account, region=call.region, name=id, arn="", spec=spec, status=NoStatus()
        )

    try:
        return present.mount_target(await call.store.transact(change))
    except ApiError:
        await _ec2(call)("ec2", "DeleteNetworkInterface", {"NetworkInterfaceId": spec.interface})
        raise


async def _subnet(call: Call, id: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = (await _ec2(call)("ec2", "DescribeSubnets", {"SubnetIds": [id]}))["Subnets"][0]
    except ApiError as refusal:
        _refuse(refusal)
    return found


def _check_place(others: Sequence[MountTargetR], found: FileSystemR, subnet: Mapping[str, Any]) -> None:
    for other in others:
        if other.spec.vpc != subnet["VpcId"]:
            raise errors.error(
                "MountTargetConflict",
                f"File system '{found.meta.name}' has mount targets in another VPC: {other.spec.vpc}",
            )
        if other.spec.zone == subnet["AvailabilityZone"]:
            raise errors.error("MountTargetConflict", "mount target already exists in this AZ")


async def _interface(call: Call, request: Request, file_system: str, id: str) -> Mapping[str, Any]:
    asked: dict[str, Any] = {
        "SubnetId": request["SubnetId"],
        "Description": f"EFS mount target for {file_system} ({id})",
    }
    if request.get("IpAddress"):
        asked["PrivateIpAddress"] = request["IpAddress"]
    if request.get("SecurityGroups"):
        asked["Groups"] = list(request["SecurityGroups"])
    try:
        made: Mapping[str, Any] = (await _ec2(call)("ec2", "CreateNetworkInterface", asked))["NetworkInterface"]
    except ApiError as refusal:
        _refuse(refusal)
    return made


@ops("DescribeMountTargets", resources=queries.about("FileSystemId"))
async def describe_mount_targets(call: Call, request: Request) -> Answer:
    named = [m for m in ("FileSystemId", "MountTargetId", "AccessPointId") if request.get(m)]
    if len(named) != 1:
        raise errors.bad("Exactly one of FileSystemId, MountTargetId and AccessPointId must be given.")
    found: Sequence[MountTargetR]
    if request.get("MountTargetId"):
        found = [queries.mount_target(call, call.store, request["MountTargetId"])]
    else:
        id = request.get("FileSystemId") or ""
        if request.get("AccessPointId"):
            id = queries.access_point(call, call.store, request["AccessPointId"]).spec.file_system
        found = queries.targets(call.store, queries.file_system(call, call.store, id))
    shown, following = paging.page(call, request, found, lambda r: r.meta.name)
    return {
        "MountTargets": [present.mount_target(r) for r in shown],
        "Marker": request.get("Marker"),
        "NextMarker": following,
    }


@ops("DeleteMountTarget", resources=queries.of_target)
async def delete_mount_target(call: Call, request: Request) -> Answer:
    """What has mounted the file system keeps it."""
    found = queries.mount_target(call, call.store, request["MountTargetId"])
    try:
        await _ec2(call)("ec2", "DeleteNetworkInterface", {"NetworkInterfaceId": found.spec.interface})
    except ApiError as refusal:
        if refusal.code != "InvalidNetworkInterfaceID.NotFound":
            _refuse(refusal)

    def change(tx: Transaction) -> None:
        if fresh := tx.get(MOUNT_TARGET, call.account, call.region, found.meta.name):
            tx.remove(fresh)

    await call.store.transact(change)
    return {}


@ops("DescribeMountTargetSecurityGroups", resources=queries.of_target)
async def describe_security_groups(call: Call, request: Request) -> Answer:
    return {"SecurityGroups": list(queries.mount_target(call, call.store, request["MountTargetId"]).spec.groups)}


@ops("ModifyMountTargetSecurityGroups", resources=queries.of_target)
async def modify_security_groups(call: Call, request: Request) -> Answer:
    """Without groups it has the default one of its VPC."""
    found = queries.mount_target(call, call.store, request["MountTargetId"])
    groups = list(request.get("SecurityGroups") or ())
    if not groups:
        named = [
            {"Name": "vpc-id", "Values": [found.spec.vpc]},
            {"Name": "group-name", "Values": ["default"]},
        ]
        answer = await _ec2(call)("ec2", "DescribeSecurityGroups", {"Filters": named})
        groups = [group["GroupId"] for group in answer["SecurityGroups"]]
    asked = {"NetworkInterfaceId": found.spec.interface, "Groups": groups}
    try:
        await _ec2(call)("ec2", "ModifyNetworkInterfaceAttribute", asked)
    except ApiError as refusal:
        _refuse(refusal)

    def change(tx: Transaction) -> None:
        fresh = queries.mount_target(call, tx, found.meta.name)
        tx.update(fresh, spec=replace(fresh.spec, groups=tuple(groups)))

    await call.store.transact(change)
    return {}
