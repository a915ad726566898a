"""Clusters and task definitions."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from havre.kernel.resource import scoped
from havre.services.ecs.queries import ClusterRecord, DefinitionRecord, primary
from havre.services.ecs.resources import INSTANCE, SERVICE, TASK
from havre.services.ecs.rules.common import tag_list
from havre.store.ports import Reader


def cluster(reader: Reader, record: ClusterRecord, include: Collection[str] = ()) -> dict[str, Any]:
    """``include``: what DescribeClusters was asked for besides."""
    m, spec = record.meta, record.spec
    here = scoped(m.account, m.region, m.name)
    shown: dict[str, Any] = {
        "clusterArn": m.arn,
        "clusterName": m.name,
        "status": "ACTIVE" if spec.active else "INACTIVE",
        "registeredContainerInstancesCount": reader.count(INSTANCE, "cluster", here),
        "runningTasksCount": reader.count(TASK, "state", f"{here}/RUNNING"),
        "pendingTasksCount": reader.count(TASK, "state", f"{here}/PENDING"),
        "activeServicesCount": reader.count(SERVICE, "active", here),
        "statistics": _statistics(reader, here) if "STATISTICS" in include else [],
        "tags": tag_list(spec.tags) if "TAGS" in include else [],
        "settings": settings(record) if "SETTINGS" in include else [],
        "capacityProviders": list(spec.providers),
        "defaultCapacityProviderStrategy": list(spec.strategy),
    }
    if "CONFIGURATIONS" in include and spec.configuration:
        shown["configuration"] = spec.configuration
    if "ATTACHMENTS" in include:
        shown["attachments"] = []
    return shown


def settings(record: ClusterRecord) -> list[dict[str, str]]:
    return [{"name": k, "value": v} for k, v in record.spec.settings.items()]


_LAUNCHES = {"EC2": "EC2", "FARGATE": "Fargate"}
_STATISTICS = (
    *("runningEC2TasksCount", "runningFargateTasksCount", "pendingEC2TasksCount", "pendingFargateTasksCount"),
    *("runningExternalTasksCount", "pendingExternalTasksCount"),
    *("runningManagedInstancesTasksCount", "pendingManagedInstancesTasksCount"),
    *("activeEC2ServiceCount", "activeFargateServiceCount", "drainingEC2ServiceCount", "drainingFargateServiceCount"),
    *("activeExternalServiceCount", "drainingExternalServiceCount"),
    *("activeManagedInstancesServiceCount", "drainingManagedInstancesServiceCount"),
)
"""In AWS's order; of launch types that are not here the counts stay 0, as of all that nothing was launched on."""


def _statistics(reader: Reader, here: str) -> list[dict[str, str]]:
    counts = dict.fromkeys(_STATISTICS, 0)
    for state in ("RUNNING", "PENDING"):
        for task in reader.find(TASK, "state", f"{here}/{state}"):
            counts[f"{state.lower()}{_LAUNCHES[task.spec.launch]}TasksCount"] += 1
    for service in reader.find(SERVICE, "cluster", here):
        if service.spec.state != "INACTIVE":
            launch = _LAUNCHES[primary(reader, service).spec.launch.type]
            counts[f"{service.spec.state.lower()}{launch}ServiceCount"] += 1
    return [{"name": k, "value": str(v)} for k, v in counts.items()]


def definition(record: DefinitionRecord) -> dict[str, Any]:
    spec = record.spec
    shown = {
        **spec.body,
        "taskDefinitionArn": record.meta.arn,
        "revision": spec.revision,
        "status": spec.state,
        "registeredAt": record.meta.created,
        "registeredBy": spec.registered_by,
    }
    if spec.deregistered is not None:
        shown["deregisteredAt"] = spec.deregistered
    if spec.delete_requested is not None:
        shown["deleteRequestedAt"] = spec.delete_requested
    return shown
