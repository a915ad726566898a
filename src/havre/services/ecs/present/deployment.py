"""A service's history: service deployments and service revisions."""

from __future__ import annotations

from typing import Any

from havre.core.deployment import threshold
from havre.kernel.arn import arn
from havre.kernel.resource import scoped
from havre.services.ecs.present.service import (
    counts_of,
    deployment_arn,
    desired,
    launched_by,
    load_balancers,
    revision_arn,
)
from havre.services.ecs.queries import DeploymentRecord, ServiceRecord
from havre.services.ecs.resources import DEPLOYMENT, TASK, TASK_DEFINITION
from havre.services.ecs.scheduler import breaker_of
from havre.store.ports import Reader


def status_of(reader: Reader, record: DeploymentRecord) -> str:
    """AWS's ServiceDeploymentStatus."""
    s = record.status
    if s.was_completed:
        return "SUCCESSFUL"
    if s.state != "FAILED":
        return s.state
    if not s.rollback_to:
        return "STOPPED"
    m = record.meta
    target = reader.get(DEPLOYMENT, m.account, m.region, s.rollback_to)
    if target is None or target.status.state == "STOPPED":
        return "ROLLBACK_FAILED"
    return "ROLLBACK_IN_PROGRESS" if target.status.state == "IN_PROGRESS" else "ROLLBACK_SUCCESSFUL"


def brief(reader: Reader, of: ServiceRecord, record: DeploymentRecord) -> dict[str, Any]:
    m, s = record.meta, record.status
    return {
        "serviceDeploymentArn": deployment_arn(record),
        "serviceArn": of.meta.arn,
        "clusterArn": arn("ecs", m.region, m.account, f"cluster/{of.spec.cluster}"),
        "startedAt": m.created,
        "createdAt": m.created,
        "finishedAt": s.finished,
        "targetServiceRevisionArn": revision_arn(record),
        "status": status_of(reader, record),
        "statusReason": s.reason if s.state == "FAILED" else None,
    }


def full(
    reader: Reader, of: ServiceRecord, record: DeploymentRecord, before: DeploymentRecord | None
) -> dict[str, Any]:
    """``before``: the deployment that this one has replaced."""
    s = record.status
    shown = brief(reader, of, record)
    shown.pop("targetServiceRevisionArn")
    shown.update(
        {
            "updatedAt": record.meta.updated,
            "sourceServiceRevisions": [_summary(reader, before, 0)] if before is not None else [],
            "targetServiceRevision": _summary(reader, record, desired(of)),
            "deploymentConfiguration": of.spec.deployment,
            "deploymentCircuitBreaker": _breaker(of, record, shown["status"]),
            "alarms": {"status": "DISABLED", "alarmNames": [], "triggeredAlarmNames": []},
        }
    )
    if s.state == "STOPPED" and not s.was_completed:
        shown["stoppedAt"] = s.finished
    if s.rollback_to:
        back = arn("ecs", record.meta.region, record.meta.account, f"service-revision/{record.spec.service}/")
        shown["rollback"] = {
            "reason": s.reason,
            "startedAt": s.rolled_back,
            "serviceRevisionArn": back + s.rollback_to.rsplit("/", 1)[-1],
        }
    return shown


def _summary(reader: Reader, record: DeploymentRecord, wanted: int) -> dict[str, Any]:
    running, pending, _ = counts_of(reader, record)
    return {
        "arn": revision_arn(record),
        "requestedTaskCount": wanted,
        "runningTaskCount": running,
        "pendingTaskCount": pending,
    }


def _breaker(of: ServiceRecord, record: DeploymentRecord, status: str) -> dict[str, Any]:
    breaker = breaker_of(of.spec.deployment)
    if not breaker.enable:
        return {"status": "DISABLED", "failureCount": record.status.failed, "threshold": 0}
    if record.status.state == "FAILED":
        state = "TRIGGERED"
    else:
        state = "MONITORING" if status == "IN_PROGRESS" else "MONITORING_COMPLETE"
    limit = threshold(breaker, desired(of))
    return {"status": state, "failureCount": record.status.failures, "threshold": limit}


def revision(reader: Reader, of: ServiceRecord, record: DeploymentRecord) -> dict[str, Any]:
    m, launch = record.meta, record.spec.launch
    return {
        "serviceRevisionArn": revision_arn(record),
        "serviceArn": of.meta.arn,
        "clusterArn": arn("ecs", m.region, m.account, f"cluster/{of.spec.cluster}"),
        "taskDefinition": arn("ecs", m.region, m.account, f"task-definition/{launch.definition}"),
        **launched_by(launch),
        "loadBalancers": load_balancers(launch),
        "serviceRegistries": [],
        "containerImages": _images(reader, record),
        "guardDutyEnabled": False,
        "createdAt": m.created,
    }


def _images(reader: Reader, record: DeploymentRecord) -> list[dict[str, Any]]:
    """With the digests that its tasks have pulled, as far as they run."""
    m, launch = record.meta, record.spec.launch
    definition = reader.get(TASK_DEFINITION, m.account, m.region, launch.definition)
    digests = {
        c.name: c.image_digest
        for task in reader.find(TASK, "deployment", scoped(m.account, m.region, f"{m.name}/RUNNING"))
        for c in task.status.containers
        if c.image_digest
    }
    return [
        {"containerName": c["name"], "image": c["image"], "imageDigest": digests.get(c["name"])}
        for c in (definition.spec.body["containerDefinitions"] if definition is not None else ())
    ]
