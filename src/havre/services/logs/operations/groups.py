"""Log groups."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.globs import fits
from havre.kernel.errors import not_built
from havre.kernel.resource import NoStatus, scoped
from havre.services.logs import names, present, queries
from havre.services.logs.errors import group_exists, invalid, protected
from havre.services.logs.paging import page
from havre.services.logs.resources import (
    GROUP,
    METRIC_FILTER,
    POLICY,
    STREAM,
    SUBSCRIPTION,
    Group,
    LogGroup,
    journals,
)
from havre.services.logs.tags import may_tag, merged
from havre.store.ports import Transaction

ops = Operations()
replace = msgspec.structs.replace
CLASSES = ("STANDARD", "INFREQUENT_ACCESS")
DROPPED_AT_ONCE = 200


@ops("CreateLogGroup", resources=names.of_group)
async def create_log_group(call: Call, request: Request) -> Answer:
    name, arn = request["logGroupName"], names.group_arn(call, request["logGroupName"])
    if request.get("kmsKeyId"):
        raise not_built("logs", "CreateLogGroup kmsKeyId")
    group_class = request.get("logGroupClass", "STANDARD")
    if group_class not in CLASSES:
        raise not_built("logs", f"log groups of the class {group_class}")
    if name.lower().startswith("aws/"):
        raise invalid("Log groups starting with AWS/ are reserved for AWS.")
    tags = merged({}, request.get("tags") or {}, arn)
    if tags:
        await may_tag(call, arn)
    protected_too = bool(request.get("deletionProtectionEnabled"))
    spec = LogGroup(call.world.hex(16), group_class=group_class, protected=protected_too, tags=tags)

    def change(tx: Transaction) -> None:
        if tx.get(GROUP, call.account, call.region, name) is not None:
            raise group_exists()
        key = {"account": call.account, "region": call.region, "name": name}
        tx.create(GROUP, **key, arn=arn, spec=spec, status=NoStatus())

    await call.store.transact(change)
    return None


@ops("DeleteLogGroup", resources=names.of_group, conditions=names.conditions)
async def delete_log_group(call: Call, request: Request) -> Answer:
    """The record, its streams' records and its own policy go in one transaction, then the events."""
    name = request["logGroupName"]

    def change(tx: Transaction) -> Sequence[str]:
        found = queries.group(call, name, tx)
        if found.spec.protected:
            raise protected()
        streams = list(tx.find(STREAM, "group", scoped(call.account, call.region, name)))
        for each in streams:
            tx.remove(each)
        for subscription in list(tx.find(SUBSCRIPTION, "group", scoped(call.account, call.region, name))):
            tx.remove(subscription)
        for metric_filter in list(tx.find(METRIC_FILTER, "group", scoped(call.account, call.region, name))):
            tx.remove(metric_filter)
        for policy in tx.list(POLICY, call.account, call.region):
            if policy.spec.resource == found.meta.arn:
                tx.remove(policy)
        tx.remove(found)
        return [each.spec.journal for each in streams]

    gone = await call.store.transact(change)
    for first in range(0, len(gone), DROPPED_AT_ONCE):
        await asyncio.gather(*(call.journal.drop(each) for each in gone[first : first + DROPPED_AT_ONCE]))
    return None


@ops("PutLogGroupDeletionProtection", resources=names.of_group, conditions=names.conditions)
async def put_deletion_protection(call: Call, request: Request) -> Answer:
    name, wanted = names.identified(call, request["logGroupIdentifier"]), request["deletionProtectionEnabled"]

    def change(tx: Transaction) -> None:
        found = queries.group(call, name, tx)
        if found.spec.protected != wanted:
            tx.update(found, spec=replace(found.spec, protected=wanted))

    await call.store.transact(change)
    return None


@ops("DescribeLogGroups", resources=names.of_prefix)
async def describe_log_groups(call: Call, request: Request) -> Answer:
    found = _wanted(call, request)
    shown, token = page(call, request, found, lambda r: r.meta.name)
    groups = []
    for each in shown:
        extents = await call.journal.extents(journals(call.account, call.region, each.spec.uid))
        filters = call.store.count(METRIC_FILTER, "group", scoped(call.account, call.region, each.meta.name))
        groups.append(present.group(each, sum(extent.bytes for extent in extents.values()), filters))
    return {"logGroups": groups, "nextToken": token}


def _wanted(call: Call, request: Request) -> Sequence[Group]:
    prefix, pattern = request.get("logGroupNamePrefix"), request.get("logGroupNamePattern")
    if prefix is not None and pattern is not None:
        raise invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
    identifiers = request.get("logGroupIdentifiers")
    every = _of_accounts(call, request)
    if identifiers is not None:
        if any(request.get(k) is not None for k in ("logGroupNamePrefix", "logGroupNamePattern", "logGroupClass")):
            raise invalid("logGroupIdentifiers can only be combined with includeLinkedAccounts.")
        wanted = {names.identified(call, each) for each in identifiers}
        return [r for r in every if r.meta.name in wanted]
    group_class = request.get("logGroupClass")
    return [
        r
        for r in every
        if r.meta.name.startswith(prefix or "")
        and (pattern or "") in r.meta.name
        and group_class in (None, r.spec.group_class)
    ]


def _of_accounts(call: Call, request: Request) -> Sequence[Group]:
    """An account alone is its own monitoring account: other accounts are not linked, and have nothing to show."""
    accounts = request.get("accountIdentifiers")
    if accounts and not request.get("includeLinkedAccounts"):
        raise invalid("accountIdentifiers is allowed only when includeLinkedAccounts is true.")
    if accounts and call.account not in accounts:
        return ()
    return call.store.list(GROUP, call.account, call.region)


@ops("ListLogGroups", resources=names.of_prefix)
async def list_log_groups(call: Call, request: Request) -> Answer:
    for member in ("dataSources", "fieldIndexNames"):
        if request.get(member):
            raise not_built("logs", f"ListLogGroups {member}")
    pattern, group_class = request.get("logGroupNamePattern"), request.get("logGroupClass")
    named = re.compile(pattern.replace(".", r"\.")).search if pattern else None
    found = [
        r
        for r in _of_accounts(call, request)
        if (named is None or named(r.meta.name))
        and group_class in (None, r.spec.group_class)
        and all(_has_tag(r.spec.tags, wanted) for wanted in request.get("logGroupTags") or ())
    ]
    shown, token = page(call, request, found, lambda r: r.meta.name)
    return {"logGroups": [present.summary(r) for r in shown], "nextToken": token}


def _has_tag(tags: Mapping[str, str], wanted: Mapping[str, Any]) -> bool:
    value, values = tags.get(wanted["key"]), wanted.get("values")
    return value is not None and (not values or any(_is(value, each) for each in values))


def _is(value: str, wanted: str) -> bool:
    """``!`` in front says not; ``*`` stands for anything, and then upper and lower case are the same."""
    if wanted.startswith("!"):
        return not _is(value, wanted[1:])
    if "*" not in wanted:
        return value == wanted
    return fits(value.lower(), wanted.lower().split("*"))
