"""From what a task or a function asks of EFS to the directory that its node mounts; and whether it may.

``aws`` acts as the service that asks, which may describe everything; whether the role may mount is asked of IAM with the
file system's policy, as AWS decides it: without a policy everybody may who can reach a mount target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from havre.control.operation import Aws
from havre.core.policy import Grants, PolicyError, Question, Who, decide, parse
from havre.kernel.errors import ApiError, Permanent
from havre.kernel.workload import Share

MOUNT, WRITE, ROOT = (f"elasticfilesystem:Client{what}" for what in ("Mount", "Write", "RootAccess"))
_DENIED = "mount.nfs4: access denied by server while mounting 127.0.0.1:/"


class Wanted(msgspec.Struct, frozen=True):
    """``root``: below the file system, without an access point. ``role``: by whose permissions, "" for nobody's. ``zone``:
    where a mount target has to be, ``vpc`` in which; "" anywhere."""

    account: str
    region: str
    file_system: str = ""
    access_point: str = ""
    root: str = "/"
    role: str = ""
    vpc: str = ""
    zone: str = ""
    enforced: bool = True

    @property
    def arn(self) -> str:
        return f"arn:aws:elasticfilesystem:{self.region}:{self.account}:file-system/{self.file_system}"


async def share(aws: Aws, wanted: Wanted) -> Share:
    """Raises Permanent in the words of EFS's mount helper."""
    try:
        point = await _access_point(aws, wanted)
        if point is not None and not wanted.file_system:
            wanted = msgspec.structs.replace(wanted, file_system=point["FileSystemId"])
        await _reachable(aws, wanted)
        allowed = await _allowed(aws, wanted, point)
    except ApiError as refusal:
        if refusal.status is not None and refusal.status >= 500:
            raise
        raise Permanent(f"{refusal.code}: {refusal.message}") from None
    if MOUNT not in allowed:
        raise Permanent(_DENIED)
    return _made(wanted, point, WRITE not in allowed, ROOT not in allowed)


async def _access_point(aws: Aws, wanted: Wanted) -> Mapping[str, Any] | None:
    if not wanted.access_point:
        return None
    answer = await aws("efs", "DescribeAccessPoints", {"AccessPointId": wanted.access_point})
    point: Mapping[str, Any] = answer["AccessPoints"][0]
    if wanted.file_system and point["FileSystemId"] != wanted.file_system:
        raise Permanent(f"{wanted.access_point} is an access point of {point['FileSystemId']}")
    return point


async def _reachable(aws: Aws, wanted: Wanted) -> None:
    """There, available, and with a mount target where it is wanted."""
    found = (await aws("efs", "DescribeFileSystems", {"FileSystemId": wanted.file_system}))["FileSystems"][0]
    if found["LifeCycleState"] != "available":
        raise Permanent(f"{wanted.file_system} is {found['LifeCycleState']}")
    targets = (await aws("efs", "DescribeMountTargets", {"FileSystemId": wanted.file_system}))["MountTargets"]
    for target in targets:
        if wanted.vpc in ("", target["VpcId"]) and wanted.zone in ("", target["AvailabilityZoneName"]):
            return
    where = " in ".join(part for part in (wanted.zone, wanted.vpc) if part) or "this account"
    raise Permanent(
        f'Failed to resolve "{wanted.file_system}.efs.{wanted.region}.amazonaws.com" - check that your file system ID is '
        f"correct, and ensure that the VPC has an EFS mount target for this file system ID: none is in "
        f"{where}."
    )


async def _allowed(aws: Aws, wanted: Wanted, point: Mapping[str, Any] | None) -> set[str]:
    """Of mounting, writing and being root."""
    actions = {MOUNT, WRITE, ROOT}
    if not wanted.enforced:
        return actions
    policy = await _policy(aws, wanted.file_system)
    if not wanted.role:
        return actions if not policy else {a for a in actions if _anybody(policy, a, wanted, point)}
    request: dict[str, Any] = {
        "PolicySourceArn": wanted.role,
        "CallerArn": wanted.role,
        "ActionNames": sorted(actions),
        "ResourceArns": [wanted.arn],
        "ResourceOwner": f"arn:aws:iam::{wanted.account}:root",
        "ContextEntries": [
            {"ContextKeyName": name, "ContextKeyValues": list(values), "ContextKeyType": "string"}
            for name, values in _context(point).items()
        ],
    }
    if policy:
        request["ResourcePolicy"] = policy
    rows: Sequence[Mapping[str, Any]] = (await aws("iam", "SimulatePrincipalPolicy", request))["EvaluationResults"]
    return {str(row["EvalActionName"]) for row in rows if row["EvalDecision"] == "allowed"}


async def _policy(aws: Aws, file_system: str) -> str:
    try:
        answer = await aws("efs", "DescribeFileSystemPolicy", {"FileSystemId": file_system})
    except ApiError as refusal:
        if refusal.code != "PolicyNotFound":
            raise
        return ""
    return str(answer["Policy"])


def _anybody(policy: str, action: str, wanted: Wanted, point: Mapping[str, Any] | None) -> bool:
    """Whether the policy allows it to those who do not say who they are."""
    try:
        compiled = parse(policy, "resource")
    except PolicyError:
        return False
    question = Question(action, wanted.arn, _context(point), Who("Anonymous", "", ""))
    return decide(question, Grants(), compiled, wanted.account).allowed


def _context(point: Mapping[str, Any] | None) -> dict[str, Sequence[str]]:
    keys: dict[str, Sequence[str]] = {
        "elasticfilesystem:accessedviamounttarget": ("true",),
        "aws:securetransport": ("true",),
    }
    if point is not None:
        keys["elasticfilesystem:accesspointarn"] = (point["AccessPointArn"],)
    return keys


def _made(wanted: Wanted, point: Mapping[str, Any] | None, read_only: bool, squashed: bool) -> Share:
    if point is None:
        return Share(wanted.file_system, wanted.root or "/", read_only, squashed=squashed)
    root, user = point.get("RootDirectory") or {}, point.get("PosixUser")
    info = root.get("CreationInfo")
    owner = None if info is None else (info["OwnerUid"], info["OwnerGid"], int(info["Permissions"], 8))
    who = None if user is None else (user["Uid"], user["Gid"])
    return Share(wanted.file_system, root.get("Path") or "/", read_only, who, owner, squashed and who is None)
