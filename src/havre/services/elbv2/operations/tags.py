"""Tags of all kinds of resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.control.tags import without
from havre.services.elbv2 import queries, tags, trust
from havre.services.elbv2.declare import ElbOperations, arns
from havre.services.elbv2.errors import validation
from havre.store.ports import Reader, Transaction

ops = ElbOperations()
_FINDERS: dict[str, Callable[[Call, Reader, str], Any]] = {
    "loadbalancer": queries.load_balancer,
    "targetgroup": queries.target_group,
    "listener": queries.listener,
    "listener-rule": queries.rule,
    "truststore": trust.trust_store,
}


def _resource(call: Call, reader: Reader, arn: str) -> Any:
    finder = _FINDERS.get(arn.rpartition(":")[2].partition("/")[0])
    if finder is None:
        raise validation(f"'{arn}' is not a valid ARN")
    return finder(call, reader, arn)


def tags_of(call: Call, arn: str) -> Mapping[str, str]:
    """Raises ApiError as _resource does."""
    found: Mapping[str, str] = _resource(call, call.store, arn).spec.tags
    return found


@ops.on("AddTags", "ResourceArns Tags", resources=arns("ResourceArns"))
async def add_tags(call: Call, request: Request) -> Answer:
    given = tags.given(request["Tags"])
    return await _retag(call, request["ResourceArns"], lambda old: tags.merged(old, given))


@ops.on("RemoveTags", "ResourceArns TagKeys", resources=arns("ResourceArns"))
async def remove_tags(call: Call, request: Request) -> Answer:
    return await _retag(call, request["ResourceArns"], lambda old: without(old, request["TagKeys"]))


async def _retag(call: Call, named: Sequence[str], how: Callable[[dict[str, str]], dict[str, str]]) -> Answer:
    def change(tx: Transaction) -> None:
        for arn in named:
            found = _resource(call, tx, arn)
            tx.update(found, spec=replace(found.spec, tags=how(dict(found.spec.tags))))

    await call.store.transact(change)
    return {}


@ops.on("DescribeTags", "ResourceArns")
async def describe_tags(call: Call, request: Request) -> Answer:
    if len(request["ResourceArns"]) > 20:
        raise validation("You can specify up to 20 resources in a single call")
    found = [(arn, _resource(call, call.store, arn)) for arn in request["ResourceArns"]]
    return {"TagDescriptions": [{"ResourceArn": arn, "Tags": tags.shown(each.spec.tags)} for arn, each in found]}
