"""Schedule groups and their tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.control.tags import without
from havre.kernel.errors import ApiError
from havre.kernel.resource import NoStatus, scoped
from havre.services.scheduler import present
from havre.services.scheduler.errors import conflict, missing, validation
from havre.services.scheduler.paging import page
from havre.services.scheduler.resources import DEFAULT, GROUP, SCHEDULE, Group, GroupRecord
from havre.store.ports import Reader, Transaction

ops = Operations()
MOST_TAGS = 50


def exists(call: Call, reader: Reader, name: str) -> bool:
    return name == DEFAULT or reader.get(GROUP, call.account, call.region, name) is not None


def _arns(call: Call, request: Request) -> Sequence[str]:
    return (present.group_arn(call.account, call.region, str(request["Name"])),)


def _tagged(call: Call, request: Request) -> Sequence[str]:
    return (str(request["ResourceArn"]),)


@ops("CreateScheduleGroup", resources=_arns)
async def create_schedule_group(call: Call, request: Request) -> Answer:
    """With the token of an earlier request, the answer is that one's."""
    name, token = request["Name"], request.get("ClientToken") or ""
    (arn,) = _arns(call, request)
    tags = _merged({}, request.get("Tags") or ())
    if tags:
        await call.authorize("scheduler:TagResource", [arn], {})

    def change(tx: Transaction) -> None:
        found = tx.get(GROUP, call.account, call.region, name)
        if found is not None and token and found.spec.token == token:
            return
        if name == DEFAULT or found is not None:
            raise conflict(f"Schedule group {name} already exists.")
        key = {"account": call.account, "region": call.region, "name": name}
        tx.create(GROUP, **key, arn=arn, spec=Group(tags, token), status=NoStatus())

    await call.store.transact(change)
    return {"ScheduleGroupArn": arn}


@ops("GetScheduleGroup", resources=_arns)
async def get_schedule_group(call: Call, request: Request) -> Answer:
    name = request["Name"]
    if not exists(call, call.store, name):
        raise missing("Schedule group", name)
    return present.group(call.account, call.region, name, call.store.get(GROUP, call.account, call.region, name))


@ops("DeleteScheduleGroup", resources=_arns)
async def delete_schedule_group(call: Call, request: Request) -> Answer:
    """With its schedules."""
    name = request["Name"]
    if name == DEFAULT:
        raise validation("The default schedule group cannot be deleted.")

    def change(tx: Transaction) -> None:
        found = tx.get(GROUP, call.account, call.region, name)
        if found is None:
            raise missing("Schedule group", name)
        for each in tx.find(SCHEDULE, "group", scoped(call.account, call.region, name)):
            tx.remove(each)
        tx.remove(found)

    await call.store.transact(change)
    return {}


@ops("ListScheduleGroups")
async def list_schedule_groups(call: Call, request: Request) -> Answer:
    records: dict[str, GroupRecord | None] = {DEFAULT: None}
    records |= {r.meta.name: r for r in call.store.list(GROUP, call.account, call.region)}
    found = sorted(name for name in records if name.startswith(request.get("NamePrefix") or ""))
    shown, token = page(call, request, found, lambda name: name)
    groups = [present.group(call.account, call.region, name, records[name]) for name in shown]
    return {"ScheduleGroups": groups, "NextToken": token}


# ------------------------------------------------------------------ tags


def _merged(old: Mapping[str, str], given: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    new = {tag["Key"]: tag["Value"] for tag in given}
    if any(key.lower().startswith("aws:") for key in new):
        raise validation("Tag keys that begin with aws: are reserved.")
    result = {**old, **new}
    if len(result) > MOST_TAGS:
        raise ApiError("ServiceQuotaExceededException", f"A resource has at most {MOST_TAGS} tags.")
    return result


def _group_name(call: Call, reader: Reader, arn: str) -> str:
    name = arn.rpartition("/")[2]
    if arn != present.group_arn(call.account, call.region, name) or not exists(call, reader, name):
        raise missing("Resource", arn)
    return name


async def _retag(call: Call, arn: str, how: Callable[[Mapping[str, str]], dict[str, str]]) -> Answer:
    """The default group gets its record when it is first tagged."""

    def change(tx: Transaction) -> None:
        name = _group_name(call, tx, arn)
        found = tx.get(GROUP, call.account, call.region, name)
        if found is not None:
            tx.update(found, spec=replace(found.spec, tags=how(found.spec.tags)))
            return
        key = {"account": call.account, "region": call.region, "name": name}
        tx.create(GROUP, **key, arn=arn, spec=Group(how({})), status=NoStatus())

    await call.store.transact(change)
    return {}


@ops("TagResource", resources=_tagged)
async def tag_resource(call: Call, request: Request) -> Answer:
    return await _retag(call, request["ResourceArn"], lambda old: _merged(old, request["Tags"]))


@ops("UntagResource", resources=_tagged)
async def untag_resource(call: Call, request: Request) -> Answer:
    return await _retag(call, request["ResourceArn"], lambda old: without(old, request["TagKeys"]))


@ops("ListTagsForResource", resources=_tagged)
async def list_tags_for_resource(call: Call, request: Request) -> Answer:
    name = _group_name(call, call.store, request["ResourceArn"])
    found = call.store.get(GROUP, call.account, call.region, name)
    tags = found.spec.tags if found is not None else {}
    return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}
