"""Tags of keys."""

from __future__ import annotations

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.control.tags import without
from havre.services.kms import conditions, labels, paging, queries
from havre.store.ports import Transaction

ops = Operations()


def _asked(call: Call, request: Request) -> conditions.Keys:
    keys = dict(conditions.of_request(call, request))
    if request.get("TagKeys"):
        keys["aws:TagKeys"] = tuple(request["TagKeys"])
    return {**keys, **labels.asked(request.get("Tags") or ())}


@ops("TagResource", resources=queries.about(), conditions=_asked, about=conditions.of_key)
async def tag_resource(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = queries.own(call, tx, request["KeyId"])
        tx.update(found, spec=replace(found.spec, tags=labels.merged(found.spec.tags, request["Tags"])))

    await call.store.transact(change)
    return {}


@ops("UntagResource", resources=queries.about(), conditions=_asked, about=conditions.of_key)
async def untag_resource(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = queries.own(call, tx, request["KeyId"])
        tx.update(found, spec=replace(found.spec, tags=without(found.spec.tags, request["TagKeys"])))

    await call.store.transact(change)
    return {}


@ops("ListResourceTags", resources=queries.about(), conditions=conditions.of_request, about=conditions.of_key)
async def list_tags(call: Call, request: Request) -> Answer:
    found = queries.key(call, call.store, request["KeyId"], alias=False)
    shown, rest = paging.page(call, request, labels.shown(found.spec.tags), lambda tag: tag["TagKey"], 50)
    return {"Tags": shown, **rest}
