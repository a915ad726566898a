"""Rules of listeners."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError, not_built
from havre.kernel.resource import NoStatus
from havre.services.elbv2 import actions, association, conditions, present, queries, tags
from havre.services.elbv2 import resources as r
from havre.services.elbv2.declare import ElbOperations, arns
from havre.services.elbv2.errors import limit, not_permitted, validation
from havre.services.elbv2.paging import page
from havre.store.ports import Transaction

ops = ElbOperations()
MOST = 100


@ops.on("CreateRule", "ListenerArn Conditions Priority Actions Tags", resources=arns("ListenerArn"))
async def create_rule(call: Call, request: Request) -> Answer:
    listener = queries.listener(call, call.store, request["ListenerArn"])
    wanted = conditions.parse(request["Conditions"])
    if not wanted:
        raise validation("A condition must be specified")
    action, priority = actions.parse(request["Actions"]), request["Priority"]
    _check_priority(priority)
    path = f"listener-rule/app/{listener.meta.name}"
    given = await tags.of_creation(call, request, call.arn(f"{path}/*", "elasticloadbalancing"))
    id = call.world.hex(16)

    def change(tx: Transaction) -> r.RuleR:
        listener = queries.listener(call, tx, request["ListenerArn"])
        lb = queries.load_balancer_of(tx, listener)
        assert lb is not None
        if any(rule.spec.priority == priority for rule in queries.rules_of(tx, listener)):
            raise ApiError("PriorityInUse", f"Priority '{priority}' is currently in use")
        if sum(1 for rule in queries.rules_of_balancer(tx, lb) if rule.spec.priority) >= MOST:
            raise limit("TooManyRules", "rules per load balancer", lb.meta.arn)
        association.check(call, tx, lb, action, listener.spec.protocol)
        return tx.create(
            r.RULE,
            account=call.account,
            region=call.region,
            name=f"{listener.meta.name}/{id}",
            arn=call.arn(f"{path}/{id}", "elasticloadbalancing"),
            spec=r.RuleSpec(lb.meta.name, listener.meta.name, priority, wanted, action, given),
            status=NoStatus(),
        )

    return {"Rules": [present.rule(await call.store.transact(change))]}


def _check_priority(priority: int) -> None:
    if not 1 <= priority <= 50000:
        raise validation(f"Priority '{priority}' must be between '1' and '50000'")


@ops.on("DescribeRules", "ListenerArn RuleArns Marker PageSize")
async def describe_rules(call: Call, request: Request) -> Answer:
    wanted = request.get("RuleArns") or ()
    if bool(wanted) == bool(request.get("ListenerArn")):
        raise validation("You must specify either listener rule ARNs or a listener ARN")
    found: Sequence[r.RuleR] = [queries.rule(call, call.store, arn) for arn in wanted]
    if not wanted:
        found = queries.rules_of(call.store, queries.listener(call, call.store, request["ListenerArn"]))
    shown, marker = page(call, request, found, lambda each: each.meta.name)
    return {"Rules": [present.rule(each) for each in shown], "NextMarker": marker}


@ops.on("ModifyRule", "RuleArn Conditions Actions", resources=arns("RuleArn"))
async def modify_rule(call: Call, request: Request) -> Answer:
    wanted = conditions.parse(request["Conditions"]) if request.get("Conditions") else None
    action = actions.parse(request["Actions"]) if request.get("Actions") else None

    def change(tx: Transaction) -> r.RuleR:
        rule = queries.rule(call, tx, request["RuleArn"])
        if rule.spec.priority == 0:
            raise not_permitted(f"Default rule '{rule.meta.arn}' cannot be modified")
        lb = tx.get(r.LOAD_BALANCER, call.account, call.region, rule.spec.balancer)
        assert lb is not None
        if action is not None:
            listener = tx.get(r.LISTENER, call.account, call.region, rule.spec.listener)
            association.check(call, tx, lb, action, listener.spec.protocol if listener is not None else "")
        spec = replace(rule.spec, conditions=wanted or rule.spec.conditions, action=action or rule.spec.action)
        return tx.update(rule, spec=spec)

    return {"Rules": [present.rule(await call.store.transact(change))]}


@ops.on("DeleteRule", "RuleArn", resources=arns("RuleArn"))
async def delete_rule(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        rule = queries.rule(call, tx, request["RuleArn"])
        if rule.spec.priority == 0:
            raise not_permitted(f"Default rule '{rule.meta.arn}' cannot be deleted")
        tx.remove(rule)

    await call.store.transact(change)
    return {}


def _ranked(call: Call, request: Request) -> list[str]:
    return [each.get("RuleArn") or "" for each in request["RulePriorities"]] or ["*"]


@ops.on("SetRulePriorities", "RulePriorities", resources=_ranked)
async def set_rule_priorities(call: Call, request: Request) -> Answer:
    wanted = {each.get("RuleArn") or "": each.get("Priority") or 0 for each in request["RulePriorities"]}
    if not wanted:
        raise validation("At least one rule priority must be specified")
    for priority in wanted.values():
        _check_priority(priority)

    def change(tx: Transaction) -> list[r.RuleR]:
        ranked = [queries.rule(call, tx, arn) for arn in wanted]
        if len({rule.spec.listener for rule in ranked}) > 1:
            raise not_built("elbv2", "SetRulePriorities for rules of several listeners at once")
        for rule in ranked:
            if rule.spec.priority == 0:
                raise not_permitted(f"Default rule '{rule.meta.arn}' cannot be modified")
        _check_free(call, tx, wanted, ranked[0].spec.listener)
        return [tx.update(rule, spec=replace(rule.spec, priority=wanted[rule.meta.arn])) for rule in ranked]

    changed = await call.store.transact(change)
    return {"Rules": [present.rule(rule) for rule in queries.in_order(changed)]}


def _check_free(call: Call, tx: Transaction, wanted: dict[str, int], listener: str) -> None:
    """Raises PriorityInUse when two rules would have the same priority."""
    found = tx.get(r.LISTENER, call.account, call.region, listener)
    others = [rule.spec.priority for rule in queries.rules_of(tx, found)] if found else []
    mine = [rule.spec.priority for rule in queries.rules_of(tx, found) if rule.meta.arn in wanted] if found else []
    taken = set(others) - set(mine)
    for priority in wanted.values():
        if priority in taken:
            raise ApiError("PriorityInUse", f"Priority '{priority}' is currently in use")
        taken.add(priority)
