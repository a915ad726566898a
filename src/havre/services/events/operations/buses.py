"""Event buses, their permissions, and tags of buses and rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.control.tags import without
from havre.core.policy import PolicyError, parse
from havre.kernel.errors import ApiError, not_built
from havre.kernel.resource import NoStatus, scoped
from havre.services.events import names, present, queries, tags
from havre.services.events.errors import exists, missing, no_bus, validation
from havre.services.events.names import Place, of_arn, of_bus, of_named_bus
from havre.services.events.paging import page
from havre.services.events.resources import ARCHIVE, BUS, DEFAULT, RULE, Bus, BusRecord
from havre.store.ports import Transaction

ops = Operations()
LONGEST_POLICY = 10_240
_ABSENT = ("EventSourceName", "KmsKeyIdentifier")


def _said(request: Request) -> dict[str, str]:
    """Raises ApiError for what is not built."""
    for member in _ABSENT:
        if request.get(member):
            raise not_built("events", f"event buses with {member}")
    if (request.get("LogConfig") or {}).get("Level", "OFF") != "OFF":
        raise not_built("events", "event buses with LogConfig")
    if (request.get("DeadLetterConfig") or {}).get("Arn"):
        raise not_built("events", "event buses with DeadLetterConfig")
    return {"description": request.get("Description") or ""}


@ops("CreateEventBus", resources=of_named_bus)
async def create_event_bus(call: Call, request: Request) -> Answer:
    name, said = request["Name"], _said(request)
    if "/" in name or name == DEFAULT:
        raise (
            exists(f"Event bus {name} already exists.")
            if name == DEFAULT
            else validation("Event bus name must not contain '/'.")
        )
    wanted = tags.given(request.get("Tags") or ())
    place = Place(call.account, call.region, name)
    if wanted:
        await call.authorize("events:TagResource", [place.arn], {})

    def change(tx: Transaction) -> None:
        if tx.get(BUS, *place) is not None:
            raise exists(f"Event bus {name} already exists.")
        key = {"account": place.account, "region": place.region, "name": name}
        tx.create(BUS, **key, arn=place.arn, spec=Bus(**said, tags=wanted), status=NoStatus())

    await call.store.transact(change)
    return {"EventBusArn": place.arn, "Description": said["description"] or None}


@ops("UpdateEventBus", resources=of_named_bus)
async def update_event_bus(call: Call, request: Request) -> Answer:
    said = _said(request)
    place = names.own_bus(call, request.get("Name"), call.store)
    await _change(call, place, lambda old: replace(old, description=said["description"]))
    return {"Arn": place.arn, "Name": place.name, "Description": said["description"] or None}


async def _change(call: Call, place: Place, how: Callable[[Bus], Bus]) -> None:
    """The default bus gets its record when something is first said about it."""

    def change(tx: Transaction) -> None:
        found = tx.get(BUS, *place)
        if found is not None:
            tx.update(found, spec=how(found.spec))
        elif place.name != DEFAULT:
            raise no_bus(place.name)
        else:
            key = {"account": place.account, "region": place.region, "name": place.name}
            tx.create(BUS, **key, arn=place.arn, spec=how(Bus()), status=NoStatus())

    await call.store.transact(change)


@ops("DeleteEventBus", resources=of_named_bus)
async def delete_event_bus(call: Call, request: Request) -> Answer:
    """A bus that is not there is deleted already."""
    place = names.bus_place(call, request["Name"])
    if place.name == DEFAULT:
        raise validation("Cannot delete event bus default.")

    def change(tx: Transaction) -> None:
        found = tx.get(BUS, *place)
        if found is None:
            return
        if tx.count(RULE, "bus", scoped(*place)):
            raise validation("Event bus can't be deleted since it has rules.")
        for each in tx.find(ARCHIVE, "bus", scoped(*place)):
            tx.remove(each)
        tx.remove(found)

    await call.store.transact(change)
    return None


@ops("DescribeEventBus", resources=of_named_bus)
async def describe_event_bus(call: Call, request: Request) -> Answer:
    place = names.own_bus(call, request.get("Name"), call.store)
    return present.bus(place, call.store.get(BUS, *place))


@ops("ListEventBuses")
async def list_event_buses(call: Call, request: Request) -> Answer:
    records: dict[str, BusRecord | None] = {DEFAULT: None}
    records |= {r.meta.name: r for r in call.store.list(BUS, call.account, call.region)}
    prefix = request.get("NamePrefix") or ""
    found = sorted(name for name in records if name.startswith(prefix))
    shown, token = page(call, request, found, lambda name: name)
    buses = [present.bus(Place(call.account, call.region, name), records[name]) for name in shown]
    return {"EventBuses": buses, "NextToken": token}


# ------------------------------------------------------------------ permissions


@ops("PutPermission", resources=of_bus())
async def put_permission(call: Call, request: Request) -> Answer:
    place = names.own_bus(call, request.get("EventBusName"), call.store)
    whole = request.get("Policy")
    statement = None if whole else _statement(request, place)
    if whole:
        _check_policy(whole)

    def add(old: Bus) -> Bus:
        if statement is None:
            return replace(old, policy=str(whole))
        statements = [s for s in _statements(old) if s.get("Sid") != statement["Sid"]]
        return replace(old, policy=_document([*statements, statement]))

    await _change(call, place, add)
    return None


def _statement(request: Request, place: Place) -> dict[str, Any]:
    for member in ("StatementId", "Action", "Principal"):
        if not request.get(member):
            raise validation(f"Parameter {member} is required unless Policy is given.")
    action, principal, condition = request["Action"], request["Principal"], request.get("Condition")
    if action != "events:PutEvents":
        raise validation("Provided value in parameter 'action' is not supported.")
    if principal != "*" and not (len(principal) == 12 and principal.isdigit()):
        raise validation("Provided value in parameter 'principal' is not valid.")
    statement: dict[str, Any] = {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": "*" if principal == "*" else {"AWS": f"arn:aws:iam::{principal}:root"},
        "Action": action,
        "Resource": place.arn,
    }
    if condition:
        if (condition["Type"], condition["Key"]) != ("StringEquals", "aws:PrincipalOrgID"):
            raise validation("Provided value in parameter 'condition' is not supported.")
        statement["Condition"] = {condition["Type"]: {condition["Key"]: condition["Value"]}}
    return statement


def _statements(bus: Bus) -> list[dict[str, Any]]:
    own = json.loads(bus.policy)["Statement"] if bus.policy else []
    return own if isinstance(own, list) else [own]


def _document(statements: list[dict[str, Any]]) -> str:
    if not statements:
        return ""
    text = json.dumps({"Version": "2012-10-17", "Statement": statements})
    _check_policy(text)
    return text


def _check_policy(text: str) -> None:
    if len(text) > LONGEST_POLICY:
        raise ApiError("PolicyLengthExceededException", f"The policy is longer than {LONGEST_POLICY} characters.")
    try:
        parse(text, "resource")
    except PolicyError as error:
        raise validation(f"Parameter Policy is not valid. Reason: {error}") from None


@ops("RemovePermission", resources=of_bus())
async def remove_permission(call: Call, request: Request) -> Answer:
    place = names.own_bus(call, request.get("EventBusName"), call.store)
    every, sid = bool(request.get("RemoveAllPermissions")), request.get("StatementId")
    if not every and not sid:
        raise validation("Parameter StatementId is required unless RemoveAllPermissions is set.")

    def remove(old: Bus) -> Bus:
        if every:
            return replace(old, policy="")
        statements = _statements(old)
        left = [s for s in statements if s.get("Sid") != sid]
        if len(left) == len(statements):
            raise missing("Statement with the provided id does not exist.")
        return replace(old, policy=_document(left))

    await _change(call, place, remove)
    return None


# ------------------------------------------------------------------ tags


Retag = Callable[[Mapping[str, str]], dict[str, str]]


async def _retag(call: Call, arn: str, how: Retag) -> Answer:
    place, rule = _tagged(call, arn)
    if rule is None:
        names.own_bus(call, place.arn, call.store)
        await _change(call, place, lambda old: replace(old, tags=how(old.tags)))
        return {}

    def change(tx: Transaction) -> None:
        found = queries.rule(tx, place, rule)
        tx.update(found, spec=replace(found.spec, tags=how(found.spec.tags)))

    await call.store.transact(change)
    return {}


def _tagged(call: Call, arn: str) -> tuple[Place, str | None]:
    """The bus, and the rule on it if the ARN is a rule's. Raises ApiError."""
    parts = arn.split(":", 5)
    kind, _, name = parts[5].partition("/") if len(parts) == 6 else ("", "", "")
    if len(parts) != 6 or parts[2] != "events" or (parts[3], parts[4]) != (call.region, call.account):
        raise missing(f"Resource {arn[:200]} does not exist.")
    if kind == "event-bus":
        return Place(call.account, call.region, name), None
    if kind != "rule":
        raise missing(f"Resource {arn[:200]} does not exist.")
    bus, slash, rule = name.rpartition("/")
    return Place(call.account, call.region, bus if slash else DEFAULT), rule


def tags_of(call: Call, arn: str) -> Mapping[str, str]:
    """Raises ApiError when there is no such bus or rule."""
    place, rule = _tagged(call, arn)
    if rule is not None:
        return queries.rule(call.store, place, rule).spec.tags
    found = call.store.get(BUS, *place)
    return found.spec.tags if found is not None else {}


@ops("TagResource", resources=of_arn())
async def tag_resource(call: Call, request: Request) -> Answer:
    new = tags.given(request["Tags"])
    return await _retag(call, request["ResourceARN"], lambda old: tags.merged(old, new))


@ops("UntagResource", resources=of_arn())
async def untag_resource(call: Call, request: Request) -> Answer:
    return await _retag(call, request["ResourceARN"], lambda old: without(old, request["TagKeys"]))


@ops("ListTagsForResource", resources=of_arn())
async def list_tags_for_resource(call: Call, request: Request) -> Answer:
    place, rule = _tagged(call, request["ResourceARN"])
    if rule is None:
        names.own_bus(call, place.arn, call.store)
    return {"Tags": tags.shown(tags_of(call, request["ResourceARN"]))}
