"""EFS: file systems that tasks and functions share.

The promise: what was written stays until its file system is deleted, over restarts, ``kill -9`` and the ends of tasks; a
file system is reached only where it has a mount target, through an access point only what is below its root directory, and
no path and no symbolic link leads out of it. A file system is a directory of the state, and what mounts it sees that
directory: locks and caches are those of one machine.

Left out, and refused by name: KMS keys (KmsKeyId), backups, replication, One Zone file systems, IPv6 mount targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from havre.control.deps import ReconcilerDeps
from havre.control.lazily import lazily
from havre.control.operation import Service, merge
from havre.control.reconciler import Reconciler

if TYPE_CHECKING:
    from havre.services.efs.ports import Shelf
    from havre.services.efs.queries import resource_policy

__all__ = ["Shelf", "reconcilers", "resource_policy", "service"]
__getattr__ = lazily(__name__, {"Shelf": "ports", "resource_policy": "queries"})

PARTIAL = {
    "CreateFileSystem.Encrypted": "is kept and shown; files lie in a directory that only root can enter, as they are",
    "CreateFileSystem.PerformanceMode": "is kept and shown; all are as fast as the disk",
    "CreateFileSystem.ThroughputMode": "is kept and shown; nothing is throttled or reserved",
    "CreateMountTarget": "has an interface; nothing answers NFS there: tasks and functions see the directory itself",
    "CreateMountTarget.SecurityGroups": "are the interface's; mounting asks for a mount target, not for port 2049",
    "CreateAccessPoint.PosixUser": "functions act as it, and containers with a number as their user; others as themselves",
    "CreateAccessPoint.PosixUser.SecondaryGids": "are kept and shown, without effect",
    "PutLifecycleConfiguration": "is kept and shown; there is one storage class, and nothing moves",
    "UpdateFileSystemProtection": "is kept and shown; there is no replication",
}


def service() -> Service:
    from havre.services.efs.operations import access_points, file_systems, mount_targets, policies, settings, tags
    from havre.services.efs.resources import KINDS

    modules = (access_points, file_systems, mount_targets, policies, settings, tags)
    return Service("efs", merge(*(m.ops for m in modules)), KINDS, "elasticfilesystem", PARTIAL)


def reconcilers(deps: ReconcilerDeps, shelf: Shelf) -> list[Reconciler[Any]]:
    from havre.services.efs.shelving import Shelving

    return [Shelving(deps, shelf)]
