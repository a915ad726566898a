"""Rules."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.control.roles import may_pass
from havre.kernel.resource import scoped
from havre.services.events import names, present, queries, rules, tags
from havre.services.events.courier import PRINCIPAL
from havre.services.events.errors import limit, validation
from havre.services.events.names import of_bus, of_rule
from havre.services.events.paging import page
from havre.services.events.resources import DISABLED, ENABLED, RULE, Rule, RuleStatus, rule_name
from havre.store.ports import Transaction

ops = Operations()


@ops("PutRule", resources=of_rule("Name"))
async def put_rule(call: Call, request: Request) -> Answer:
    """Makes a rule, or says anew what one is: what is not said is gone, but for its targets and tags."""
    place = names.own_bus(call, request.get("EventBusName"), call.store)
    name = request["Name"]
    arn = place.rule_arn(name)
    spec = await _said(call, request, place)

    def change(tx: Transaction) -> None:
        names.own_bus(call, request.get("EventBusName"), tx)
        found = tx.get(RULE, place.account, place.region, rule_name(place.name, name))
        if found is None:
            _may_have_one_more(tx, place)
            key = {"account": place.account, "region": place.region, "name": rule_name(place.name, name)}
            tx.create(RULE, **key, arn=arn, spec=spec, status=RuleStatus())
            return
        old = found.spec
        started = old.started if (old.schedule, old.state) == (spec.schedule, spec.state) else spec.started
        kept = replace(spec, tags=old.tags, targets=old.targets, created_by=old.created_by, started=started)
        tx.update(found, spec=kept)

    await call.store.transact(change)
    return {"RuleArn": arn}


async def _said(call: Call, request: Request, place: names.Place) -> Rule:
    """Raises ApiError."""
    pattern, schedule = request.get("EventPattern"), request.get("ScheduleExpression")
    if not pattern and not schedule:
        raise validation("Parameter(s) EventPattern or ScheduleExpression must be specified.")
    if pattern:
        rules.check_pattern(pattern)
    if schedule:
        rules.check_schedule(schedule, place.name)
    if request.get("RoleArn"):
        await may_pass(call, request["RoleArn"], PRINCIPAL)
    wanted = tags.given(request.get("Tags") or ())
    if wanted:
        await call.authorize("events:TagResource", [place.rule_arn(request["Name"])], {})
    return Rule(
        place.name,
        request["Name"],
        pattern or "",
        schedule or "",
        request.get("State") or ENABLED,
        request.get("Description") or "",
        request.get("RoleArn") or "",
        call.account,
        call.now,
        wanted,
    )


def _may_have_one_more(tx: Transaction, place: names.Place) -> None:
    if tx.count(RULE, "bus", scoped(*place)) >= rules.MOST_RULES:
        raise limit("The requested resource exceeds the maximum number allowed.")


@ops("DeleteRule", resources=of_rule("Name"))
async def delete_rule(call: Call, request: Request) -> Answer:
    """A rule that is not there is deleted already."""

    def change(tx: Transaction) -> None:
        place = names.own_bus(call, request.get("EventBusName"), tx)
        found = tx.get(RULE, place.account, place.region, rule_name(place.name, request["Name"]))
        if found is None:
            return
        if found.spec.targets:
            raise validation("Rule can't be deleted since it has targets.")
        tx.remove(found)

    await call.store.transact(change)
    return None


@ops("DescribeRule", resources=of_rule("Name"))
async def describe_rule(call: Call, request: Request) -> Answer:
    place = names.own_bus(call, request.get("EventBusName"), call.store)
    found = queries.rule(call.store, place, request["Name"])
    return {**present.rule(found), "CreatedBy": found.spec.created_by}


@ops("ListRules", resources=of_bus())
async def list_rules(call: Call, request: Request) -> Answer:
    place = names.own_bus(call, request.get("EventBusName"), call.store)
    prefix = request.get("NamePrefix") or ""
    found = [r for r in queries.rules(call.store, place) if r.spec.rule.startswith(prefix)]
    shown, token = page(call, request, found, lambda r: r.spec.rule)
    return {"Rules": [present.rule(r) for r in shown], "NextToken": token}


async def _switch(call: Call, request: Request, state: str) -> Answer:
    def change(tx: Transaction) -> None:
        place = names.own_bus(call, request.get("EventBusName"), tx)
        found = queries.rule(tx, place, request["Name"])
        if found.spec.state != state:
            tx.update(found, spec=replace(found.spec, state=state, started=call.now))

    await call.store.transact(change)
    return None


@ops("EnableRule", resources=of_rule("Name"))
async def enable_rule(call: Call, request: Request) -> Answer:
    return await _switch(call, request, ENABLED)


@ops("DisableRule", resources=of_rule("Name"))
async def disable_rule(call: Call, request: Request) -> Answer:
    return await _switch(call, request, DISABLED)


@ops("ListRuleNamesByTarget", resources=of_bus())
async def list_rule_names_by_target(call: Call, request: Request) -> Answer:
    place = names.own_bus(call, request.get("EventBusName"), call.store)
    value = scoped(place.account, place.region, f"{place.name}/{request['TargetArn']}")
    found: list[Any] = list(call.store.find(RULE, "target", value))
    shown, token = page(call, request, found, lambda r: r.spec.rule)
    return {"RuleNames": [r.spec.rule for r in shown], "NextToken": token}
