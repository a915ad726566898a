"""File systems of functions: an access point of EFS, seen below /mnt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.operation import Call, Request
from havre.kernel.arn import Arn
from havre.kernel.errors import ApiError, Permanent
from havre.services.lambda_.errors import absent, invalid
from havre.services.lambda_.resources import Configuration, FileSystemUse
from havre.services.lambda_.roles import PRINCIPAL

_PATH = re.compile(r"/mnt/[a-zA-Z0-9_.-]+").fullmatch
FAILED = "EFSMountFailureException"
CODES = frozenset((FAILED,))


async def used(call: Call, request: Request, config: Configuration) -> tuple[FileSystemUse, ...]:
    """As the function is to have them; a function that has some has to stay where they can be reached. Raises ApiError."""
    if "FileSystemConfigs" in request:
        uses = tuple(FileSystemUse(each["Arn"], each["LocalMountPath"]) for each in request["FileSystemConfigs"])
    else:
        uses = config.file_systems
    if len(uses) > 1:
        raise invalid("A function can have one file system.")
    for use in uses:
        _check(call, use)
        if config.network is None:
            raise invalid(
                f"Function must be configured to execute in a VPC to reference access point {use.access_point}."
            )
        if "FileSystemConfigs" in request or "VpcConfig" in request:
            await _check_reach(call, use, config.network.subnets)
    return uses


def _check(call: Call, use: FileSystemUse) -> None:
    where = Arn.parse(use.access_point)
    if where.service != "elasticfilesystem":
        raise absent(f"FileSystemConfigs of {where.service}")
    if (where.account, where.region) != (call.account, call.region):
        raise absent("FileSystemConfigs of another account or region")
    if _PATH(use.path) is None or use.path in ("/mnt/.", "/mnt/.."):
        raise invalid(f"Invalid local mount path: {use.path}. It must be one directory below /mnt.")


async def _check_reach(call: Call, use: FileSystemUse, subnets: Sequence[str]) -> None:
    """In each zone that the function may be in there has to be a mount target."""
    id = use.access_point.rpartition("/")[2]
    point = (await _ask(call, "efs", "DescribeAccessPoints", {"AccessPointId": id}))["AccessPoints"][0]
    targets = await _ask(call, "efs", "DescribeMountTargets", {"FileSystemId": point["FileSystemId"]})
    there = {(target["VpcId"], target["AvailabilityZoneName"]) for target in targets["MountTargets"]}
    asked = {"SubnetIds": list(subnets)}
    for subnet in (await _ask(call, "ec2", "DescribeSubnets", asked))["Subnets"]:
        if (subnet["VpcId"], subnet["AvailabilityZone"]) not in there:
            raise invalid(
                f"EFS file system {point['FileSystemId']} referenced by access point {use.access_point} has no mount target "
                f"in availability zone {subnet['AvailabilityZone']} of {subnet['VpcId']}, where the function will execute."
            )


async def _ask(call: Call, service: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
    assert call.as_service is not None
    try:
        return await call.as_service(PRINCIPAL)(service, operation, request)
    except ApiError as error:
        if error.status is not None and error.status >= 500:
            raise
        name = service.upper()
        raise invalid(
            f"Error occurred while {operation}. {name} Error Code: {error.code}. {name} Error Message: {error.message}"
        ) from None


def refused(access_point: str, error: Permanent | ApiError) -> Exception:
    """Why an environment cannot begin; what may pass is as it was."""
    if isinstance(error, ApiError) and error.status is not None and error.status >= 500:
        return error
    why = error.reason if isinstance(error, Permanent) else f"{error.code}: {error.message}"
    return Permanent(
        f"{FAILED}: The function couldn't mount the EFS file system with access point {access_point}: {why}"
    )
