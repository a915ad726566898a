"""File systems, mount targets and access points as they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from havre.kernel.resource import Kind, NoStatus, Resource, scoped

CREATING, AVAILABLE, DELETING = "creating", "available", "deleting"


class FileSystem(msgspec.Struct, frozen=True):
    """``token`` is the client's. ``provisioned``: MiB a second. ``lifecycle`` as AWS spells it; ``policy`` "" for none."""

    token: str
    tags: Mapping[str, str] = {}
    performance: str = "generalPurpose"
    throughput: str = "bursting"
    provisioned: float | None = None
    encrypted: bool = False
    policy: str = ""
    lifecycle: tuple[Mapping[str, Any], ...] = ()
    protection: str = "ENABLED"


class FileSystemStatus(msgspec.Struct, frozen=True):
    """Written by who keeps the directories. ``made``: its directory is there. ``size`` in bytes, as of ``measured``."""

    made: bool = False
    size: int = 0
    measured: float = 0.0


class MountTarget(msgspec.Struct, frozen=True):
    file_system: str
    subnet: str
    vpc: str
    zone: str
    zone_id: str
    interface: str
    address: str
    groups: tuple[str, ...] = ()


class Directory(msgspec.Struct, frozen=True):
    """An access point's root directory. ``owner``: uid and gid that it is made with if it is not there, with
    ``permissions`` (octal); None: then it must be there."""

    path: str = "/"
    owner: tuple[int, int] | None = None
    permissions: str = ""


class AccessPoint(msgspec.Struct, frozen=True):
    """``user``: uid and gid that whoever comes through it acts as, None for his own."""

    file_system: str
    token: str
    tags: Mapping[str, str] = {}
    user: tuple[int, int] | None = None
    secondary: tuple[int, ...] | None = None
    root: Directory = Directory()


FileSystemR: TypeAlias = Resource[FileSystem, FileSystemStatus]
MountTargetR: TypeAlias = Resource[MountTarget, NoStatus]
AccessPointR: TypeAlias = Resource[AccessPoint, NoStatus]


def _of(resource: MountTargetR | AccessPointR) -> str:
    return scoped(resource.meta.account, resource.meta.region, resource.spec.file_system)


FILE_SYSTEM: Kind[FileSystem, FileSystemStatus] = Kind(
    "efs.file_system",
    FileSystem,
    FileSystemStatus,
    {"token": lambda r: scoped(r.meta.account, r.meta.region, r.spec.token)},
)
MOUNT_TARGET: Kind[MountTarget, NoStatus] = Kind("efs.mount_target", MountTarget, NoStatus, {"file_system": _of})
ACCESS_POINT: Kind[AccessPoint, NoStatus] = Kind(
    "efs.access_point",
    AccessPoint,
    NoStatus,
    {"file_system": _of, "token": lambda r: scoped(r.meta.account, r.meta.region, r.spec.token)},
)
KINDS = (FILE_SYSTEM, MOUNT_TARGET, ACCESS_POINT)


def state(found: FileSystemR) -> str:
    if found.meta.deleting is not None:
        return DELETING
    return AVAILABLE if found.status.made else CREATING
