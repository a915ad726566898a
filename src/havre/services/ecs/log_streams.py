"""The log streams of a task's containers: made before the task starts, for a task that cannot log does not run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec.structs import replace

from havre.control.operation import Aws
from havre.kernel.effects import Effect, Plan, Update
from havre.kernel.errors import ApiError
from havre.kernel.workload import Workload
from havre.services.ecs.queries import DefinitionRecord, TaskRecord
from havre.services.ecs.workload import role

LOGGING = "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
_THERE = "ResourceAlreadyExistsException"


class Target(NamedTuple):
    region: str
    group: str
    stream: str
    make_group: bool


class OpenLogStreams(Effect, frozen=True):
    """``role`` is the execution role of a Fargate task; "" lets ECS do it itself, as an instance's role would."""

    account: str
    task: str
    role: str
    targets: tuple[Target, ...]


def wanted(task: TaskRecord, definition: DefinitionRecord, made: Workload) -> tuple[OpenLogStreams, ...]:
    """One effect, or none for a task that logs nothing to CloudWatch."""
    logs = [c.log for c in made.containers if c.log.driver == "awslogs"]
    if not logs:
        return ()
    fargate = task.spec.launch == "FARGATE"
    arn = role(definition.spec.body, task.spec.overrides, "executionRoleArn", made.account) if fargate else ""
    targets = [Target(t.region, t.group, t.stream, t.options.get("awslogs-create-group") == "true") for t in logs]
    return (OpenLogStreams(f"logs of {task.meta.name}", made.account, task.meta.name, arn, tuple(targets)),)


async def make(aws: Aws, target: Target) -> None:
    """Raises ApiError for what cannot be; what is there already is well."""
    names = {"logGroupName": target.group}
    if target.make_group:
        await _unless_there(aws, "CreateLogGroup", names)
    await _unless_there(aws, "CreateLogStream", {**names, "logStreamName": target.stream})


async def _unless_there(aws: Aws, operation: str, request: dict[str, Any]) -> None:
    try:
        await aws("logs", operation, request)
    except ApiError as refusal:
        if refusal.code != _THERE:
            raise


def cannot_log(task: TaskRecord, now: float) -> Callable[[Effect, Exception], Plan]:
    """Writes down why, and ends the task in the next run."""

    def answer(effect: Effect, failure: Exception) -> Plan:
        if not isinstance(failure, ApiError):
            raise failure
        words = f"failed to create Cloudwatch log stream: {failure.code}: {failure.message} : exit status 1"
        status = replace(task.status, stop_code="TaskFailedToStart", stop_reason=LOGGING + words)
        return Plan(writes=(Update(task, status=status),), wake_at=now)

    return answer
