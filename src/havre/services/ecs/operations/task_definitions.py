"""Task definitions: revisions, families, and their end."""

from __future__ import annotations

from typing import Any

import msgspec

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import NoStatus, scoped
from havre.services.ecs import queries
from havre.services.ecs.operations.paging import paged
from havre.services.ecs.operations.roles import pass_roles
from havre.services.ecs.present import cluster as shapes
from havre.services.ecs.resources import FAMILY, TASK_DEFINITION, Family, TaskDefinition
from havre.services.ecs.rules import task_definition as rules
from havre.services.ecs.rules.common import client, invalid, tag_list, tags
from havre.store.ports import Transaction

ops = Operations()
replace = msgspec.structs.replace


@ops("RegisterTaskDefinition")
async def register_task_definition(call: Call, request: Request) -> Answer:
    body, labels = rules.body(request), tags(request.get("tags"))
    await pass_roles(call, body)
    family = body["family"]
    if labels:
        await call.authorize(
            "ecs:TagResource",
            [call.arn(f"task-definition/{family}:*")],
            {"ecs:CreateAction": "RegisterTaskDefinition"},
        )

    def register(tx: Transaction) -> queries.DefinitionRecord:
        key = {"account": call.account, "region": call.region}
        counter = tx.get(FAMILY, call.account, call.region, family)
        revision = counter.spec.last + 1 if counter is not None else 1
        if counter is not None:
            tx.update(counter, spec=Family(revision))
        else:
            arn = call.arn(f"task-definition/{family}")
            tx.create(FAMILY, **key, name=family, arn=arn, spec=Family(revision), status=NoStatus())
        name = f"{family}:{revision}"
        return tx.create(
            TASK_DEFINITION,
            **key,
            name=name,
            arn=call.arn(f"task-definition/{name}"),
            spec=TaskDefinition(family, revision, body, tags=labels, registered_by=call.principal.arn),
            status=NoStatus(),
        )

    made = await call.store.transact(register)
    return {"taskDefinition": shapes.definition(made), "tags": tag_list(labels)}


@ops("DescribeTaskDefinition")
async def describe_task_definition(call: Call, request: Request) -> Answer:
    found = queries.definition(call, request["taskDefinition"])
    shown: dict[str, Any] = {"taskDefinition": shapes.definition(found)}
    if "TAGS" in (request.get("include") or ()):
        shown["tags"] = tag_list(found.spec.tags)
    return shown


@ops("DeregisterTaskDefinition")
async def deregister_task_definition(call: Call, request: Request) -> Answer:
    reference = request["taskDefinition"]
    if ":" not in reference.rsplit("/", 1)[-1]:
        raise client("Revision is missing.")
    queries.check_revision(reference)

    def deregister(tx: Transaction) -> queries.DefinitionRecord:
        key = queries.definition_key(call, reference, tx)
        found = tx.get(TASK_DEFINITION, call.account, call.region, key) if key else None
        if found is None:
            raise client("Unable to describe task definition.")
        if found.spec.state != "ACTIVE":
            return found
        return tx.update(found, spec=replace(found.spec, state="INACTIVE", deregistered=call.now))

    return {"taskDefinition": shapes.definition(await call.store.transact(deregister))}


@ops("DeleteTaskDefinitions")
async def delete_task_definitions(call: Call, request: Request) -> Answer:
    wanted = request["taskDefinitions"]
    if not 1 <= len(wanted) <= 10:
        raise invalid("taskDefinitions must have between 1 and 10 items.")

    def delete(tx: Transaction) -> tuple[list[queries.DefinitionRecord], list[dict[str, str]]]:
        deleted, failures = [], []
        for reference in dict.fromkeys(wanted):
            key = queries.definition_key(call, reference, tx) if ":" in reference.rsplit("/", 1)[-1] else ""
            found = tx.get(TASK_DEFINITION, call.account, call.region, key) if key else None
            if found is None or found.spec.state == "ACTIVE":
                arn = found.meta.arn if found is not None else reference
                failures.append({"arn": arn, "reason": _why_not_deleted(reference, found)})
            elif found.spec.state == "INACTIVE":
                spec = replace(found.spec, state="DELETE_IN_PROGRESS", delete_requested=call.now)
                deleted.append(tx.update(found, spec=spec))
            else:
                deleted.append(found)
        return deleted, failures

    deleted, failures = await call.store.transact(delete)
    return {"taskDefinitions": [shapes.definition(d) for d in deleted], "failures": failures}


def _why_not_deleted(reference: str, found: queries.DefinitionRecord | None) -> str:
    if found is not None:
        return "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
    if ":" not in reference.rsplit("/", 1)[-1]:
        return "The specified task definition identifier is invalid. Specify a valid name or ARN and try again."
    return "The specified task definition does not exist. Specify a valid account, family, revision and try again."


@ops("ListTaskDefinitions")
async def list_task_definitions(call: Call, request: Request) -> Answer:
    family, state = request.get("familyPrefix"), request.get("status") or "ACTIVE"
    if state not in ("ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"):
        raise client(f"Invalid status: {state}.")
    down = (request.get("sort") or "ASC") == "DESC"
    if family:
        found = call.store.find(TASK_DEFINITION, "family", scoped(call.account, call.region, family))
    else:
        found = call.store.list(TASK_DEFINITION, call.account, call.region)

    def key(d: queries.DefinitionRecord) -> str:
        text = f"{d.spec.family}\0{d.spec.revision:010d}"
        return "".join(chr(0xFFFF - ord(c)) for c in text) + "\uffff" if down else text

    chosen = sorted((d for d in found if d.spec.state == state), key=key)
    shown, token = paged(call, request, chosen, key)
    return {"taskDefinitionArns": [d.meta.arn for d in shown], "nextToken": token}


@ops("ListTaskDefinitionFamilies")
async def list_task_definition_families(call: Call, request: Request) -> Answer:
    prefix, state = request.get("familyPrefix") or "", request.get("status") or "ACTIVE"
    if state not in ("ACTIVE", "INACTIVE", "ALL"):
        raise ApiError("ClientException", f"Invalid status: {state}.")
    families: dict[str, bool] = {}
    for d in call.store.list(TASK_DEFINITION, call.account, call.region):
        if d.spec.family.startswith(prefix) and d.spec.state != "DELETE_IN_PROGRESS":
            families[d.spec.family] = families.get(d.spec.family, False) or d.spec.state == "ACTIVE"
    names = sorted(f for f, active in families.items() if state == "ALL" or active == (state == "ACTIVE"))
    shown, token = paged(call, request, names, lambda n: n)
    return {"families": shown, "nextToken": token}
