"""Typed reads of the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.control.operation import Call
from havre.kernel.errors import ApiError
from havre.kernel.resource import NoStatus, Resource, scoped
from havre.services.ecs.resources import (
    CLUSTER,
    DEPLOYMENT,
    INSTANCE,
    SERVICE,
    TASK,
    TASK_DEFINITION,
    Cluster,
    Deployment,
    DeploymentStatus,
    Instance,
    Service,
    ServiceStatus,
    Task,
    TaskDefinition,
    TaskStatus,
)
from havre.services.ecs.rules.common import client, cluster_name, invalid, last_part
from havre.store.ports import Reader

ClusterRecord = Resource[Cluster, NoStatus]
ServiceRecord = Resource[Service, ServiceStatus]
TaskRecord = Resource[Task, TaskStatus]
DefinitionRecord = Resource[TaskDefinition, NoStatus]
DeploymentRecord = Resource[Deployment, DeploymentStatus]
InstanceRecord = Resource[Instance, NoStatus]
Record = Resource[Any, Any]


def no_cluster() -> ApiError:
    return ApiError("ClusterNotFoundException", "Cluster not found.")


def cluster(call: Call, reference: str | None, reader: Reader | None = None) -> ClusterRecord:
    """The ACTIVE cluster of this name or ARN. Raises ClusterNotFoundException."""
    found = any_cluster(call, reference, reader)
    if found is None or not found.spec.active:
        raise no_cluster()
    return found


def any_cluster(call: Call, reference: str | None, reader: Reader | None = None) -> ClusterRecord | None:
    if (
        reference
        and reference.startswith("arn:")
        and ":cluster/" in reference
        and not _here(call, reference, "cluster")
    ):
        raise no_cluster()
    return (reader or call.store).get(CLUSTER, call.account, call.region, cluster_name(reference))


def _here(call: Call, arn: str, kind: str) -> bool:
    """Whether it can be the ARN of something of this kind, in this account and region."""
    *front, resource = arn.split(":", 5)
    names = resource.split("/")
    most = 3 if kind in ("service", "task") else 2  # the cluster's name may stand between
    return front == ["arn", "aws", "ecs", call.region, call.account] and names[0] == kind and 2 <= len(names) <= most


def definition_key(call: Call, reference: str, reader: Reader | None = None) -> str:
    """``family:revision`` of what a request names: the same, an ARN, or a family, which means its latest ACTIVE one.

    "" when there is none.
    """
    if reference.startswith("arn:"):
        if not _here(call, reference, "task-definition"):
            return ""
        reference = last_part(reference)
    if ":" in reference:
        return reference
    latest = latest_active(reader or call.store, call.account, call.region, reference)
    return latest.meta.name if latest else ""


def check_revision(reference: str) -> None:
    """Raises ClientException for a revision that is no number."""
    _, colon, revision = reference.rsplit("/", 1)[-1].partition(":")
    if colon and not (revision.isascii() and revision.isdigit()):
        raise client(f"Invalid revision number. Number: {revision}")


def latest_active(reader: Reader, account: str, region: str, family: str) -> DefinitionRecord | None:
    active = [
        d for d in reader.find(TASK_DEFINITION, "family", scoped(account, region, family)) if d.spec.state == "ACTIVE"
    ]
    return max(active, key=lambda d: d.spec.revision, default=None)


def definition(call: Call, reference: str, reader: Reader | None = None) -> DefinitionRecord:
    """Any state. Raises ClientException."""
    check_revision(reference)
    key = definition_key(call, reference, reader)
    found = (reader or call.store).get(TASK_DEFINITION, call.account, call.region, key) if key else None
    if found is None:
        raise client("Unable to describe task definition.")
    return found


def runnable(call: Call, reference: str, reader: Reader | None = None) -> DefinitionRecord:
    """An ACTIVE one, to start tasks with. Raises ClientException."""
    key = definition_key(call, reference, reader)
    found = (reader or call.store).get(TASK_DEFINITION, call.account, call.region, key) if key else None
    if found is None:
        raise client("TaskDefinition not found.")
    if found.spec.state != "ACTIVE":
        raise client("TaskDefinition is inactive")
    return found


def _same_cluster(owner: ClusterRecord, reference: str) -> None:
    """Of an ARN that names its cluster. Raises InvalidParameterException."""
    parts = reference.split(":", 5)[-1].split("/")
    if reference.startswith("arn:") and len(parts) == 3 and parts[1] != owner.meta.name:
        raise invalid(f"Invalid identifier: Identifier is for cluster {parts[1]}. Your cluster is {owner.meta.name}")


def task(call: Call, owner: ClusterRecord, reference: str, reader: Reader | None = None) -> TaskRecord | None:
    """The task of this id or ARN in this cluster. Raises InvalidParameterException for what can be none's."""
    _same_cluster(owner, reference)
    if not reference.startswith("arn:") and len(reference) not in (32, 36):
        raise invalid("taskId length should be one of [32,36]")
    if reference.startswith("arn:") and not _here(call, reference, "task"):
        return None
    found = (reader or call.store).get(TASK, call.account, call.region, last_part(reference))
    return found if found is not None and found.spec.cluster == owner.meta.name else None


def service(call: Call, owner: ClusterRecord, reference: str, reader: Reader | None = None) -> ServiceRecord | None:
    """The service of this name or ARN, whatever its state."""
    _same_cluster(owner, reference)
    if reference.startswith("arn:") and not _here(call, reference, "service"):
        return None
    name = f"{owner.meta.name}/{last_part(reference)}"
    return (reader or call.store).get(SERVICE, call.account, call.region, name)


def active_service(call: Call, owner: ClusterRecord, reference: str, reader: Reader | None = None) -> ServiceRecord:
    """Raises ServiceNotFoundException, ServiceNotActiveException."""
    found = service(call, owner, reference, reader)
    if found is None:
        raise ApiError("ServiceNotFoundException", "Service not found.")
    if found.spec.state != "ACTIVE":
        raise ApiError("ServiceNotActiveException", "Service was not ACTIVE.")
    return found


def deployments(reader: Reader, of: ServiceRecord) -> list[DeploymentRecord]:
    """Oldest first."""
    m = of.meta
    found = reader.find(DEPLOYMENT, "service", scoped(m.account, m.region, m.name))
    return sorted(found, key=lambda d: d.spec.number)


def primary(reader: Reader, of: ServiceRecord) -> DeploymentRecord:
    found = reader.get(DEPLOYMENT, of.meta.account, of.meta.region, of.spec.primary)
    assert found is not None, "a service has its primary deployment"
    return found


def instance(call: Call, owner: ClusterRecord, reference: str, reader: Reader | None = None) -> InstanceRecord | None:
    """The registered container instance of this id or ARN."""
    _same_cluster(owner, reference)
    name = f"{owner.meta.name}/{last_part(reference)}"
    found = (reader or call.store).get(INSTANCE, call.account, call.region, name)
    return found if found is not None and found.spec.state != "INACTIVE" else None


def cluster_arns(call: Call, request: Mapping[str, Any]) -> list[str]:
    """For IAM: the cluster that a request names."""
    try:
        return [call.arn(f"cluster/{cluster_name(request.get('cluster'))}")]
    except ApiError:
        raise invalid("Invalid identifier of a cluster.") from None
