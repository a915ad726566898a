"""Tags of certificates, by the older and by the newer operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.control.tags import without
from havre.services.acm import labels, present, queries
from havre.store.ports import Transaction

ops = Operations()


async def _retag(call: Call, arn: str, how: Callable[[Mapping[str, str]], dict[str, str]]) -> Answer:
    def change(tx: Transaction) -> None:
        found = queries.certificate(call, tx, arn)
        tx.update(found, spec=replace(found.spec, tags=how(found.spec.tags)))

    await call.store.transact(change)
    return {}


def _listed(call: Call, arn: str) -> Answer:
    return {"Tags": present.tags(queries.certificate(call, call.store, arn).spec.tags)}


@ops("AddTagsToCertificate", resources=queries.about())
async def add_tags(call: Call, request: Request) -> Answer:
    return await _retag(call, request["CertificateArn"], lambda old: labels.merged(old, request["Tags"]))


@ops("RemoveTagsFromCertificate", resources=queries.about())
async def remove_tags(call: Call, request: Request) -> Answer:
    """A tag with a value goes only if it has that value."""
    gone = {tag["Key"]: tag.get("Value") for tag in request["Tags"]}

    def how(old: Mapping[str, str]) -> dict[str, str]:
        return {k: v for k, v in old.items() if k not in gone or gone[k] not in (None, v)}

    return await _retag(call, request["CertificateArn"], how)


@ops("ListTagsForCertificate", resources=queries.about())
async def list_tags(call: Call, request: Request) -> Answer:
    return _listed(call, request["CertificateArn"])


@ops("TagResource", action="acm:AddTagsToCertificate", resources=queries.about("ResourceArn"))
async def tag_resource(call: Call, request: Request) -> Answer:
    return await _retag(call, request["ResourceArn"], lambda old: labels.merged(old, request["Tags"]))


@ops("UntagResource", action="acm:RemoveTagsFromCertificate", resources=queries.about("ResourceArn"))
async def untag_resource(call: Call, request: Request) -> Answer:
    return await _retag(call, request["ResourceArn"], lambda old: without(old, request["TagKeys"]))


@ops("ListTagsForResource", action="acm:ListTagsForCertificate", resources=queries.about("ResourceArn"))
async def list_tags_for_resource(call: Call, request: Request) -> Answer:
    return _listed(call, request["ResourceArn"])
