"""Services: created, described, listed, deleted."""

from __future__ import annotations

from typing import Any

import msgspec

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import scoped
from havre.services.ecs import queries, revisions
from havre.services.ecs.launch import daemon_places
from havre.services.ecs.ledger import ledger_of
from havre.services.ecs.network import check_network
from havre.services.ecs.operations.paging import paged
from havre.services.ecs.operations.roles import pass_roles
from havre.services.ecs.present.service import service as present
from havre.services.ecs.resources import EVENTS, SERVICE, Launch, Service, ServiceStatus
from havre.services.ecs.rules import service as rules
from havre.services.ecs.rules.common import cluster_name, digest, invalid, last_part, one_of, tags
from havre.store.ports import Transaction

ops = Operations()
replace = msgspec.structs.replace
MAX_DESCRIBED = 10
PROPAGATE = ("TASK_DEFINITION", "SERVICE", "NONE")
LAUNCH_TYPES = ("EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES")


def service_arns(call: Call, request: Request) -> list[str]:
    """For IAM: the service or services that a request names."""
    cluster = cluster_name(request.get("cluster"))
    given = request.get("services") or [request.get("service") or request.get("serviceName") or "*"]
    return [s if s.startswith("arn:") else call.arn(f"service/{cluster}/{last_part(s)}") for s in given]


def conditions(call: Call, request: Request) -> dict[str, str]:
    found = {"ecs:cluster": queries.cluster_arns(call, request)[0]}
    if request.get("taskDefinition"):
        key = queries.definition_key(call, request["taskDefinition"])
        found["ecs:task-definition"] = call.arn(f"task-definition/{key}")
    return found


@ops("CreateService", resources=service_arns, conditions=conditions)
async def create_service(call: Call, request: Request) -> Answer:
    name = rules.name(request["serviceName"])
    owner = queries.cluster(call, request.get("cluster"))
    rules.built(request, call.operation)
    if not request.get("taskDefinition"):
        raise invalid("TaskDefinition can not be blank.")
    strategy = rules.scheduling(request.get("schedulingStrategy"))
    definition = queries.runnable(call, request["taskDefinition"])
    launch = revisions.first(call, request, owner, definition, strategy)
    id = revisions.new_id(call)
    spec = _spec(call, request, (owner.meta.name, name, strategy), id, launch.targets)
    if spec.tags:
        await call.authorize("ecs:TagResource", service_arns(call, request), {"ecs:CreateAction": "CreateService"})
    await pass_roles(call, definition.spec.body)
    await check_network(call, launch.subnets)
    await revisions.check_groups(call, launch.targets, definition.spec.body)
    key = f"{owner.meta.name}/{name}"
    status = ServiceStatus(instances=_instances(call, spec, launch, definition))

    def create(tx: Transaction) -> queries.ServiceRecord:
        queries.cluster(call, owner.meta.name, tx)
        again = _there_already(tx, call, key, spec)
        if again is not None:
            return again
        revisions.deploy(tx, call, key, id, launch, 1)
        at = {"account": call.account, "region": call.region, "name": key, "arn": call.arn(f"service/{key}")}
        return tx.create(SERVICE, **at, spec=spec, status=status)

    made = await call.store.transact(create)
    return {"service": present(call.store, made, with_tags=True)}


def _spec(call: Call, request: Request, named: tuple[str, str, str], id: str, targets: Any) -> Service:
    cluster, name, strategy = named
    given = {k: v for k, v in request.items() if k != "clientToken"}
    return Service(
        cluster=cluster,
        name=name,
        primary=id,
        desired=rules.count(request.get("desiredCount"), strategy),
        scheduling=strategy,
        deployment=rules.configuration(request.get("deploymentConfiguration"), strategy, call.operation),
        grace=rules.grace(request.get("healthCheckGracePeriodSeconds"), bool(targets)),
        rebalancing=rebalancing(request) or "DISABLED",
        propagate=one_of(request.get("propagateTags"), PROPAGATE, "propagateTags") or "NONE",
        managed_tags=bool(request.get("enableECSManagedTags")),
        tags=tags(request.get("tags")),
        created_by=call.principal.arn,
        token=request.get("clientToken") or "",
        digest=digest(given),
        groups=tuple(sorted({t.group for t in targets})),
    )


