"""Container instances: the nodes, as each cluster sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.placement import QueryError, parse
from havre.kernel.resource import scoped
from havre.services.ecs import queries
from havre.services.ecs.ledger import ledger_of
from havre.services.ecs.operations.paging import paged
from havre.services.ecs.present.instance import present
from havre.services.ecs.resources import INSTANCE, TASK
from havre.services.ecs.rules.common import cluster_name, invalid, last_part, one_of
from havre.store.ports import Transaction

ops = Operations()
STATES = ("ACTIVE", "DRAINING", "REGISTERING", "DEREGISTERING", "REGISTRATION_FAILED")
MAX_DESCRIBED = 100
MAX_CHANGED = 10


def instance_arns(call: Call, request: Request) -> list[str]:
    cluster = cluster_name(request.get("cluster"))
    given = request.get("containerInstances") or [request.get("containerInstance") or "*"]
    return [call.arn(f"container-instance/{cluster}/{last_part(i)}") for i in given]


def shape(call: Call, record: queries.InstanceRecord, with_tags: bool = False) -> dict[str, Any]:
    return present(call.store, ledger_of(call.store), record, with_tags)


@ops("ListContainerInstances", resources=queries.cluster_arns)
async def list_container_instances(call: Call, request: Request) -> Answer:
    owner = queries.cluster(call, request.get("cluster"))
    state = one_of(request.get("status"), STATES, "status")
    matches = _filter(call, owner, request.get("filter"))
    here = call.store.find(INSTANCE, "cluster", scoped(call.account, call.region, owner.meta.name))
    chosen = [i for i in here if i.spec.state == (state or i.spec.state) and matches(i)]
    shown, token = paged(call, request, chosen, lambda i: i.meta.name)
    return {"containerInstanceArns": [i.meta.arn for i in shown], "nextToken": token}


def _filter(call: Call, owner: queries.ClusterRecord, given: str | None) -> Callable[[queries.InstanceRecord], bool]:
    """An expression of the cluster query language."""
    if not given:
        return lambda _: True
    try:
        expression = parse(given)
    except QueryError as error:
        raise invalid(f"Invalid filter expression: {error}") from None
    ledger, cluster = ledger_of(call.store), (call.account, call.region, owner.meta.name)

    def matches(record: queries.InstanceRecord) -> bool:
        at = ledger.place_at(cluster, record.meta.name)
        return at is not None and bool(expression(at.fact))

    return matches


@ops("DescribeContainerInstances", resources=instance_arns)
async def describe_container_instances(call: Call, request: Request) -> Answer:
    owner = queries.cluster(call, request.get("cluster"))
    wanted = request["containerInstances"]
    if not wanted:
        raise invalid("Container Instances cannot be empty.")
    if len(wanted) > MAX_DESCRIBED:
        raise invalid(f"Container instances can have at most {MAX_DESCRIBED} items.")
    with_tags = "TAGS" in (request.get("include") or ())
    found, failures = [], []
    for reference in dict.fromkeys(wanted):
        record = queries.instance(call, owner, reference)
        if record is None:
            missing = call.arn(f"container-instance/{owner.meta.name}/{last_part(reference)}")
            failures.append({"arn": missing, "reason": "MISSING"})
        else:
            found.append(shape(call, record, with_tags))
    return {"containerInstances": found, "failures": failures}


@ops("UpdateContainerInstancesState", resources=instance_arns)
async def update_container_instances_state(call: Call, request: Request) -> Answer:
    """DRAINING: nothing new is placed there, and services move their tasks elsewhere."""
    owner, state, wanted = (
        queries.cluster(call, request.get("cluster")),
        request["status"],
        request["containerInstances"],
    )
    if state not in ("ACTIVE", "DRAINING"):
        raise invalid("Container instance status should be one of [ACTIVE,DRAINING].")
    if not 1 <= len(wanted) <= MAX_CHANGED:
        raise invalid(f"containerInstances must have between 1 and {MAX_CHANGED} items.")

    def update(tx: Transaction) -> tuple[list[queries.InstanceRecord], list[dict[str, str]]]:
        changed, failures = [], []
        for reference in dict.fromkeys(wanted):
            found = queries.instance(call, owner, reference, tx)
            if found is None:
                missing = call.arn(f"container-instance/{owner.meta.name}/{last_part(reference)}")
                failures.append({"arn": missing, "reason": "MISSING"})
            else:
                changed.append(tx.update(found, spec=replace(found.spec, state=state)))
        return changed, failures

    changed, failures = await call.store.transact(update)
    for record in changed:
        ledger_of(call.store).note(record)
    return {"containerInstances": [shape(call, r) for r in changed], "failures": failures}


@ops("DeregisterContainerInstance", resources=instance_arns)
async def deregister_container_instance(call: Call, request: Request) -> Answer:
    """Its tasks run on; services replace theirs elsewhere."""
    owner = queries.cluster(call, request.get("cluster"))

    def deregister(tx: Transaction) -> queries.InstanceRecord:
        found = queries.instance(call, owner, request["containerInstance"], tx)
        if found is None:
            raise invalid("The referenced container instance was not found.")
        here = scoped(call.account, call.region, found.meta.name)
        if not request.get("force") and tx.count(TASK, "instance", here):
            raise invalid("Found running tasks on the instance.")
        return tx.update(found, spec=replace(found.spec, state="INACTIVE"))

    gone = await call.store.transact(deregister)
    ledger_of(call.store).note(gone)
    return {"containerInstance": shape(call, gone)}
