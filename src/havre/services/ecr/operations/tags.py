"""Tags on repositories."""

from __future__ import annotations

from havre.control.images import Place
from havre.control.images.changes import repository
from havre.control.operation import Answer, Call, Operations, Request
from havre.control.tags import without
from havre.services.ecr import rules
from havre.services.ecr.common import about, place_of_arn
from havre.services.ecr.errors import modelled
from havre.services.ecr.facilities import Facilities
from havre.services.ecr.operations.repositories import update


def _tags(call: Call, where: Place) -> dict[str, str]:
    with modelled():
        return dict(repository(call.store, where).spec.tags)


async def tag(call: Call, request: Request) -> Answer:
    where = place_of_arn(call, request["resourceArn"])
    await update(call, where, tags=rules.tags(request["tags"], _tags(call, where)))
    return {}


async def untag(call: Call, request: Request) -> Answer:
    where = place_of_arn(call, request["resourceArn"])
    await update(call, where, tags=without(_tags(call, where), request["tagKeys"]))
    return {}


async def list_tags(call: Call, request: Request) -> Answer:
    tags = _tags(call, place_of_arn(call, request["resourceArn"]))
    return {"tags": [{"Key": k, "Value": v} for k, v in tags.items()]}


def operations(given: Facilities) -> Operations:
    ops = Operations()
    about(ops, "TagResource")(tag)
    about(ops, "UntagResource")(untag)
    about(ops, "ListTagsForResource")(list_tags)
    return ops
