"""EFS volumes of a task: which directories they are, before it goes to a node; or why it cannot have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control import file_systems
from havre.control.deps import ReconcilerDeps
from havre.kernel.errors import ApiError, Permanent
from havre.kernel.workload import Share
from havre.services.ecs.queries import TaskRecord
from havre.services.ecs.workload import role

Json = Mapping[str, Any]
PRINCIPAL = "ecs.amazonaws.com"
_FAILED = "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: stderr: "


async def shares(deps: ReconcilerDeps, task: TaskRecord, body: Json) -> Mapping[str, Share] | str:
    """Volume → directory, or the reason why the task cannot start."""
    volumes: Sequence[Json] = [v for v in body["volumes"] if v.get("efsVolumeConfiguration")]
    if not volumes:
        return {}
    m = task.meta
    aws = deps.aws_for(m.account, m.region, PRINCIPAL)
    found: dict[str, Share] = {}
    for volume in volumes:
        try:
            found[volume["name"]] = await file_systems.share(aws, _wanted(deps, task, body, volume))
        except Permanent as refused:
            return f"{_FAILED}{refused.reason} : unsuccessful EFS utils command execution; code: 1"
        except ApiError as error:
            return f"{_FAILED}{error.code}: {error.message}"
    return found


def _wanted(deps: ReconcilerDeps, task: TaskRecord, body: Json, volume: Json) -> file_systems.Wanted:
    """Raises Permanent."""
    given, m = volume["efsVolumeConfiguration"], task.meta
    auth = given.get("authorizationConfig") or {}
    own = role(body, task.spec.overrides, "taskRoleArn", m.account) if auth.get("iam") == "ENABLED" else ""
    if auth.get("iam") == "ENABLED" and not own:
        raise Permanent("the task has no task role to be authorized by")
    interface = task.status.interface
    return file_systems.Wanted(
        m.account,
        m.region,
        given["fileSystemId"],
        auth.get("accessPointId") or "",
        given.get("rootDirectory") or "/",
        own,
        interface.vpc if interface is not None else "",
        task.status.zone if interface is not None else "",
        deps.site.auth != "open",
    )
