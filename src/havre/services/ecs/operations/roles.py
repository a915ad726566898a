"""iam:PassRole: who starts a task must be allowed to hand its roles to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.control.operation import Call
from havre.services.ecs.workload import role

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
