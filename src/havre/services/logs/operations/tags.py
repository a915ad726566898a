"""Tags on log groups, by the operations of today and by those of old."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from havre.control.operation import Answer, Call, Operations, Request
from havre.control.tags import without
from havre.kernel.errors import ApiError
from havre.services.logs import names, queries
from havre.services.logs.errors import invalid, no_group
from havre.services.logs.tags import merged
from havre.store.ports import Transaction

ops = Operations()
Change = Callable[[Mapping[str, str]], dict[str, str]]


def _of_arn(call: Call, request: Request) -> Sequence[str]:
    return (request["resourceArn"],)


def _named(call: Call, request: Request) -> str:
    """The log group of ``resourceArn``. Raises ApiError for what is none here."""
    arn = request["resourceArn"]
    name = names.tagged_name(arn)
    if name is None:
        if ":destination:" in arn or ":delivery" in arn:
            raise ApiError("ResourceNotFoundException", "The specified resource does not exist.")
        raise invalid(f"1 validation error detected: '{arn}' is not the ARN of a resource of CloudWatch Logs")
    if names.group_arn(call, name) != arn.removesuffix(":*"):
        raise no_group()
    return name


async def _change(call: Call, name: str, change: Change) -> None:
    def write(tx: Transaction) -> None:
        found = queries.group(call, name, tx)
        tags = change(found.spec.tags)
        if tags != found.spec.tags:
            tx.update(found, spec=msgspec.structs.replace(found.spec, tags=tags))

    await call.store.transact(write)


@ops("TagResource", resources=_of_arn, conditions=names.conditions)
async def tag_resource(call: Call, request: Request) -> Answer:
    name = _named(call, request)
    await _change(call, name, lambda old: merged(old, request["tags"], names.group_arn(call, name)))
    return None


@ops("UntagResource", resources=_of_arn, conditions=names.conditions)
async def untag_resource(call: Call, request: Request) -> Answer:
    await _change(call, _named(call, request), lambda old: without(old, request["tagKeys"]))
    return None


@ops("ListTagsForResource", resources=_of_arn, conditions=names.conditions)
async def list_tags_for_resource(call: Call, request: Request) -> Answer:
    return {"tags": dict(queries.group(call, _named(call, request)).spec.tags)}


@ops("TagLogGroup", resources=names.of_group, conditions=names.conditions)
async def tag_log_group(call: Call, request: Request) -> Answer:
    name = request["logGroupName"]
    await _change(call, name, lambda old: merged(old, request["tags"], names.group_arn(call, name)))
    return None


@ops("UntagLogGroup", resources=names.of_group, conditions=names.conditions)
async def untag_log_group(call: Call, request: Request) -> Answer:
    await _change(call, request["logGroupName"], lambda old: without(old, request["tags"]))
    return None


@ops("ListTagsLogGroup", resources=names.of_group, conditions=names.conditions)
async def list_tags_log_group(call: Call, request: Request) -> Answer:
    return {"tags": dict(queries.group(call, request["logGroupName"]).spec.tags)}
