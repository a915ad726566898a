"""Tags of everything in ECS that has an ARN."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import Kind, Resource
from havre.services.ecs import queries
from havre.services.ecs.resources import CLUSTER, INSTANCE, SERVICE, TASK, TASK_DEFINITION
from havre.services.ecs.rules.common import MAX_TAGS, invalid, last_part, tag_list
from havre.services.ecs.rules.common import tags as checked
from havre.store.ports import Reader, Transaction

ops = Operations()
Record = Resource[Any, Any]
_KINDS: dict[str, tuple[Kind[Any, Any], Callable[[Record], bool]]] = {
    "cluster": (CLUSTER, lambda r: r.spec.active),
    "service": (SERVICE, lambda r: r.spec.state == "ACTIVE"),
    "task": (TASK, lambda r: r.status.last != "STOPPED"),
    "task-definition": (TASK_DEFINITION, lambda r: r.spec.state == "ACTIVE"),
    "container-instance": (INSTANCE, lambda r: r.spec.state != "INACTIVE"),
}


def tagged(call: Call, request: Request) -> list[str]:
    return [request["resourceArn"]]


def _find(call: Call, reader: Reader, arn: str) -> Record:
    """Raises InvalidParameterException, ClusterNotFoundException, ResourceNotFoundException."""
    parts = arn.split(":", 5)
    kind, _, rest = parts[-1].partition("/")
    if len(parts) != 6 or parts[2] != "ecs" or kind not in _KINDS or not rest:
        raise invalid(f"Invalid identifier: {arn}. Specify a valid ARN and try again.")
    found = None
    if (parts[3], parts[4]) == (call.region, call.account):
        declared, active = _KINDS[kind]
        found = reader.get(declared, call.account, call.region, last_part(rest) if kind == "task" else rest)
    if found is None or found.meta.arn != arn:
        if kind == "cluster":
            raise queries.no_cluster()
        raise ApiError("ResourceNotFoundException", "The specified resource could not be found.")
    if not active(found):
        raise invalid("The specified resource is inactive. Specify an active resource and try again.")
    return found


def tags_of(call: Call, arn: str) -> Mapping[str, str]:
    """Raises ApiError as _find does."""
    tags: Mapping[str, str] = _find(call, call.store, arn).spec.tags
    return tags


@ops("TagResource", resources=tagged)
async def tag_resource(call: Call, request: Request) -> Answer:
    new = checked(request["tags"])

    def tag(tx: Transaction) -> None:
        found = _find(call, tx, request["resourceArn"])
        tags = {**found.spec.tags, **new}
        if len(tags) > MAX_TAGS:
            raise ApiError("LimitExceededException", f"The number of tags exceeds the limit of {MAX_TAGS}.")
        tx.update(found, spec=replace(found.spec, tags=tags))

    await call.store.transact(tag)
    return {}


@ops("UntagResource", resources=tagged)
async def untag_resource(call: Call, request: Request) -> Answer:
    keys = set(request["tagKeys"])
    if any(key.lower().startswith("aws:") for key in keys):
        raise invalid("Tag keys must not start with aws:, which is reserved for AWS use.")

    def untag(tx: Transaction) -> None:
        found = _find(call, tx, request["resourceArn"])
        left = {k: v for k, v in found.spec.tags.items() if k not in keys}
        tx.update(found, spec=replace(found.spec, tags=left))

    await call.store.transact(untag)
    return {}


@ops("ListTagsForResource", resources=tagged)
async def list_tags_for_resource(call: Call, request: Request) -> Answer:
    return {"tags": tag_list(_find(call, call.store, request["resourceArn"]).spec.tags)}
