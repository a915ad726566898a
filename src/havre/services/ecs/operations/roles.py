"""iam:PassRole: who starts a task must be allowed to hand its roles to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.control.operation import Call
from havre.kernel.errors import ApiError
from havre.services.ecs.rules.common import client
from havre.services.ecs.workload import role, unassumable

PRINCIPAL = "ecs-tasks.amazonaws.com"


async def pass_roles(call: Call, body: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> None:
    """Raises AccessDeniedException unless the caller may pass the definition's (or the overriding) roles."""
    found = {
        arn
        for member in ("taskRoleArn", "executionRoleArn")
        if (arn := role(body, overrides or {}, member, call.account))
    }
    if found:
        await call.authorize("iam:PassRole", sorted(found), {"iam:PassedToService": PRINCIPAL})


async def check_task_role(call: Call, body: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Raises ClientException unless tasks may assume the task role: they would find no credentials."""
    arn = role(body, overrides, "taskRoleArn", call.account)
    if not arn or call.as_service is None:
        return
    try:
        await call.as_service(PRINCIPAL)("sts", "AssumeRole", {"RoleArn": arn, "RoleSessionName": "ecs"})
    except ApiError:
        raise client(f"{unassumable(arn)}, and that your IAM user has permissions to pass this role.") from None
