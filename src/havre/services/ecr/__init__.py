"""Amazon ECR: repositories, images, layers, login tokens, policies, lifecycle policies, tags.

The promise: this API and the registry's data plane are two views of the same resources; what one pushes the other lists.
Pull and push permissions are IAM's, with the repository's policy and the registry's as resource policies. Lifecycle
policies really expire images, some minutes after these were pushed at the earliest.

Left out, and refused by name: image scanning (``scanOnPush`` is kept and shown, nothing is scanned), KMS encryption,
replication, pull-through caches, creation templates, signing, archived storage.
"""

from __future__ import annotations

from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.images import KINDS
from havre.control.operation import Service, merge
from havre.services.ecr.facilities import Facilities
from havre.services.ecr.policy import resource_policy

__all__ = ["Facilities", "reconcilers", "resource_policy", "service"]

PARTIAL = {
    "CreateRepository.imageScanningConfiguration": "scanOnPush is kept and shown, but images are not scanned yet",
    "PutImageScanningConfiguration": "scanOnPush is kept and shown, but images are not scanned yet",
    "PutLifecyclePolicy": "the action transition (archived storage) is refused",
    "PutReplicationConfiguration": "only a configuration without rules is accepted",
    "PutRegistryScanningConfiguration": "only BASIC without rules is accepted",
    "PutAccountSetting": "only the values that are in force are accepted",
}


def service(facilities: Facilities | None = None) -> Service:
    """``facilities`` is filled in by apps when store and registry are open; operations that need them fail before that."""
    from havre.services.ecr.operations import images, layers, lifecycle, policies, registry, repositories, tags

    given = facilities or Facilities()
    modules = (images, layers, lifecycle, policies, registry, repositories, tags)
    return Service(name="ecr", operations=merge(*(m.operations(given) for m in modules)), kinds=KINDS, partial=PARTIAL)


def reconcilers(deps: ReconcilerDeps) -> list[Any]:
    from havre.services.ecr.reconcile.expiry import Expiry

    return [Expiry(deps.store, deps.world)]
