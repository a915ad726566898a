"""Custom attributes of container instances, for placement to ask for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import scoped
from havre.services.ecs import queries
from havre.services.ecs.ledger import ledger_of
from havre.services.ecs.operations.paging import paged
from havre.services.ecs.resources import INSTANCE
from havre.services.ecs.rules.common import cluster_name, invalid, last_part, one_of
from havre.store.ports import Transaction

ops = Operations()
Json = Mapping[str, Any]
Custom = Mapping[str, str | None]
MOST = 10
_NAME = re.compile(r"[A-Za-z0-9\-_./\\]{1,128}")
_VALUE = re.compile(r"[A-Za-z0-9\-_./\\@: ]{0,128}")


def target_arns(call: Call, request: Request) -> list[str]:
    cluster = cluster_name(request.get("cluster"))
    targets = {last_part(a.get("targetId") or "*") for a in request.get("attributes") or ()}
    return [call.arn(f"container-instance/{cluster}/{t}") for t in sorted(targets)] or ["*"]


@ops("PutAttributes", resources=target_arns)
async def put_attributes(call: Call, request: Request) -> Answer:
    for each in request["attributes"]:
        _check(each)
    return await _change(call, request, lambda before, each: {**before, each["name"]: each.get("value")})


@ops("DeleteAttributes", resources=target_arns)
async def delete_attributes(call: Call, request: Request) -> Answer:
    """An attribute goes by its name, and by its value where one is given."""

    def without(before: Custom, each: Json) -> Custom:
        name, value = each["name"], each.get("value")
        if value is not None and before.get(name) != value:
            return before
        return {k: v for k, v in before.items() if k != name}

    return await _change(call, request, without)


def _check(each: Json) -> None:
    name, value = each["name"], each.get("value") or ""
    if not _NAME.fullmatch(name):
        raise invalid(
            "Attribute names have between 1 and 128 letters, numbers, hyphens, underscores, slashes and periods."
        )
    if name.startswith(("ecs.", "com.amazonaws.")):
        raise invalid(f"The attribute name {name} is reserved for Amazon ECS.")
    if not _VALUE.fullmatch(value) or value != value.strip():
        raise invalid(f"Invalid value for attribute {name}.")


async def _change(call: Call, request: Request, change: Callable[[Custom, Json], Custom]) -> Answer:
    owner = queries.cluster(call, request.get("cluster"))
    given: Sequence[Json] = request["attributes"]
    if not 1 <= len(given) <= MOST:
        raise invalid(f"attributes must have between 1 and {MOST} items.")

    def write(tx: Transaction) -> list[tuple[queries.InstanceRecord, Json]]:
        changed = []
        for each in given:
            found = _target(call, tx, owner, each)
            attributes = change(found.spec.attributes, each)
            if len(attributes) > MOST:
                raise ApiError(
                    "AttributeLimitExceededException",
                    f"You can apply up to {MOST} custom attributes for each resource.",
                )
            changed.append((tx.update(found, spec=replace(found.spec, attributes=attributes)), each))
        return changed

    changed = await call.store.transact(write)
    for instance, _ in changed:
        ledger_of(call.store).note(instance)
    return {"attributes": [_shape(i, each["name"], each.get("value")) for i, each in changed]}


def _target(call: Call, tx: Transaction, owner: queries.ClusterRecord, each: Json) -> queries.InstanceRecord:
    one_of(each.get("targetType"), ("container-instance",), "targetType")
    found = queries.instance(call, owner, each.get("targetId") or "", tx)
    if found is None:
        raise ApiError(
            "TargetNotFoundException",
            "The specified target wasn't found. You can view your available container instances with "
            "ListContainerInstances.",
        )
    return found


def _shape(instance: queries.InstanceRecord, name: str, value: str | None) -> dict[str, Any]:
    return {"name": name, "value": value or None, "targetId": instance.meta.arn}


@ops("ListAttributes", resources=queries.cluster_arns)
async def list_attributes(call: Call, request: Request) -> Answer:
    owner = queries.cluster(call, request.get("cluster"))
    one_of(request["targetType"], ("container-instance",), "targetType")
    name, value, ledger = request.get("attributeName"), request.get("attributeValue"), ledger_of(call.store)
    if value is not None and not name:
        raise invalid("An attribute value needs the name of the attribute.")
    rows = []
    for instance in call.store.find(INSTANCE, "cluster", scoped(call.account, call.region, owner.meta.name)):
        known = {**ledger.builtin(instance.spec.node, call.region), **instance.spec.attributes}
        rows += [
            (f"{k}\0{instance.meta.name}", _shape(instance, k, v))
            for k, v in known.items()
            if name in (None, "", k) and value in (None, v or "")
        ]
    shown, token = paged(call, request, sorted(rows, key=lambda row: row[0]), lambda row: row[0])
    return {"attributes": [shape for _, shape in shown], "nextToken": token}
