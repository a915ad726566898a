"""Tasks that exist: stop, describe, list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import scoped
from havre.services.ecs import queries
from havre.services.ecs.ledger import ledger_of
from havre.services.ecs.operations.paging import paged
from havre.services.ecs.present.task import desired, present
from havre.services.ecs.resources import TASK, TASK_DEFINITION
from havre.services.ecs.rules.common import invalid, last_part, one_of
from havre.store.ports import Transaction

ops = Operations()
replace = msgspec.structs.replace
MAX_DESCRIBED = 100


def task_arns(call: Call, request: Request) -> list[str]:
    cluster = queries.cluster_arns(call, request)[0].rsplit("/", 1)[-1]
    given = request.get("tasks") or ([request["task"]] if request.get("task") else [])
    return [call.arn(f"task/{cluster}/{last_part(t)}") for t in given] or ["*"]


def cluster_condition(call: Call, request: Request) -> dict[str, str]:
    return {"ecs:cluster": queries.cluster_arns(call, request)[0]}


def shape(call: Call, task: queries.TaskRecord, with_tags: bool = True) -> dict[str, Any]:
    """A task in an answer."""
    definition = call.store.get(TASK_DEFINITION, call.account, call.region, task.spec.definition)
    return present(task, definition, ledger_of(call.store).zone(task.spec.node), with_tags)


@ops("StopTask", resources=task_arns, conditions=cluster_condition)
async def stop_task(call: Call, request: Request) -> Answer:
    owner = queries.cluster(call, request.get("cluster"))
    reason = request.get("reason") or "Task stopped by user"
    if len(reason) > 1024:
        raise invalid("reason can have at most 1024 characters.")

    def stop(tx: Transaction) -> queries.TaskRecord:
        found = queries.task(call, owner, request["task"], tx)
        if found is None:
            raise invalid("The referenced task was not found.")
        if found.spec.desired == "STOPPED" or found.status.last == "STOPPED":
            return found
        spec = replace(found.spec, desired="STOPPED", stop_code="UserInitiated", stop_reason=reason)
        return tx.update(found, spec=spec)

    return {"task": shape(call, await call.store.transact(stop))}


@ops("DescribeTasks", resources=task_arns, conditions=cluster_condition)
async def describe_tasks(call: Call, request: Request) -> Answer:
    owner = queries.cluster(call, request.get("cluster"))
    wanted = request["tasks"]
    if not wanted:
        raise invalid("Tasks cannot be empty.")
    if len(wanted) > MAX_DESCRIBED:
        raise invalid(f"taskIds can have at most {MAX_DESCRIBED} items.")
    with_tags = "TAGS" in (request.get("include") or ())
    found, failures = [], []
    for reference in dict.fromkeys(wanted):
        task = queries.task(call, owner, reference)
        if task is None:
            arn = reference if reference.startswith("arn:") else call.arn(f"task/{owner.meta.name}/{reference}")
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            found.append(shape(call, task, with_tags))
    return {"tasks": found, "failures": failures}


Keep = Callable[[queries.TaskRecord], bool]


@ops("ListTasks", resources=queries.cluster_arns, conditions=cluster_condition)
async def list_tasks(call: Call, request: Request) -> Answer:
    owner = queries.cluster(call, request.get("cluster"))
    state = one_of(request.get("desiredStatus"), ("RUNNING", "PENDING", "STOPPED"), "desiredStatus") or "RUNNING"
    kind = one_of(request.get("launchType"), ("EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES"), "launchType")
    family, started_by = request.get("familyName") or request.get("family"), request.get("startedBy")

    def keep(task: queries.TaskRecord) -> bool:
        return (
            desired(task) == state
            and (kind is None or task.spec.launch == kind)
            and (not family or task.spec.definition.rpartition(":")[0] == family)
            and (not started_by or started_by in (task.spec.started_by, task.spec.deployment))
        )

    chosen = [t for t in _candidates(call, request, owner) if keep(t)]
    shown, token = paged(call, request, chosen, lambda t: t.meta.name)
    return {"taskArns": [t.meta.arn for t in shown], "nextToken": token}


def _candidates(call: Call, request: Request, owner: queries.ClusterRecord) -> Sequence[queries.TaskRecord]:
    """By the index that fits best."""
    cluster = owner.meta.name
    service, instance = request.get("serviceName"), request.get("containerInstance")
    if service:
        found = queries.service(call, owner, service)
        if found is None:
            raise ApiError("ServiceNotFoundException", "Service not found.")
        name = scoped(call.account, call.region, found.meta.name)
        return call.store.find(TASK, "service", name)
    if instance:
        at = queries.instance(call, owner, instance)
        if at is None:
            raise invalid("The specified container instance was not found.")
        everything = call.store.find(TASK, "cluster", scoped(call.account, call.region, cluster))
        return [t for t in everything if t.spec.instance == at.meta.name]
    return call.store.find(TASK, "cluster", scoped(call.account, call.region, cluster))
