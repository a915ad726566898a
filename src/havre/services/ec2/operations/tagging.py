"""CreateTags, DeleteTags, DescribeTags: on every kind of resource that there is here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import Resource
from havre.services.ec2 import errors, filters, find, tags
from havre.services.ec2 import resources as r
from havre.services.ec2.declare import Ec2Operations, arns
from havre.services.ec2.filters import Values
from havre.services.ec2.listing import ACCEPTS
from havre.services.ec2.paging import page
from havre.store.ports import Reader, Transaction

ops = Ec2Operations()
MOST_RESOURCES = 1000
Change = Callable[[Mapping[str, str]], dict[str, str]]


@ops.on("CreateTags", "Resources Tags", resources=arns("Resources"))
async def create_tags(call: Call, request: Request) -> Answer:
    new = tags.pairs(request["Tags"])
    await _change_all(call, request["Resources"], lambda old: tags.merged(old, new))
    return {}


@ops.on("DeleteTags", "Resources Tags", resources=arns("Resources"))
async def delete_tags(call: Call, request: Request) -> Answer:
    """A tag with a value goes only if it has that value; without any tags all go, but AWS's own."""
    asked: Sequence[Mapping[str, Any]] = request.get("Tags", ())

    def goes(key: str, value: str) -> bool:
        if not asked:
            return not key.startswith("aws:")
        return any(each.get("Key") == key and each.get("Value", value) == value for each in asked)

    await _change_all(
        call, request["Resources"], lambda old: {key: value for key, value in old.items() if not goes(key, value)}
    )
    return {}


async def _change_all(call: Call, ids: Sequence[str], change: Change) -> None:
    if len(ids) > MOST_RESOURCES:
        raise errors.invalid("At most 1000 resources can be tagged at a time.")

    def apply(tx: Transaction) -> None:
        for id in dict.fromkeys(ids):
            if id.startswith(errors.RULE.prefix):
                _change_rule(call, tx, id, change)
            else:
                found = _taggable(call, tx, id)
                tx.update(found, spec=replace(found.spec, tags=change(found.spec.tags)))

    await call.store.transact(apply)


def _taggable(call: Call, reader: Reader, id: str) -> Resource[Any, Any]:
    kind = find.KIND_OF_PREFIX.get(id[: id.find("-") + 1])
    if kind is None:
        raise ApiError("InvalidID", f"The ID '{id}' is not valid")
    return find.one(call, reader, kind, id)


def _change_rule(call: Call, tx: Transaction, id: str, change: Change) -> None:
    for group in tx.find(r.GROUP, "rule", id):
        if (group.meta.account, group.meta.region) == (call.account, call.region):
            rules = tuple(replace(x, tags=change(x.tags)) if x.id == id else x for x in group.spec.rules)
            tx.update(group, spec=replace(group.spec, rules=rules))
            return
    raise errors.not_found(errors.RULE, id)


class _Tag(NamedTuple):
    id: str
    type: str
    key: str
    value: str


_FILTERS: dict[str, Values[_Tag]] = {
    "key": lambda t: t.key,
    "resource-id": lambda t: t.id,
    "resource-type": lambda t: t.type,
    "value": lambda t: t.value,
    "tag-key": lambda t: t.key,
    "tag-value": lambda t: t.value,
}


@ops.on("DescribeTags", ACCEPTS)
async def describe_tags(call: Call, request: Request) -> Answer:
    chosen = filters.matching(sorted(_all(call)), request.get("Filters", ()), _FILTERS, lambda t: {t.key: t.value})
    shown, token = page(call, request, chosen, lambda t: f"{t.id}\t{t.type}\t{t.key}")
    return {
        "Tags": [{"ResourceId": t.id, "ResourceType": t.type, "Key": t.key, "Value": t.value} for t in shown],
        "NextToken": token,
    }


def _all(call: Call) -> Iterator[_Tag]:
    for prefix, kind in find.KIND_OF_PREFIX.items():
        type = next(noun.arn for noun in errors.NOUNS if noun.prefix == prefix)
        for resource in call.store.list(kind, call.account, call.region):
            for key, value in resource.spec.tags.items():
                yield _Tag(resource.meta.name, type, key, value)
    for group in call.store.list(r.GROUP, call.account, call.region):
        for rule in group.spec.rules:
            for key, value in rule.tags.items():
                yield _Tag(rule.id, errors.RULE.arn, key, value)
