"""Tags of functions, code signing configurations, event source mappings and capacity providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.arn import Arn
from havre.kernel.resource import Kind
from havre.services.lambda_ import queries
from havre.services.lambda_.conditions import Conditions, tag_conditions
from havre.services.lambda_.declare import LambdaOperations
from havre.services.lambda_.errors import absent, invalid, not_found
from havre.services.lambda_.resources import CAPACITY, CODE_SIGNING, MAPPING
from havre.services.lambda_.rules.values import merged_tags
from havre.store.ports import Reader, Transaction

ops = LambdaOperations()
_KINDS: Mapping[str, Kind[Any, Any]] = {"code-signing-config": CODE_SIGNING, "capacity-provider": CAPACITY}


def _arns(call: Call, request: Request) -> Sequence[str]:
    return (request["Resource"],)


def tagged(reader: Reader, call: Call, arn: str) -> Any:
    """The record with this ARN. Raises ApiError."""
    parsed = Arn.parse(arn)
    if parsed.kind == "function":
        if ":" in parsed.name:
            raise invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
        return queries.function(reader, call.account, call.region, arn)
    if parsed.kind == "network-connector":
        raise absent(f"tags of a {parsed.kind}")
    kind = _KINDS.get(parsed.kind, MAPPING)
    found = reader.get(kind, parsed.account, parsed.region, parsed.name)
    if found is None:
        raise not_found("The resource you requested does not exist.")
    return found


async def _retag(call: Call, request: Request, how: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
    revision = call.world.uuid()

    def change(tx: Transaction) -> None:
        found = tagged(tx, call, request["Resource"])
        spec = replace(found.spec, tags=how(found.spec.tags))
        if hasattr(spec, "revision"):
            spec = replace(spec, revision=revision)
        tx.update(found, spec=spec)

    await call.store.transact(change)


@ops.on(
    "TagResource",
    "Resource Tags",
    resources=_arns,
    conditions=lambda call, request: tag_conditions(request["Tags"]),
)
async def tag_resource(call: Call, request: Request) -> Answer:
    if not request["Tags"]:
        raise invalid("An error occurred and the request cannot be processed.")
    await _retag(call, request, lambda old: merged_tags(old, request["Tags"]))
    return {}


def _keys(call: Call, request: Request) -> Conditions:
    return {"aws:TagKeys": list(request["TagKeys"])}


@ops.on("UntagResource", "Resource TagKeys", resources=_arns, conditions=_keys)
async def untag_resource(call: Call, request: Request) -> Answer:
    keys = set(request["TagKeys"])
    await _retag(call, request, lambda old: {k: v for k, v in old.items() if k not in keys})
    return {}


@ops.on("ListTags", "Resource", resources=_arns)
async def list_tags(call: Call, request: Request) -> Answer:
    return {"Tags": dict(tagged(call.store, call, request["Resource"]).spec.tags)}
