"""UpdateService: a new count, a new configuration, or a new deployment."""

from __future__ import annotations

from typing import Any

import msgspec

from havre.control.operation import Answer, Call, Operations, Request
from havre.services.ecs import queries, revisions
from havre.services.ecs.network import check_network
from havre.services.ecs.operations.roles import pass_roles
from havre.services.ecs.operations.services import PROPAGATE, conditions, rebalancing, service_arns
from havre.services.ecs.present.service import service as present
from havre.services.ecs.resources import Launch, Service
from havre.services.ecs.rules import service as rules
from havre.services.ecs.rules.common import one_of
from havre.store.ports import Transaction

ops = Operations()
replace = msgspec.structs.replace


@ops("UpdateService", resources=service_arns, conditions=conditions)
async def update_service(call: Call, request: Request) -> Answer:
    owner = queries.cluster(call, request.get("cluster"))
    seen = queries.active_service(call, owner, request["service"])
    rules.built(request, call.operation)
    now = queries.primary(call.store, seen).spec.launch
    if request.get("taskDefinition"):
        definition = queries.runnable(call, request["taskDefinition"])
        await pass_roles(call, definition.spec.body)
    else:
        definition = queries.definition(call, now.definition)
    wanted = revisions.later(call, request, owner, definition, now)
    revisions.check(call, wanted, definition.spec.body, seen.spec.scheduling == "DAEMON")
    if wanted.targets != now.targets or definition.meta.name != now.definition:
        await revisions.check_groups(call, wanted.targets, definition.spec.body)
    if request.get("networkConfiguration"):
        await check_network(call, wanted.subnets)
    id = revisions.new_id(call)

    def update(tx: Transaction) -> queries.ServiceRecord:
        found = queries.active_service(call, owner, request["service"], tx)
        primary = queries.primary(tx, found)
        launch = revisions.later(call, request, owner, definition, primary.spec.launch)
        spec = _changed(call, request, found.spec, launch)
        if request.get("forceNewDeployment") or revisions.differs(launch, primary.spec.launch):
            known = queries.deployments(tx, found)
            revisions.supersede(tx, call, known, spec.primary)
            revisions.deploy(tx, call, found.meta.name, id, launch, known[-1].spec.number + 1)
            spec = replace(spec, primary=id)
        elif launch != primary.spec.launch:
            tx.update(primary, spec=replace(primary.spec, launch=launch))
        return tx.update(found, spec=spec)

    made = await call.store.transact(update)
    return {"service": present(call.store, made, with_tags=True)}


def _changed(call: Call, request: Request, before: Service, launch: Launch) -> Service:
    """All but which deployment is the primary one."""
    changes: dict[str, Any] = {
        "desired": rules.count(request.get("desiredCount"), before.scheduling, before.desired),
        "deployment": rules.configuration(
            request.get("deploymentConfiguration"), before.scheduling, call.operation, before.deployment
        ),
        "grace": rules.grace(request.get("healthCheckGracePeriodSeconds"), bool(launch.targets), before.grace),
        "groups": tuple(sorted({t.group for t in launch.targets})),
    }
    if rebalancing(request) is not None:
        changes["rebalancing"] = rebalancing(request)
    if request.get("propagateTags") is not None:
        changes["propagate"] = one_of(request["propagateTags"], PROPAGATE, "propagateTags")
    if request.get("enableECSManagedTags") is not None:
        changes["managed_tags"] = request["enableECSManagedTags"]
    return replace(before, **changes)
