"""Tasks as DescribeTasks shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.core.lifecycle import ending
from havre.kernel.arn import arn
from havre.kernel.workload import ContainerStatus
from havre.services.ecs.launch import ARCHITECTURES
from havre.services.ecs.ledger import zone_of
from havre.services.ecs.queries import DefinitionRecord, TaskRecord
from havre.services.ecs.rules.common import tag_list
from havre.services.ecs.rules.overrides import overridden
from havre.services.ecs.workload import container_arn, role

Json = Mapping[str, Any]
_STATES = {"PENDING": "PENDING", "PULLING": "PENDING", "CREATED": "PENDING", "RUNNING": "RUNNING", "STOPPED": "STOPPED"}
NO_ROLE = "The task has no task role, which the agent needs"


def present(
    task: TaskRecord, definition: DefinitionRecord | None, zone: str, with_tags: bool = False
) -> dict[str, Any]:
    """``zone`` is the letter of the node's zone, of tasks without a subnet."""
    m, spec, status = task.meta, task.spec, task.status
    shown: dict[str, Any] = {
        "taskArn": m.arn,
        "clusterArn": arn("ecs", m.region, m.account, f"cluster/{spec.cluster}"),
        "taskDefinitionArn": arn("ecs", m.region, m.account, f"task-definition/{spec.definition}"),
        "availabilityZone": status.zone or zone_of(m.region, zone),
        "attachments": _attachments(task),
        "attributes": _attributes(definition),
        "containers": _containers(task, definition),
        "cpu": str(spec.cpu),
        "memory": str(spec.memory),
        "createdAt": m.created,
        "desiredStatus": desired(task),
        "enableExecuteCommand": spec.exec,
        "group": spec.group,
        "healthStatus": status.health,
        "lastStatus": status.last,
        "launchType": spec.launch,
        "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": [], **spec.overrides},
        "tags": tag_list(spec.tags) if with_tags else [],
        "version": m.version,
    }
    shown.update(_optional(task))
    if spec.launch == "FARGATE":
        storage = (definition.spec.body.get("ephemeralStorage") if definition else None) or {"sizeInGiB": 20}
        shown.update(
            {
                "platformVersion": spec.platform,
                "platformFamily": "Linux",
                "ephemeralStorage": storage,
                "fargateEphemeralStorage": storage,
            }
        )
    return shown


def desired(task: TaskRecord) -> str:
    return "STOPPED" if ending(task.status.last) else task.spec.desired


def _optional(task: TaskRecord) -> dict[str, Any]:
    m, spec, status = task.meta, task.spec, task.status
    told: dict[str, Any] = {
        "capacityProviderName": spec.provider or None,
        "startedBy": spec.deployment or spec.started_by or None,
        "pullStartedAt": status.pull_started,
        "pullStoppedAt": status.pull_stopped,
        "startedAt": status.started,
        "stoppingAt": status.stopping,
        "executionStoppedAt": status.execution_stopped,
        "stoppedAt": status.stopped,
        "stopCode": status.stop_code or spec.stop_code or None,
        "stoppedReason": status.stop_reason or spec.stop_reason or None,
    }
    if spec.instance:
        told["containerInstanceArn"] = arn("ecs", m.region, m.account, f"container-instance/{spec.instance}")
    if status.connected is not None:
        told.update({"connectivity": "CONNECTED", "connectivityAt": status.connected})
    return {k: v for k, v in told.items() if v is not None}


def _attributes(definition: DefinitionRecord | None) -> list[Json]:
    platform = (definition.spec.body.get("runtimePlatform") if definition else None) or {}
    value = platform.get("cpuArchitecture", "X86_64")
    return [{"name": "ecs.cpu-architecture", "value": ARCHITECTURES.get(value, "x86_64").replace("aarch64", "arm64")}]


def _attachments(task: TaskRecord) -> list[Json]:
    spec, eni = task.spec, task.status.interface
    if not spec.attachment:
        return []
    status = "PRECREATED" if eni is None else "ATTACHED"
    if task.status.last in ("DEPROVISIONING", "STOPPED"):
        status = "DELETED" if task.status.last == "STOPPED" else "DETACHING"
    details = [{"name": "subnetId", "value": eni.subnet if eni else (spec.subnets.subnets[0] if spec.subnets else "")}]
    if eni is not None:
        details += [
            {"name": "networkInterfaceId", "value": eni.eni},
            {"name": "macAddress", "value": eni.mac},
            {"name": "privateDnsName", "value": eni.hostname},
            {"name": "privateIPv4Address", "value": eni.address},
        ]
    shown = [d for d in details if d["value"]]
    return [{"id": spec.attachment, "type": "ElasticNetworkInterface", "status": status, "details": shown}]


def _containers(task: TaskRecord, definition: DefinitionRecord | None) -> list[dict[str, Any]]:
    seen = {c.name: c for c in task.status.containers}
    body = definition.spec.body if definition is not None else {"containerDefinitions": []}
    shown = [
        _container(task, overridden(c, task.spec.overrides), seen.get(c["name"])) for c in body["containerDefinitions"]
    ]
    if task.spec.exec:
        by = role(body, task.spec.overrides, "taskRoleArn", task.meta.account)
        for each in shown:
            each["managedAgents"] = [_agent(each["lastStatus"], seen.get(each["name"]), by)]
    return shown


def _agent(status: str, seen: ContainerStatus | None, role: str) -> dict[str, Any]:
    """What runs commands in the container for ExecuteCommand."""
    agent: dict[str, Any] = {"name": "ExecuteCommandAgent", "lastStatus": status}
    if not role:
        return {**agent, "lastStatus": "STOPPED", "reason": NO_ROLE}
    if status == "RUNNING" and seen is not None and seen.started is not None:
        agent["lastStartedAt"] = seen.started
    return agent


def _container(task: TaskRecord, given: Json, seen: ContainerStatus | None) -> dict[str, Any]:
    spec, eni = task.spec, task.status.interface
    shown: dict[str, Any] = {
        "containerArn": container_arn(task, given["name"]),
        "taskArn": task.meta.arn,
        "name": given["name"],
        "image": given["image"],
        "lastStatus": "PENDING",
        "networkInterfaces": [],
        "healthStatus": "UNKNOWN",
        "cpu": str(given.get("cpu", 0)),
    }
    for member in ("memory", "memoryReservation"):
        if given.get(member):
            shown[member] = str(given[member])
    if eni is not None:
        shown["networkInterfaces"] = [{"attachmentId": spec.attachment, "privateIpv4Address": eni.address}]
    if task.status.last == "STOPPED":
        shown["lastStatus"] = "STOPPED"
    if seen is not None:
        shown.update(_seen(seen))
    return shown


def _seen(seen: ContainerStatus) -> dict[str, Any]:
    told: dict[str, Any] = {
        "lastStatus": _STATES[seen.state],
        "healthStatus": seen.health,
        "runtimeId": seen.runtime_id or None,
        "imageDigest": seen.image_digest or None,
        "exitCode": seen.exit_code,
        "reason": seen.reason or None,
        "networkBindings": [
            {"bindIP": p.bind_ip, "containerPort": p.container_port, "hostPort": p.host_port, "protocol": p.protocol}
            for p in seen.ports
        ],
    }
    return {k: v for k, v in told.items() if v is not None}
