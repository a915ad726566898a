"""ExecuteCommand: a session whose data channel (dataplanes/data_channel) runs a command in a container of a task."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.nodes import NODE
from havre.control.operation import Answer, Call, Operations, Request
from havre.control.terminals.sessions import MOST, Session, Sessions
from havre.kernel.errors import ApiError
from havre.services.ecs import queries
from havre.services.ecs.operations.tasks import cluster_condition
from havre.services.ecs.resources import TASK, TASK_DEFINITION
from havre.services.ecs.rules.common import client, invalid, last_part
from havre.services.ecs.rules.execute_command import transcript
from havre.services.ecs.workload import container_arn, role

SERVICE = "ecs.amazonaws.com"
CHANNEL = "/v1/data-channel/"
NOT_ENABLED = (
    "The execute command failed because execute command was not enabled when the task was run or the execute command "
    "agent isn\u2019t running. Wait and try again or run a new task with execute command enabled and try again."
)
TOO_MANY = f"Unable to start new execute sessions because the maximum session limit of {MOST} has been reached."
INTERNAL = "The execute command failed due to an internal error. Try again later."
PERMISSIONS = tuple(
    f"ssmmessages:{name}"
    for name in ("CreateControlChannel", "CreateDataChannel", "OpenControlChannel", "OpenDataChannel")
)
"""What the agent in AWS's containers does by the task's role."""
_MOST_COMMAND = 64 << 10


def _arns(call: Call, request: Request) -> list[str]:
    """IAM decides on the cluster and on the task."""
    cluster = queries.cluster_arns(call, request)
    return [*cluster, call.arn(f"task/{last_part(cluster[0])}/{last_part(request['task'])}")]


def _conditions(call: Call, request: Request) -> Mapping[str, str | Sequence[str]]:
    found = {**cluster_condition(call, request), "ecs:task": _arns(call, request)[1]}
    name = request.get("container") or _only_container(call, last_part(request["task"]))
    return {**found, "ecs:container-name": name} if name else found


def _only_container(call: Call, id: str) -> str:
    task = call.store.get(TASK, call.account, call.region, id)
    if task is None:
        return ""
    definition = call.store.get(TASK_DEFINITION, call.account, call.region, task.spec.definition)
    given: Sequence[Mapping[str, Any]] = definition.spec.body["containerDefinitions"] if definition is not None else ()
    return str(given[0]["name"]) if len(given) == 1 else ""


def operations(sessions: Sessions) -> Operations:
    ops = Operations()

    @ops("ExecuteCommand", resources=_arns, conditions=_conditions)
    async def execute_command(call: Call, request: Request) -> Answer:
        if not request["interactive"]:
            raise invalid("Interactive is the only mode supported currently.")
        command = _words(request["command"])
        owner = queries.cluster(call, request.get("cluster"))
        task = queries.task(call, owner, request["task"])
        if task is None:
            raise invalid("The referenced task was not found.")
        container = _container(call, task, request.get("container") or "")
        await _check_agent(call, task, container)
        if sessions.count(task.meta.name, container["name"], call.now) >= MOST:
            raise client(TOO_MANY)
        session = _session(call, owner, task, container, command)
        token = sessions.add(session, call.now)
        return {
            "clusterArn": owner.meta.arn,
            "containerArn": container_arn(task, container["name"]),
            "containerName": container["name"],
            "interactive": True,
            "session": {"sessionId": session.id, "streamUrl": _url(call, session.id), "tokenValue": token},
            "taskArn": task.meta.arn,
        }

    return ops


def _words(given: str) -> tuple[str, ...]:
    """As the agent in AWS's containers reads a command: words and quotes, no shell; none is a shell."""
    if len(given) > _MOST_COMMAND:
        raise invalid(f"command can have at most {_MOST_COMMAND} characters.")
    try:
        return tuple(shlex.split(given)) or ("sh",)
    except ValueError as error:
        raise invalid(f"Failed to parse commands input: {error}") from None


def _container(call: Call, task: queries.TaskRecord, name: str) -> Mapping[str, Any]:
    definition = call.store.get(TASK_DEFINITION, call.account, call.region, task.spec.definition)
    given: Sequence[Mapping[str, Any]] = definition.spec.body["containerDefinitions"] if definition else ()
    if not name and len(given) > 1:
        raise invalid("Container name must be specified: the task has more than one container.")
    found = next((c for c in given if not name or c["name"] == name), None)
    if found is None:
        raise invalid(f"The container {name} does not exist in the task.")
    return found


def _role(call: Call, task: queries.TaskRecord) -> str:
    definition = call.store.get(TASK_DEFINITION, call.account, call.region, task.spec.definition)
    return role(definition.spec.body, task.spec.overrides, "taskRoleArn", call.account) if definition else ""


async def _check_agent(call: Call, task: queries.TaskRecord, container: Mapping[str, Any]) -> None:
    """Whether AWS's agent would answer: it runs in a container that runs, by a role that may open channels."""
    seen = next((c for c in task.status.containers if c.name == container["name"]), None)
    runs = seen is not None and seen.state == "RUNNING" and task.status.last != "STOPPED"
    by = _role(call, task)
    if not task.spec.exec or not runs or not by:
        raise invalid(NOT_ENABLED)
    node = call.store.get(NODE, "", "", task.spec.node)
    if node is None or not node.status.connected:
        raise ApiError("TargetNotConnectedException", f"{INTERNAL} (The machine that runs the task is not connected.)")
    missing = await _missing(call, by)
    if missing:
        why = f"(The task role {by} is not allowed to do {', '.join(missing)}.)"
        raise ApiError("TargetNotConnectedException", f"{INTERNAL} {why}")


async def _missing(call: Call, by: str) -> list[str]:
    if call.site.auth == "open" or call.as_service is None:
        return []
    asked = {"PolicySourceArn": by, "ActionNames": list(PERMISSIONS)}
    try:
        answer = await call.as_service(SERVICE)("iam", "SimulatePrincipalPolicy", asked)
    except ApiError:
        return ["anything: the role is gone"]
    return [r["EvalActionName"] for r in answer["EvaluationResults"] if r["EvalDecision"] != "allowed"]


def _session(
    call: Call,
    owner: queries.ClusterRecord,
    task: queries.TaskRecord,
    container: Mapping[str, Any],
    command: tuple[str, ...],
) -> Session:
    seen = next(c for c in task.status.containers if c.name == container["name"])
    return Session(
        id=f"ecs-execute-command-{call.world.name(26)}",
        account=call.account,
        region=call.region,
        node=task.spec.node,
        workload=task.meta.name,
        container=container["name"],
        target=f"ecs:{owner.meta.name}_{task.meta.name}_{seen.runtime_id}",
        command=command,
        transcript=transcript(owner.spec.configuration, container, call.region, _role(call, task)),
    )


def _url(call: Call, id: str) -> str:
    """At the address by which the client has found this installation."""
    site = call.site
    scheme, _, host = (call.origin or f"{site.scheme}://{site.endpoint.partition('://')[2]}").partition("://")
    return f"{'wss' if scheme == 'https' else 'ws'}://{host}{CHANNEL}{id}?role=publish_subscribe"
