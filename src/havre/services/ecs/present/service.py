"""Services, their deployments and events as DescribeServices shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.kernel.arn import arn
from havre.kernel.resource import scoped
from havre.services.ecs.queries import DeploymentRecord, ServiceRecord, deployments
from havre.services.ecs.resources import EVENTS, TASK, Launch
from havre.services.ecs.rules import fargate
from havre.services.ecs.rules.common import tag_list
from havre.store.ports import Reader

Json = Mapping[str, Any]
Counts = tuple[int, int, int]
"""Running, pending, stopping."""


def service(reader: Reader, record: ServiceRecord, with_tags: bool = False) -> dict[str, Any]:
    m, spec = record.meta, record.spec
    known = deployments(reader, record)
    counts = {d.meta.name: counts_of(reader, d) for d in known}
    primary = next(d for d in known if d.meta.name == spec.primary)
    shown = [d for d in known if d is primary or any(counts[d.meta.name])]
    shown.sort(key=lambda d: (d is not primary, -d.spec.number))
    alive = spec.state != "INACTIVE"
    return {
        "serviceArn": m.arn,
        "serviceName": spec.name,
        "clusterArn": arn("ecs", m.region, m.account, f"cluster/{spec.cluster}"),
        "status": spec.state,
        "desiredCount": desired(record) if spec.state == "ACTIVE" else 0,
        "runningCount": sum(c[0] for c in counts.values()),
        "pendingCount": sum(c[1] for c in counts.values()),
        **_launched(primary.spec.launch, m.account, m.region),
        **_placing(primary.spec.launch),
        "serviceRegistries": [],
        "deploymentConfiguration": spec.deployment,
        "deployments": [deployment(record, d, counts[d.meta.name]) for d in shown] if alive else [],
        "events": _events(reader, record),
        "createdAt": m.created,
        "createdBy": spec.created_by,
        "schedulingStrategy": spec.scheduling,
        "deploymentController": {"type": "ECS"},
        "enableECSManagedTags": spec.managed_tags,
        "propagateTags": spec.propagate,
        "enableExecuteCommand": primary.spec.launch.exec,
        "availabilityZoneRebalancing": spec.rebalancing,
        "healthCheckGracePeriodSeconds": spec.grace if spec.groups else None,
        "tags": tag_list(spec.tags) if with_tags else None,
        **(_current(primary, counts[primary.meta.name], desired(record)) if alive else {}),
    }


def desired(record: ServiceRecord) -> int:
    return record.status.instances if record.spec.scheduling == "DAEMON" else record.spec.desired


def counts_of(reader: Reader, record: DeploymentRecord) -> Counts:
    m = record.meta
    running, pending, stopping = (
        reader.count(TASK, "deployment", scoped(m.account, m.region, f"{m.name}/{state}"))
        for state in ("RUNNING", "PENDING", "STOPPING")
    )
    return running, pending, stopping


def _current(primary: DeploymentRecord, counts: Counts, wanted: int) -> Json:
    revision = {
        "arn": revision_arn(primary),
        "requestedTaskCount": wanted,
        "runningTaskCount": counts[0],
        "pendingTaskCount": counts[1],
    }
    return {"currentServiceDeployment": deployment_arn(primary), "currentServiceRevisions": [revision]}


def deployment_arn(record: DeploymentRecord) -> str:
    m = record.meta
    return arn("ecs", m.region, m.account, f"service-deployment/{record.spec.service}/{m.name.rsplit('/', 1)[-1]}")


def revision_arn(record: DeploymentRecord) -> str:
    m = record.meta
    return arn("ecs", m.region, m.account, f"service-revision/{record.spec.service}/{m.name.rsplit('/', 1)[-1]}")


def network(launch: Launch) -> Json | None:
    if launch.subnets is None:
        return None
    given = launch.subnets
    return {
        "awsvpcConfiguration": {
            "subnets": list(given.subnets),
            "securityGroups": list(given.security_groups),
            "assignPublicIp": "ENABLED" if given.public else "DISABLED",
        }
    }


def launched_by(launch: Launch) -> dict[str, Any]:
    """Launch type or capacity provider strategy, platform and network."""
    shown: dict[str, Any] = {"networkConfiguration": network(launch)}
    if launch.providers:
        shown["capacityProviderStrategy"] = [
            {"capacityProvider": name, "base": base, "weight": weight} for name, base, weight in launch.providers
        ]
    else:
        shown["launchType"] = launch.type
    if launch.type == "FARGATE":
        shown.update({"platformVersion": fargate.platform(launch.platform), "platformFamily": "Linux"})
    return shown


def load_balancers(launch: Launch) -> list[Json]:
    return [{"targetGroupArn": t.group, "containerName": t.container, "containerPort": t.port} for t in launch.targets]


def _launched(launch: Launch, account: str, region: str) -> dict[str, Any]:
    return {
        **launched_by(launch),
        "platformVersion": launch.platform or None,  # as it was asked for; deployments show what it came to
        "taskDefinition": arn("ecs", region, account, f"task-definition/{launch.definition}"),
        "loadBalancers": load_balancers(launch),
    }


def _placing(launch: Launch) -> dict[str, Any]:
    return {
        "placementConstraints": [{"type": t, **({"expression": e} if e else {})} for t, e in launch.constraints],
        "placementStrategy": [{"type": t, **({"field": f} if f else {})} for t, f in launch.strategies],
    }


def deployment(of: ServiceRecord, record: DeploymentRecord, counts: Counts) -> dict[str, Any]:
    m, launch, status = record.meta, record.spec.launch, record.status
    primary = m.name == of.spec.primary
    wanted = desired(of) if primary and of.spec.state == "ACTIVE" else 0
    return {
        "id": m.name,
        "status": "PRIMARY" if primary else "ACTIVE",
        "taskDefinition": arn("ecs", m.region, m.account, f"task-definition/{launch.definition}"),
        "desiredCount": wanted,
        "pendingCount": counts[1],
        "runningCount": counts[0],
        "failedTasks": status.failed,
        "createdAt": m.created,
        "updatedAt": m.updated,
        **launched_by(launch),
        "rolloutState": "COMPLETED" if status.state == "STOPPED" and status.was_completed else _rollout(status.state),
        "rolloutStateReason": status.reason or f"ECS deployment {m.name} in progress.",
    }


def _rollout(state: str) -> str:
    """A superseded deployment goes on until its tasks are gone."""
    return "IN_PROGRESS" if state == "STOPPED" else state


def _events(reader: Reader, record: ServiceRecord) -> list[Json]:
    m = record.meta
    found = reader.get(EVENTS, m.account, m.region, m.name)
    return [{"id": e.id, "createdAt": e.at, "message": e.message} for e in (found.spec.events if found else ())]
