"""Targets of rules."""

from __future__ import annotations

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.control.roles import may_pass
from havre.services.events import names, queries, rules
from havre.services.events.courier import PRINCIPAL
from havre.services.events.errors import limit, validation
from havre.services.events.names import of_rule
from havre.services.events.paging import page
from havre.store.ports import Transaction

ops = Operations()


@ops("PutTargets", resources=of_rule(), conditions=names.about_first_target)
async def put_targets(call: Call, request: Request) -> Answer:
    """All or none: a target that is there under the same id is replaced."""
    given = request["Targets"]
    ids = [each["Id"] for each in given]
    if len(set(ids)) < len(ids):
        raise validation("Targets contain duplicate ids.")
    for each in given:
        rules.check_target(each)
        if each["Arn"] != given[0]["Arn"]:
            place = names.bus_place(call, request.get("EventBusName"))
            await call.authorize("events:PutTargets", [place.rule_arn(request["Rule"])], names.about_target(each))
        if each.get("RoleArn"):
            await may_pass(call, each["RoleArn"], PRINCIPAL)
    new = {each["Id"]: {k: v for k, v in each.items() if v is not None} for each in given}

    def change(tx: Transaction) -> None:
        place = names.own_bus(call, request.get("EventBusName"), tx)
        found = queries.rule(tx, place, request["Rule"])
        targets = {**found.spec.targets, **new}
        if len(targets) > rules.MOST_TARGETS:
            raise limit("The requested resource exceeds the maximum number allowed.")
        tx.update(found, spec=replace(found.spec, targets=targets))

    await call.store.transact(change)
    return {"FailedEntryCount": 0, "FailedEntries": []}


@ops("RemoveTargets", resources=of_rule())
async def remove_targets(call: Call, request: Request) -> Answer:
    """Ids that the rule does not have are told, and hold up none of the others."""

    def change(tx: Transaction) -> list[str]:
        place = names.own_bus(call, request.get("EventBusName"), tx)
        found = queries.rule(tx, place, request["Rule"])
        targets = {id: each for id, each in found.spec.targets.items() if id not in request["Ids"]}
        if len(targets) != len(found.spec.targets):
            tx.update(found, spec=replace(found.spec, targets=targets))
        return [id for id in request["Ids"] if id not in found.spec.targets]

    absent = await call.store.transact(change)
    words = f"Rule {request['Rule']} does not have such a target."
    failed = [{"TargetId": id, "ErrorCode": "ResourceNotFoundException", "ErrorMessage": words} for id in absent]
    return {"FailedEntryCount": len(failed), "FailedEntries": failed}


@ops("ListTargetsByRule", resources=of_rule())
async def list_targets_by_rule(call: Call, request: Request) -> Answer:
    place = names.own_bus(call, request.get("EventBusName"), call.store)
    found = queries.rule(call.store, place, request["Rule"])
    targets = [found.spec.targets[id] for id in sorted(found.spec.targets)]
    shown, token = page(call, request, targets, lambda t: str(t["Id"]))
    return {"Targets": shown, "NextToken": token}
