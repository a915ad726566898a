"""From records to AWS's shapes."""

from __future__ import annotations

from typing import Any

from havre.services.efs import labels, queries
from havre.services.efs.resources import AVAILABLE, AccessPointR, FileSystemR, MountTargetR, state
from havre.store.ports import Reader


def file_system(reader: Reader, found: FileSystemR) -> dict[str, Any]:
    meta, spec, status = found.meta, found.spec, found.status
    size = {"Value": status.size, "ValueInIA": 0, "ValueInStandard": status.size, "ValueInArchive": 0}
    return {
        "OwnerId": meta.account,
        "CreationToken": spec.token,
        "FileSystemId": meta.name,
        "FileSystemArn": meta.arn,
        "CreationTime": meta.created,
        "LifeCycleState": state(found),
        "Name": spec.tags.get("Name"),
        "NumberOfMountTargets": len(queries.targets(reader, found)),
        "SizeInBytes": {**size, "Timestamp": status.measured or None},
        "PerformanceMode": spec.performance,
        "Encrypted": spec.encrypted,
        "ThroughputMode": spec.throughput,
        "ProvisionedThroughputInMibps": spec.provisioned,
        "Tags": labels.shown(spec.tags),
        "FileSystemProtection": {"ReplicationOverwriteProtection": spec.protection},
    }


def mount_target(found: MountTargetR) -> dict[str, Any]:
    meta, spec = found.meta, found.spec
    return {
        "OwnerId": meta.account,
        "MountTargetId": meta.name,
        "FileSystemId": spec.file_system,
        "SubnetId": spec.subnet,
        "LifeCycleState": AVAILABLE,
        "IpAddress": spec.address,
        "NetworkInterfaceId": spec.interface,
        "AvailabilityZoneId": spec.zone_id,
        "AvailabilityZoneName": spec.zone,
        "VpcId": spec.vpc,
    }


def access_point(found: AccessPointR) -> dict[str, Any]:
    meta, spec = found.meta, found.spec
    user = None
    if spec.user is not None:
        secondary = None if spec.secondary is None else list(spec.secondary)
        user = {"Uid": spec.user[0], "Gid": spec.user[1], "SecondaryGids": secondary}
    root: dict[str, Any] = {"Path": spec.root.path}
    if spec.root.owner is not None:
        uid, gid = spec.root.owner
        root["CreationInfo"] = {"OwnerUid": uid, "OwnerGid": gid, "Permissions": spec.root.permissions}
    return {
        "ClientToken": spec.token,
        "Name": spec.tags.get("Name"),
        "Tags": labels.shown(spec.tags),
        "AccessPointId": meta.name,
        "AccessPointArn": meta.arn,
        "FileSystemId": spec.file_system,
        "PosixUser": None if user is None else {k: v for k, v in user.items() if v is not None},
        "RootDirectory": root,
        "OwnerId": meta.account,
        "LifeCycleState": AVAILABLE,
    }
