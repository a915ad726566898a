"""Task protection: tasks of a service that neither scaling in nor a deployment stops."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.lifecycle import ending
from havre.services.ecs import queries
from havre.services.ecs.operations.tasks import cluster_condition, task_arns
from havre.services.ecs.rules.common import invalid
from havre.store.ports import Transaction

ops = Operations()
MOST = 10
LONGEST = 2880
USUAL = 120
"""Minutes."""


def _shape(call: Call, task: queries.TaskRecord) -> dict[str, Any]:
    until = task.spec.protected_until
    holds = task.spec.protected and (until is None or until > call.now)
    return {"taskArn": task.meta.arn, "protectionEnabled": holds, "expirationDate": until if holds else None}


def _failure(call: Call, owner: queries.ClusterRecord, reference: str, task: queries.TaskRecord | None) -> Any:
    """Why this task cannot be protected, None when it can."""
    if task is None:
        arn = reference if reference.startswith("arn:") else call.arn(f"task/{owner.meta.name}/{reference}")
        return {"arn": arn, "reason": "MISSING"}
    if not task.spec.service or task.spec.desired == "STOPPED" or ending(task.status.last):
        return {"arn": task.meta.arn, "reason": "TASK_NOT_VALID", "detail": "It is no running task of a service."}
    return None


def _wanted(request: Request) -> list[str]:
    given = list(dict.fromkeys(request.get("tasks") or ()))
    if not given:
        raise invalid("Tasks cannot be empty.")
    if len(given) > MOST:
        raise invalid(f"Tasks can have at most {MOST} items.")
    return given


@ops("GetTaskProtection", resources=task_arns, conditions=cluster_condition)
async def get_task_protection(call: Call, request: Request) -> Answer:
    owner = queries.cluster(call, request["cluster"])
    shown, failures = [], []
    for reference in _wanted(request):
        task = queries.task(call, owner, reference)
        failure = _failure(call, owner, reference, task)
        if failure is not None or task is None:
            failures.append(failure)
        else:
            shown.append(_shape(call, task))
    return {"protectedTasks": shown, "failures": failures}


@ops("UpdateTaskProtection", resources=task_arns, conditions=cluster_condition)
async def update_task_protection(call: Call, request: Request) -> Answer:
    owner, wanted = queries.cluster(call, request["cluster"]), _wanted(request)
    on, minutes = request["protectionEnabled"], request.get("expiresInMinutes")
    if minutes is not None and not 1 <= minutes <= LONGEST:
        raise invalid(f"expiresInMinutes must be between 1 and {LONGEST}.")
    until = call.now + 60.0 * (minutes or USUAL) if on else None

    def update(tx: Transaction) -> tuple[list[queries.TaskRecord], list[Any]]:
        changed, failures = [], []
        for reference in wanted:
            task = queries.task(call, owner, reference, tx)
            failure = _failure(call, owner, reference, task)
            if failure is not None or task is None:
                failures.append(failure)
            else:
                spec = replace(task.spec, protected=on, protected_until=until)
                changed.append(tx.update(task, spec=spec))
        return changed, failures

    changed, failures = await call.store.transact(update)
    return {"protectedTasks": [_shape(call, t) for t in changed], "failures": failures}
