"""RunTask and StartTask: placed at once, so that the answer says what could not be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.placement import Refusal
from havre.core.placement.choose import refusals
from havre.kernel.errors import ApiError, not_built
from havre.kernel.resource import NoStatus
from havre.services.ecs import queries
from havre.services.ecs.launch import Order, Placed, order, place_tasks, put, write
from havre.services.ecs.ledger import Ledger, ledger_of
from havre.services.ecs.network import check_network
from havre.services.ecs.operations.roles import check_task_role, pass_roles
from havre.services.ecs.operations.tasks import shape
from havre.services.ecs.resources import TASK, TOKEN, Launch, Task, Token
from havre.services.ecs.rules import capacity, fargate
from havre.services.ecs.rules.common import client, digest, invalid, one_of, tags
from havre.services.ecs.rules.overrides import overrides as checked
from havre.store.ports import Transaction

ops = Operations()
replace = msgspec.structs.replace
MAX_COUNT = 10
UNAVAILABLE = "Capacity is unavailable at this time. Please try again later or in a different availability zone"


def launched_arns(call: Call, request: Request) -> list[str]:
    key = queries.definition_key(call, request["taskDefinition"])
    return [call.arn(f"task-definition/{key}")] if key else ["*"]


def cluster_condition(call: Call, request: Request) -> dict[str, str]:
    return {"ecs:cluster": queries.cluster_arns(call, request)[0]}


@ops("RunTask", resources=launched_arns, conditions=cluster_condition)
async def run_task(call: Call, request: Request) -> Answer:
    owner = queries.cluster(call, request.get("cluster"))
    count = request.get("count", 1)
    if not 1 <= count <= MAX_COUNT:
        raise client(f"Count must be between 1 and {MAX_COUNT}.")
    definition = queries.runnable(call, request["taskDefinition"])
    body = definition.spec.body
    kind, providers = capacity.launch_type(request, owner.spec.providers, owner.spec.strategy)
    launch = capacity.launch(request, definition.meta.name, body, kind, providers)
    template = await _template(call, request, owner, definition, launch)
    wish = order((call.account, call.region), launch, definition, template, ordinal=call.world.chance.randrange(16))
    again = _repeated(call, request, owner.meta.name)
    if again is not None:
        return again
    ledger = ledger_of(call.store)
    placed, refused = place_tasks(ledger, call.world, wish, count)
    if not placed and not refused and kind == "EC2":
        raise invalid("No Container Instances were found in your cluster.")
    records = await _written(call, ledger, placed, _token(request, owner.meta.name))
    return {"tasks": [shape(call, t) for t in records], "failures": _failures(refused, count - len(placed), wish)}


async def _template(
    call: Call, request: Request, owner: queries.ClusterRecord, definition: queries.DefinitionRecord, launch: Launch
) -> Task:
    body = definition.spec.body
    if request.get("volumeConfigurations"):
        raise not_built("ecs", f"{call.operation} volumeConfigurations")
    overrides = checked(request.get("overrides"), body, launch.type)
    await check_network(call, launch.subnets)
    await pass_roles(call, body, overrides)
    await check_task_role(call, body, overrides)
    group, started_by = request.get("group") or f"family:{definition.spec.family}", request.get("startedBy") or ""
    if group.startswith("service:") or len(group) > 255:
        raise invalid("Invalid namespace for group.")
    if len(started_by) > 128:
        raise invalid("startedBy can have at most 128 characters.")
    labels = tags(request.get("tags"))
    if one_of(request.get("propagateTags"), ("TASK_DEFINITION", "SERVICE", "NONE"), "propagateTags") == "SERVICE":
        raise invalid("The propagateTags value SERVICE is only for services.")
    if labels:
        arn = [call.arn(f"task/{owner.meta.name}/*")]
        await call.authorize("ecs:TagResource", arn, {"ecs:CreateAction": call.operation})
    if request.get("propagateTags") == "TASK_DEFINITION":
        labels = {**definition.spec.tags, **labels}
    if request.get("enableECSManagedTags"):
        labels = {**labels, "aws:ecs:clusterName": owner.meta.name}
    return Task(
        cluster=owner.meta.name,
        definition=definition.meta.name,
        launch=launch.type,
        node="",
        platform=fargate.platform(launch.platform),
        group=group,
        started_by=started_by,
        overrides=overrides,
        tags=labels,
        exec=bool(request.get("enableExecuteCommand")),
        reference=request.get("referenceId") or "",
    )


def _token(request: Request, cluster: str) -> tuple[str, str] | None:
    token = request.get("clientToken")
    return (f"{cluster}/{token}", digest(request)) if token else None


def _repeated(call: Call, request: Request, cluster: str) -> Answer:
    """What a request with the same clientToken was answered."""
    token = _token(request, cluster)
    found = call.store.get(TOKEN, call.account, call.region, token[0]) if token else None
    if token is None or found is None:
        return None
    ids = found.spec.tasks
    if found.spec.digest != token[1]:
        arns = [call.arn(f"task/{cluster}/{id}") for id in ids]
        raise ApiError(
            "ConflictException", "The clientToken was used with other parameters.", fields={"resourceIds": arns}
        )
    records = [t for id in ids if (t := call.store.get(TASK, call.account, call.region, id)) is not None]
    return {"tasks": [shape(call, t) for t in records], "failures": []}


async def _written(
    call: Call, ledger: Ledger, placed: Sequence[Placed], token: tuple[str, str] | None
) -> list[queries.TaskRecord]:
    def create(tx: Transaction) -> list[queries.TaskRecord]:
        if token is not None and placed:
            tx.create(
                TOKEN,
                account=call.account,
                region=call.region,
                name=token[0],
                arn=call.arn(f"token/{token[0]}"),
                spec=Token(token[1], tuple(p.id for p in placed)),
                status=NoStatus(),
            )
        return write(tx, call.account, call.region, placed)

    try:
        records = await call.store.transact(create)
    except BaseException:
        ledger.release(p.id for p in placed)
        raise
    for record in records:
        ledger.note(record)
    return records


def _failures(refused: Sequence[Refusal], missing: int, wish: Order) -> list[Mapping[str, Any]]:
    if not missing:
        return []
    if wish.launch.type == "FARGATE":
        return [{"reason": UNAVAILABLE, "detail": _why(refused)}] * missing
    return [
        {"arn": r.place.arn, "reason": r.code, "detail": f"The container instance {r.words}."} for r in refused[:100]
    ]


def _why(refused: Sequence[Refusal]) -> str:
    if not refused:
        return "No machine is connected."
    machine = refused[0].place.machine
    return machine.error or machine.network_error or f"The nearest machine {refused[0].words}."


@ops("StartTask", resources=launched_arns, conditions=cluster_condition)
async def start_task(call: Call, request: Request) -> Answer:
    owner = queries.cluster(call, request.get("cluster"))
    wanted = request["containerInstances"]
    if not 1 <= len(wanted) <= 10:
        raise invalid("containerInstances must have between 1 and 10 items.")
    definition = queries.runnable(call, request["taskDefinition"])
    body = definition.spec.body
    capacity.compatible(body, "EC2")
    network = capacity.subnets(body, request.get("networkConfiguration"))
    launch = Launch("EC2", definition.meta.name, network)
    template = await _template(call, request, owner, definition, launch)
    wish = order((call.account, call.region), launch, definition, template)
    ledger, placed, failures = ledger_of(call.store), [], []
    for reference in wanted:
        instance = queries.instance(call, owner, reference)
        cluster = (call.account, call.region, owner.meta.name)
        at = ledger.place_at(cluster, instance.meta.name) if instance is not None else None
        if instance is None or at is None:
            failures.append({"arn": reference, "reason": "MISSING"})
        elif refused := refusals(wish.demand, [at]):
            code = "INACTIVE" if not at.accepting else refused[0].code
            failures.append({"arn": instance.meta.arn, "reason": code})
        else:
            at.take(wish.demand)
            placed += put(ledger, call.world, wish, [at])
    records = await _written(call, ledger, placed, None)
    return {"tasks": [shape(call, t) for t in records], "failures": failures}
