"""What became of a service's deployments, and stopping one that is under way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError, not_built
from havre.services.ecs import queries
from havre.services.ecs.events import record as tell
from havre.services.ecs.operations.paging import paged
from havre.services.ecs.operations.services import conditions, service_arns
from havre.services.ecs.present import deployment as shapes
from havre.services.ecs.resources import DEPLOYMENT, SERVICE
from havre.services.ecs.rules.common import invalid
from havre.services.ecs.scheduler import given_up, taken_up
from havre.store.ports import Reader, Transaction

ops = Operations()
MAX_DESCRIBED = 20
STATES = (
    "PENDING",
    "SUCCESSFUL",
    "STOPPED",
    "STOP_REQUESTED",
    "IN_PROGRESS",
    "ROLLBACK_REQUESTED",
    "ROLLBACK_IN_PROGRESS",
    "ROLLBACK_SUCCESSFUL",
    "ROLLBACK_FAILED",
)
Found = tuple[queries.ServiceRecord, queries.DeploymentRecord]


def _given(member: str) -> Any:
    def arns(call: Call, request: Request) -> Sequence[str]:
        given = request[member]
        return [given] if isinstance(given, str) else list(given) or ["*"]

    return arns


@ops("ListServiceDeployments", resources=service_arns, conditions=conditions)
async def list_service_deployments(call: Call, request: Request) -> Answer:
    owner = queries.cluster(call, request.get("cluster"))
    service = queries.service(call, owner, request["service"])
    if service is None:
        raise ApiError("ServiceNotFoundException", "Service not found.")
    states, created = request.get("status") or (), request.get("createdAt") or {}
    if set(states) - set(STATES):
        raise invalid(f"Invalid status. Valid values are: {', '.join(STATES)}.")
    after, before = created.get("after", 0.0), created.get("before", float("inf"))
    rows = []
    for record in reversed(queries.deployments(call.store, service)):
        row = shapes.brief(call.store, service, record)
        if (not states or row["status"] in states) and after <= record.meta.created <= before:
            rows.append((f"{10**9 - record.spec.number:010d}", row))
    limited = {**request, "maxResults": request.get("maxResults") or 20}
    shown, token = paged(call, limited, rows, lambda row: row[0])
    return {"serviceDeployments": [row for _, row in shown], "nextToken": token}


def _find(call: Call, reader: Reader, arn: str, kind: str) -> Found | None:
    """By the ARN of a service deployment or a service revision: ``kind/cluster/service/id``."""
    head, _, rest = arn.partition(f":{kind}/")
    if head != f"arn:aws:ecs:{call.region}:{call.account}" or rest.count("/") != 2:
        return None
    key, _, id = rest.rpartition("/")
    service = reader.get(SERVICE, call.account, call.region, key)
    record = reader.get(DEPLOYMENT, call.account, call.region, f"ecs-svc/{id}")
    if service is None or record is None or record.spec.service != key:
        return None
    return service, record


def _each(call: Call, given: Sequence[str], kind: str) -> tuple[list[Found], list[dict[str, str]]]:
    if not 1 <= len(given) <= MAX_DESCRIBED:
        raise invalid(f"Between 1 and {MAX_DESCRIBED} ARNs must be given.")
    found, failures = [], []
    for arn in dict.fromkeys(given):
        pair = _find(call, call.store, arn, kind)
        if pair is None:
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            found.append(pair)
    return found, failures


@ops("DescribeServiceDeployments", resources=_given("serviceDeploymentArns"))
async def describe_service_deployments(call: Call, request: Request) -> Answer:
    found, failures = _each(call, request["serviceDeploymentArns"], "service-deployment")
    shown = []
    for service, record in found:
        known = queries.deployments(call.store, service)
        before = max((d for d in known if d.spec.number < record.spec.number), key=_number, default=None)
        shown.append(shapes.full(call.store, service, record, before))
    return {"serviceDeployments": shown, "failures": failures}


def _number(record: queries.DeploymentRecord) -> int:
    return record.spec.number


@ops("DescribeServiceRevisions", resources=_given("serviceRevisionArns"))
async def describe_service_revisions(call: Call, request: Request) -> Answer:
    found, failures = _each(call, request["serviceRevisionArns"], "service-revision")
    return {"serviceRevisions": [shapes.revision(call.store, s, d) for s, d in found], "failures": failures}


@ops("StopServiceDeployment", resources=_given("serviceDeploymentArn"))
async def stop_service_deployment(call: Call, request: Request) -> Answer:
    """Roll back by hand to the last deployment that was completed."""
    arn, how = request["serviceDeploymentArn"], request.get("stopType") or "ROLLBACK"
    if how == "ABORT":
        raise not_built("ecs", "StopServiceDeployment stopType ABORT")
    if how != "ROLLBACK":
        raise invalid(f"Invalid stopType: {how}. Valid values are: ABORT, ROLLBACK.")

    def stop(tx: Transaction) -> None:
        pair = _find(call, tx, arn, "service-deployment")
        if pair is None:
            raise ApiError("ServiceDeploymentNotFoundException", "Service deployment not found.")
        service, record = pair
        going = record.status.state == "IN_PROGRESS" and not record.status.was_completed
        if service.spec.state != "ACTIVE" or service.spec.primary != record.meta.name or not going:
            raise ApiError("ConflictException", "The service deployment is not in progress.")
        good = [d for d in queries.deployments(tx, service) if d.status.was_completed]
        if not good:
            raise ApiError("ConflictException", "There is no completed deployment that the service could roll back to.")
        _roll_back(tx, call, service, record, good[-1])

    await call.store.transact(stop)
    return {"serviceDeploymentArn": arn}


def _roll_back(
    tx: Transaction,
    call: Call,
    service: queries.ServiceRecord,
    record: queries.DeploymentRecord,
    good: queries.DeploymentRecord,
) -> None:
    name = good.meta.name
    tx.update(record, status=given_up(record.status, name, call.now, "Service deployment was stopped by a user."))
    tx.update(good, status=taken_up(good.status, f"ECS deployment rolling back to deploymentId {name}."))
    tx.update(service, spec=replace(service.spec, primary=name))
    tell(tx, call.world, (call.account, call.region, service.meta.name), (f"rolling back to deployment {name}.",))
