"""From a request to what a service launches, and the deployments that bring it about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from havre.control.operation import Call
from havre.kernel.errors import ApiError
from havre.services.ecs import queries
from havre.services.ecs.resources import DEPLOYMENT, Deployment, DeploymentStatus, Launch, Target
from havre.services.ecs.rules import capacity, fargate
from havre.services.ecs.rules import service as rules
from havre.services.ecs.rules.common import invalid
from havre.store.ports import Transaction

Json = Mapping[str, Any]
replace = msgspec.structs.replace
PRINCIPAL = "ecs.amazonaws.com"
REMEMBERED = 50
"""Deployments of a service that are kept as its history."""
MUST_FORCE = (
    "When switching from launch type to capacity provider strategy on an existing service, or making a change to a "
    "capacity provider strategy on a service that is already using one, you must force a new deployment."
)


def first(
    call: Call, request: Json, owner: queries.ClusterRecord, definition: queries.DefinitionRecord, strategy: str
) -> Launch:
    """What CreateService asks for. Raises InvalidParameterException, ClientException."""
    body, daemon = definition.spec.body, strategy == "DAEMON"
    kind, providers = capacity.launch_type(request, owner.spec.providers, owner.spec.strategy)
    if daemon and providers:
        raise invalid("Specifying a capacity provider strategy is not supported when you create a service using the "
                      "DAEMON scheduling strategy.")  # fmt: skip
    launch = replace(
        capacity.launch(request, definition.meta.name, body, kind, providers),
        targets=rules.targets(request.get("loadBalancers"), body, call.operation),
        exec=bool(request.get("enableExecuteCommand")),
    )
    check(call, launch, body, daemon)
    return launch


def check(call: Call, launch: Launch, body: Json, daemon: bool) -> None:
    """What holds for a whole launch. Raises InvalidParameterException."""
    if launch.exec and not body.get("taskRoleArn"):
        done = "created" if call.operation == "CreateService" else "updated"
        raise invalid(f"The service couldn't be {done} because a valid taskRoleArn is not being used. Specify a valid "
                      "task role in your task definition and try again.")  # fmt: skip
    if not daemon:
        return
    if launch.type == "FARGATE":
        raise invalid("The daemon scheduling strategy does not support the FARGATE launch type.")
    if launch.strategies:
        raise invalid("The daemon scheduling strategy does not support placement strategies. Remove the placement "
                      "strategy and try again")  # fmt: skip


def later(
    call: Call, request: Json, owner: queries.ClusterRecord, definition: queries.DefinitionRecord, before: Launch
) -> Launch:
    """What UpdateService asks for: what it does not name stays. Raises InvalidParameterException, ClientException."""
    body = definition.spec.body
    kind, providers = _kind(request, owner, before)
    capacity.compatible(body, kind)
    given = request.get("networkConfiguration") or _network(before)
    launch = replace(
        before,
        type=kind,
        definition=definition.meta.name,
        subnets=capacity.subnets(body, given),
        providers=providers,
        platform=_platform(request, kind, before),
        targets=rules.targets(
            request["loadBalancers"] if "loadBalancers" in request else _balancers(before.targets), body, call.operation
        ),
    )
    if "placementConstraints" in request:
        launch = replace(launch, constraints=capacity.constraints(request["placementConstraints"], kind))
    if "placementStrategy" in request:
        launch = replace(launch, strategies=capacity.strategies(request["placementStrategy"], kind))
    if request.get("enableExecuteCommand") is not None:
        launch = replace(launch, exec=request["enableExecuteCommand"])
    return launch


def _kind(request: Json, owner: queries.ClusterRecord, before: Launch) -> tuple[str, tuple[tuple[str, int, int], ...]]:
    given = request.get("capacityProviderStrategy")
    if given is None:
        return before.type, before.providers
    kind, providers = before.type, before.providers[:0]
    if given:
        kind, providers = capacity.launch_type({"capacityProviderStrategy": given}, owner.spec.providers, ())
    if providers != before.providers and not request.get("forceNewDeployment"):
        raise invalid(MUST_FORCE)
    return kind, providers


def _platform(request: Json, kind: str, before: Launch) -> str:
    given = request.get("platformVersion")
    return fargate.wanted_platform(given, kind) if given or not before.platform else before.platform


def _network(before: Launch) -> Json | None:
    if before.subnets is None:
        return None
    s = before.subnets
    config = {"subnets": list(s.subnets), "securityGroups": list(s.security_groups)}
    return {"awsvpcConfiguration": {**config, "assignPublicIp": "ENABLED" if s.public else "DISABLED"}}


def _balancers(targets: Sequence[Target]) -> list[Json]:
    return [{"targetGroupArn": t.group, "containerName": t.container, "containerPort": t.port} for t in targets]


async def check_groups(call: Call, targets: Sequence[Target], body: Json) -> None:
    """Whether the target groups are there, and fit the network mode. Raises InvalidParameterException."""
    arns = sorted({t.group for t in targets})
    if not arns:
        return
    assert call.as_service is not None
    try:
        answer = await call.as_service(PRINCIPAL)("elbv2", "DescribeTargetGroups", {"TargetGroupArns": arns})
    except ApiError as error:
        if error.code in ("TargetGroupNotFound", "TargetGroupNotFoundException", "ValidationError"):
            raise invalid("The specified target group does not exist.") from None
        raise
    for group in answer["TargetGroups"]:
        arn = group["TargetGroupArn"]
        rules.group_type(arn, group.get("TargetType", "instance"), body)
        if not group.get("LoadBalancerArns"):
            raise invalid(f"The target group with targetGroupArn {arn} does not have an associated load balancer.")


def differs(launch: Launch, before: Launch) -> bool:
    """Whether running tasks are to be replaced: where tasks may be placed alone is no reason."""
    return replace(launch, constraints=(), strategies=()) != replace(before, constraints=(), strategies=())


def new_id(call: Call) -> str:
    return f"ecs-svc/{call.world.chance.randrange(10**18, 10**19)}"


def deploy(tx: Transaction, call: Call, service: str, id: str, launch: Launch, number: int) -> queries.DeploymentRecord:
    return tx.create(
        DEPLOYMENT,
        account=call.account,
        region=call.region,
        name=id,
        arn=call.arn(f"service-deployment/{service}/{id.rsplit('/', 1)[-1]}"),
        spec=Deployment(service, launch, number),
        status=DeploymentStatus(reason=f"ECS deployment {id} in progress."),
    )


def supersede(tx: Transaction, call: Call, known: Sequence[queries.DeploymentRecord], primary: str) -> None:
    """The primary deployment gives way; the oldest that have long ended are forgotten, but for the last good one."""
    good = [d.meta.name for d in known if d.status.was_completed][-1:]
    for record in known[:-REMEMBERED]:
        if record.meta.name not in (primary, *good):
            tx.remove(record)
    for record in known:
        if record.meta.name == primary and record.status.state == "IN_PROGRESS":
            status = replace(record.status, state="STOPPED", finished=call.now)
            tx.update(record, status=status)