def _instances(call: Call, spec: Service, launch: Launch, definition: queries.DefinitionRecord) -> int:
    """How many tasks a DAEMON is to have, so that nobody takes it for complete before it has begun."""
    if spec.scheduling != "DAEMON":
        return 0
    cluster = (call.account, call.region, spec.cluster)
    return len(daemon_places(ledger_of(call.store), cluster, launch, definition.spec.body))


def rebalancing(request: Request) -> str | None:
    given = request.get("availabilityZoneRebalancing")
    return one_of(given, ("ENABLED", "DISABLED"), "availabilityZoneRebalancing")


def _there_already(tx: Transaction, call: Call, key: str, wanted: Service) -> queries.ServiceRecord | None:
    """The service when this request has made it before. What is left of one that was deleted goes."""
    found = tx.get(SERVICE, call.account, call.region, key)
    if found is None:
        return None
    if found.spec.state == "DRAINING":
        raise invalid("Unable to Start a service that is still Draining.")
    if found.spec.state == "ACTIVE":
        if found.spec.digest != wanted.digest or (wanted.token and found.spec.token != wanted.token):
            raise invalid("Creation of service was not idempotent.")
        return found
    for old in queries.deployments(tx, found):
        tx.remove(old)
    events = tx.get(EVENTS, call.account, call.region, key)
    if events is not None:
        tx.remove(events)
    tx.remove(found)
    return None


@ops("DescribeServices", resources=service_arns, conditions=conditions)
async def describe_services(call: Call, request: Request) -> Answer:
    owner = queries.cluster(call, request.get("cluster"))
    wanted = request["services"]
    if not wanted:
        raise invalid("Services cannot be empty.")
    if len(wanted) > MAX_DESCRIBED:
        raise invalid(f"Services can have at most {MAX_DESCRIBED} items.")
    with_tags = "TAGS" in (request.get("include") or ())
    found, failures = [], []
    for reference in dict.fromkeys(wanted):
        record = queries.service(call, owner, reference)
        if record is None:
            arn = reference if reference.startswith("arn:") else call.arn(f"service/{owner.meta.name}/{reference}")
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            found.append(present(call.store, record, with_tags))
    return {"services": found, "failures": failures}


@ops("ListServices", resources=queries.cluster_arns, conditions=conditions)
async def list_services(call: Call, request: Request) -> Answer:
    owner = queries.cluster(call, request.get("cluster"))
    kind = one_of(request.get("launchType"), LAUNCH_TYPES, "launchType")
    strategy = one_of(request.get("schedulingStrategy"), rules.STRATEGIES, "schedulingStrategy")
    managed = one_of(request.get("resourceManagementType"), ("CUSTOMER", "ECS"), "resourceManagementType")

    def keep(record: queries.ServiceRecord) -> bool:
        launch = queries.primary(call.store, record).spec.launch
        return (
            managed != "ECS"
            and (kind is None or (launch.type == kind and not launch.providers))
            and (strategy is None or record.spec.scheduling == strategy)
        )

    here = call.store.find(SERVICE, "cluster", scoped(call.account, call.region, owner.meta.name))
    limited = {**request, "maxResults": request.get("maxResults") or 10}
    shown, token = paged(call, limited, [s for s in here if keep(s)], lambda s: s.meta.name)
    return {"serviceArns": [s.meta.arn for s in shown], "nextToken": token}


@ops("DeleteService", resources=service_arns, conditions=conditions)
async def delete_service(call: Call, request: Request) -> Answer:
    owner = queries.cluster(call, request.get("cluster"))

    def delete(tx: Transaction) -> queries.ServiceRecord:
        found = queries.service(call, owner, request["service"], tx)
        if found is None or found.spec.state == "INACTIVE":
            raise ApiError("ServiceNotFoundException", "Service not found.")
        if found.spec.state == "DRAINING":
            return found
        if found.spec.desired and not request.get("force"):
            raise invalid("The service cannot be stopped while it is scaled above 0.")
        return tx.update(found, spec=replace(found.spec, state="DRAINING", desired=0))

    return {"service": present(call.store, await call.store.transact(delete))}
