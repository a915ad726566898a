"""Typed reads of the store, by id or ARN."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from havre.control.operation import Call, Request
from havre.kernel.resource import scoped
from havre.services.efs import errors
from havre.services.efs.resources import (
    ACCESS_POINT,
    AVAILABLE,
    FILE_SYSTEM,
    MOUNT_TARGET,
    AccessPointR,
    FileSystemR,
    MountTargetR,
    state,
)
from havre.store.ports import Reader, Store

Resources = Callable[[Call, Request], Sequence[str]]
_KINDS = {"fsap": "access-point", "fs": "file-system"}


def bare(id: str) -> str:
    """An id, of which the ARN may have been given."""
    return id.rpartition("/")[2] if id.startswith("arn:") else id


def arn(call: Call, id: str) -> str:
    """Of a file system or access point, by its id."""
    if id.startswith("arn:"):
        return id
    return call.arn(f"{_KINDS.get(id.partition('-')[0], 'file-system')}/{id}", "elasticfilesystem")


def about(member: str) -> Resources:
    def resources(call: Call, request: Request) -> Sequence[str]:
        return (arn(call, request[member]),) if request.get(member) else ("*",)

    return resources


def of_target(call: Call, request: Request) -> Sequence[str]:
    """IAM decides about the file system of a mount target."""
    found = call.store.get(MOUNT_TARGET, call.account, call.region, request.get("MountTargetId") or "")
    return ("*",) if found is None else (arn(call, found.spec.file_system),)


def file_system(call: Call, reader: Reader, id: str) -> FileSystemR:
    """Raises ApiError FileSystemNotFound."""
    found = reader.get(FILE_SYSTEM, call.account, call.region, bare(id))
    if found is None:
        raise errors.no_file_system(bare(id))
    return found


def available(call: Call, reader: Reader, id: str) -> FileSystemR:
    """Raises ApiError unless it can be used."""
    found = file_system(call, reader, id)
    if state(found) != AVAILABLE:
        raise errors.wrong_state(found.meta.name, state(found))
    return found


def mount_target(call: Call, reader: Reader, id: str) -> MountTargetR:
    found = reader.get(MOUNT_TARGET, call.account, call.region, id)
    if found is None:
        raise errors.no_mount_target(id)
    return found


def access_point(call: Call, reader: Reader, id: str) -> AccessPointR:
    found = reader.get(ACCESS_POINT, call.account, call.region, bare(id))
    if found is None:
        raise errors.no_access_point(bare(id))
    return found


def targets(reader: Reader, of: FileSystemR) -> Sequence[MountTargetR]:
    return reader.find(MOUNT_TARGET, "file_system", scoped(of.meta.account, of.meta.region, of.meta.name))


def access_points(reader: Reader, of: FileSystemR) -> Sequence[AccessPointR]:
    return reader.find(ACCESS_POINT, "file_system", scoped(of.meta.account, of.meta.region, of.meta.name))


def resource_policy(store: Store, arn: str) -> str | None:
    parts = arn.split(":", 5)
    if len(parts) != 6 or not parts[5].startswith("file-system/"):
        return None
    found = store.get(FILE_SYSTEM, parts[4], parts[3], parts[5].removeprefix("file-system/"))
    return None if found is None else found.spec.policy or None
