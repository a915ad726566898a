"""Tags of scalable targets."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.services.applicationautoscaling.resources import TARGET, TargetR
from havre.store.ports import Reader, Transaction

ops = Operations()
MOST = 50


def _arn(call: Call, request: Request) -> Sequence[str]:
    return (request["ResourceARN"],)


def _get(reader: Reader, request: Request) -> TargetR:
    arn = request["ResourceARN"]
    found = reader.find(TARGET, "arn", arn)
    if not found:
        raise ApiError("ResourceNotFoundException", f"The resource doesn't exist: {arn}", fields={"ResourceName": arn})
    return found[0]


@ops("TagResource", resources=_arn)
async def tag_resource(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = _get(tx, request)
        tags = {**found.spec.tags, **request["Tags"]}
        if len(tags) > MOST:
            raise ApiError("TooManyTagsException", f"A resource can have at most {MOST} tags.")
        tx.update(found, spec=replace(found.spec, tags=tags))

    await call.store.transact(change)
    return {}


@ops("UntagResource", resources=_arn)
async def untag_resource(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = _get(tx, request)
        left = {k: v for k, v in found.spec.tags.items() if k not in request["TagKeys"]}
        tx.update(found, spec=replace(found.spec, tags=left))

    await call.store.transact(change)
    return {}


@ops("ListTagsForResource", resources=_arn)
async def list_tags_for_resource(call: Call, request: Request) -> Answer:
    return {"Tags": dict(_get(call.store, request).spec.tags)}
