"""Typed reads of the store."""

from __future__ import annotations

from collections.abc import Sequence

from havre.control.nodes import BALANCER, BalancerReport, BalancerSpec
from havre.control.operation import Call
from havre.kernel.arn import Arn
from havre.kernel.balancer import BalancerStatus
from havre.kernel.errors import ApiError
from havre.kernel.resource import Resource, scoped
from havre.services.elbv2.errors import validation
from havre.services.elbv2.resources import (
    LISTENER,
    LOAD_BALANCER,
    RULE,
    TARGET_GROUP,
    ListenerR,
    LoadBalancerR,
    RuleR,
    TargetGroupR,
)
from havre.store.ports import Reader

KIND_NAMES = {
    "loadbalancer": "load balancer",
    "targetgroup": "target group",
    "listener": "listener",
    "listener-rule": "listener rule",
    "truststore": "trust store",
}


def key_of(call: Call, arn: str, kind: str, missing: str) -> str:
    """The resource's name from its ARN; ``missing`` is the error code for those of other accounts and regions."""
    try:
        parsed = Arn.parse(arn)
        prefix, _, rest = parsed.resource.partition("/")
    except ValueError:
        raise validation(f"'{arn}' is not a valid {KIND_NAMES[kind]} ARN") from None
    if parsed.service != "elasticloadbalancing" or prefix != kind or not rest:
        raise validation(f"'{arn}' is not a valid {KIND_NAMES[kind]} ARN")
    if (parsed.account, parsed.region) != (call.account, call.region):
        raise ApiError(missing, _missing(kind, arn))
    return rest if kind in ("targetgroup", "truststore") else rest.partition("/")[2]


def _missing(kind: str, arn: str) -> str:
    if kind == "targetgroup":
        return f"Target groups '{arn}' not found"
    return f"{KIND_NAMES[kind].capitalize() if kind != 'loadbalancer' else 'Load balancer'} '{arn}' not found"


def load_balancer(call: Call, reader: Reader, arn: str) -> LoadBalancerR:
    key = key_of(call, arn, "loadbalancer", "LoadBalancerNotFound")
    found = reader.get(LOAD_BALANCER, call.account, call.region, key)
    if found is None or found.meta.deleting or found.meta.arn != arn:
        raise ApiError("LoadBalancerNotFound", _missing("loadbalancer", arn))
    return found


def target_group(call: Call, reader: Reader, arn: str) -> TargetGroupR:
    key = key_of(call, arn, "targetgroup", "TargetGroupNotFound")
    found = reader.get(TARGET_GROUP, call.account, call.region, key)
    if found is None:
        raise ApiError("TargetGroupNotFound", _missing("targetgroup", arn))
    return found


def listener(call: Call, reader: Reader, arn: str) -> ListenerR:
    key = key_of(call, arn, "listener", "ListenerNotFound")
    found = reader.get(LISTENER, call.account, call.region, key)
    if found is None or found.meta.arn != arn:
        raise ApiError("ListenerNotFound", _missing("listener", arn))
    return found


def rule(call: Call, reader: Reader, arn: str) -> RuleR:
    key = key_of(call, arn, "listener-rule", "RuleNotFound")
    found = reader.get(RULE, call.account, call.region, key)
    if found is None or found.meta.arn != arn:
        raise ApiError("RuleNotFound", f"One or more rules not found: '{arn}'")
    return found


def load_balancers(call: Call, reader: Reader) -> Sequence[LoadBalancerR]:
    return [r for r in reader.list(LOAD_BALANCER, call.account, call.region) if not r.meta.deleting]


def listeners_of(reader: Reader, lb: LoadBalancerR) -> Sequence[ListenerR]:
    return reader.find(LISTENER, "balancer", scoped(lb.meta.account, lb.meta.region, lb.meta.name))


def rules_of(reader: Reader, listener: ListenerR) -> list[RuleR]:
    """In the order in which they are tried: by priority, the default one last."""
    found = reader.find(RULE, "listener", scoped(listener.meta.account, listener.meta.region, listener.meta.name))
    return in_order(found)


def in_order(rules: Sequence[RuleR]) -> list[RuleR]:
    return sorted(rules, key=lambda r: r.spec.priority or 1 << 20)


def default_rule(reader: Reader, listener: ListenerR) -> RuleR:
    return rules_of(reader, listener)[-1]


def rules_of_balancer(reader: Reader, lb: LoadBalancerR) -> Sequence[RuleR]:
    return reader.find(RULE, "balancer", scoped(lb.meta.account, lb.meta.region, lb.meta.name))


def used_by(reader: Reader, group: TargetGroupR) -> list[str]:
    """Names of the load balancers whose rules name this group: one at most, by TargetGroupAssociationLimit."""
    return sorted({rule.spec.balancer for rule in reader.find(RULE, "group", group.meta.arn)})


def balancer_arn(reader: Reader, like: TargetGroupR, name: str) -> str:
    found = reader.get(LOAD_BALANCER, like.meta.account, like.meta.region, name)
    return found.meta.arn if found else ""


def on_node(reader: Reader, lb: LoadBalancerR) -> Resource[BalancerSpec, BalancerReport] | None:
    """What a node runs for this load balancer, and what it said last."""
    return reader.get(BALANCER, lb.meta.account, lb.meta.region, node_name(lb))


def report_on(reader: Reader, group: TargetGroupR) -> tuple[bool, BalancerStatus | None]:
    """(whether a load balancer uses this group, what the node said last of that load balancer)"""
    balancers = used_by(reader, group)
    node = None
    for name in balancers:
        lb = reader.get(LOAD_BALANCER, group.meta.account, group.meta.region, name)
        node = on_node(reader, lb) if lb else None
    return bool(balancers), node.status.report if node else None


def node_name(lb: LoadBalancerR) -> str:
    return f"{lb.spec.name}-{lb.spec.id}"


def load_balancer_of(reader: Reader, listener: ListenerR) -> LoadBalancerR | None:
    return reader.get(LOAD_BALANCER, listener.meta.account, listener.meta.region, listener.spec.balancer)
