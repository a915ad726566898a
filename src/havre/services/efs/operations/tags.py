"""Tags of file systems and access points, by the newer and by the older operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Handler, Operations, Request
from havre.control.tags import without
from havre.services.efs import errors, labels, paging, queries
from havre.store.ports import Reader, Transaction

ops = Operations()
How = Callable[[Mapping[str, str]], dict[str, str]]


def _tags(call: Call, reader: Reader, id: str) -> Mapping[str, str]:
    id = queries.bare(id)
    if id.startswith("fsap-"):
        return queries.access_point(call, reader, id).spec.tags
    if not id.startswith("fs-"):
        raise errors.bad(f"Invalid resource id: {id}")
    return queries.file_system(call, reader, id).spec.tags


async def _retag(call: Call, id: str, how: How) -> Answer:
    def change(tx: Transaction) -> None:
        tags = how(_tags(call, tx, id))
        if queries.bare(id).startswith("fsap-"):
            point = queries.access_point(call, tx, id)
            tx.update(point, spec=replace(point.spec, tags=tags))
        else:
            found = queries.file_system(call, tx, id)
            tx.update(found, spec=replace(found.spec, tags=tags))

    await call.store.transact(change)
    return {}


def _adding(member: str) -> Handler:
    async def add(call: Call, request: Request) -> Answer:
        return await _retag(call, request[member], lambda old: labels.merged(old, request["Tags"]))

    return add


def _removing(member: str) -> Handler:
    async def remove(call: Call, request: Request) -> Answer:
        return await _retag(call, request[member], lambda old: without(old, request["TagKeys"]))

    return remove


for _add, _remove, _member in (
    ("TagResource", "UntagResource", "ResourceId"),
    ("CreateTags", "DeleteTags", "FileSystemId"),
):
    ops(_add, resources=queries.about(_member))(_adding(_member))
    ops(_remove, resources=queries.about(_member))(_removing(_member))


@ops("ListTagsForResource", resources=queries.about("ResourceId"))
async def list_tags(call: Call, request: Request) -> Answer:
    found = labels.shown(_tags(call, call.store, request["ResourceId"]))
    shown, following = paging.page(call, request, found, lambda tag: tag["Key"])
    return {"Tags": shown, "NextToken": following}


@ops("DescribeTags", resources=queries.about("FileSystemId"))
async def describe_tags(call: Call, request: Request) -> Answer:
    found = labels.shown(queries.file_system(call, call.store, request["FileSystemId"]).spec.tags)
    shown, following = paging.page(call, request, found, lambda tag: tag["Key"])
    return {"Tags": shown, "NextMarker": following}
