"""Records → what a node is told to run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from havre.control.certificates.records import KeyPairR
from havre.kernel.balancer import (
    Balancer,
    BalancerAction,
    BalancerCondition,
    BalancerHealthCheck,
    BalancerListener,
    BalancerMutual,
    BalancerPool,
    BalancerRule,
    BalancerTarget,
    BalancerTls,
)
from havre.services.elbv2 import attributes
from havre.services.elbv2.resources import (
    FUNCTION,
    Action,
    Condition,
    HealthCheckSpec,
    ListenerR,
    LoadBalancerR,
    Mutual,
    RuleR,
    Target,
    TargetGroupR,
    TrustStoreR,
)
from havre.services.elbv2.tls import POLICIES


class Secrets(msgspec.Struct, frozen=True):
    """What listeners present and trust: key pairs by the ARN of their certificate, trust stores by theirs."""

    pairs: Mapping[str, KeyPairR]
    stores: Mapping[str, TrustStoreR]


def balancer(
    id: str,
    lb: LoadBalancerR,
    listeners: Sequence[tuple[ListenerR, Sequence[RuleR]]],
    groups: Mapping[str, TargetGroupR],
    instances: Mapping[str, str],
    secrets: Secrets,
) -> Balancer:
    """``groups`` by ARN: those that a rule names. ``instances``: EC2 instance id → address of the node."""
    spec, known = lb.spec, attributes.APPLICATION
    return Balancer(
        id=id,
        dns_name=spec.dns_name,
        vpc=spec.vpc,
        addresses=tuple((i.subnet, i.address) for i in lb.status.interfaces),
        host_address=spec.host_address,
        security_groups=spec.security_groups,
        listeners=tuple(replace(_listener(each, rules, groups), **_tls(each, secrets)) for each, rules in listeners),
        pools=tuple(_pool(groups[arn], instances) for arn in sorted(groups)),
        idle_timeout=float(attributes.value(known, spec.attributes, "idle_timeout.timeout_seconds")),
        kind=spec.type,
        attributes=dict(spec.attributes),
    )


def _listener(listener: ListenerR, rules: Iterable[RuleR], groups: Mapping[str, TargetGroupR]) -> BalancerListener:
    compiled = tuple(
        BalancerRule(
            rule.meta.name.rpartition("/")[2],
            tuple(_condition(c) for c in rule.spec.conditions),
            _action(rule.spec.action, groups),
        )
        for rule in rules
    )
    id, spec = listener.meta.name.rpartition("/")[2], listener.spec
    named = attributes.value(attributes.LISTENER, spec.attributes, attributes.SERVER) == "true"
    headers = attributes.inserted(spec.attributes)
    return BalancerListener(id, spec.port, spec.protocol, compiled, headers=headers, nameless=not named)


def _tls(listener: ListenerR, secrets: Secrets) -> dict[str, Any]:
    """The default certificate first, each once."""
    spec = listener.spec
    if spec.protocol != "HTTPS":
        return {}
    pairs = secrets.pairs
    arns = dict.fromkeys((spec.certificate, *spec.more_certificates))
    found = [pairs[arn].spec for arn in arns if arn in pairs and pairs[arn].spec.certificate]
    policy = POLICIES[spec.policy]
    protection = BalancerTls(policy.protocols[0], policy.protocols[-1], policy.ciphers, policy.suites)
    names = tuple(dict.fromkeys(name for pair in found for name in pair.names))
    made = {"certificates": tuple(pair.bundle for pair in found), "tls": protection, "names": names}
    return {**made, "mutual": _mutual(spec.mutual, secrets.stores)} if spec.mutual is not None else made


def _mutual(mutual: Mutual, stores: Mapping[str, TrustStoreR]) -> BalancerMutual:
    """Without its trust store, a listener trusts nobody."""
    store = stores.get(mutual.trust_store)
    if store is None:
        return BalancerMutual(mutual.mode)
    revoked = tuple(each.text for each in store.spec.revocations)
    return BalancerMutual(mutual.mode, store.spec.authorities, revoked, mutual.ignore_expiry, mutual.advertise)


def _condition(condition: Condition) -> BalancerCondition:
    if condition.field == "query-string":
        return BalancerCondition(condition.field, tuple(f"{key}={value}" for key, value in condition.values))
    return BalancerCondition(condition.field, tuple(value for value, _ in condition.values), condition.header)


def _action(action: Action, groups: Mapping[str, TargetGroupR]) -> BalancerAction:
    if action.kind == "forward":
        pools = tuple((groups[arn].spec.pool, weight) for arn, weight in action.groups if arn in groups)
        return BalancerAction("forward", pools, action.sticky)
    if action.kind == "redirect":
        to = {key.lower(): value for key, value in action.redirect.items()}
        return BalancerAction("redirect", redirect=to, status=int(action.status.removeprefix("HTTP_")))
    return BalancerAction(
        "fixed-response", status=int(action.status), content_type=action.content_type, body=action.body or ""
    )


def _pool(group: TargetGroupR, instances: Mapping[str, str]) -> BalancerPool:
    spec, known = group.spec, attributes.GROUP
    if spec.target_type == FUNCTION:
        return BalancerPool(spec.pool, spec.protocol, function=group.meta.arn)

    def value(key: str) -> str:
        return attributes.value(known, spec.attributes, key)

    kind = value("stickiness.type")
    sticky = int(value(f"stickiness.{kind}.duration_seconds")) if value("stickiness.enabled") == "true" else 0
    return BalancerPool(
        id=spec.pool,
        protocol=spec.protocol,
        targets=tuple(t for target in spec.targets if (t := _target(target, spec.target_type, instances))),
        health_check=_check(spec.check, spec.protocol_version),
        algorithm=value("load_balancing.algorithm.type"),
        sticky=sticky,
        sticky_cookie=value("stickiness.app_cookie.cookie_name") if kind == "app_cookie" else "",
        deregistration_delay=float(value("deregistration_delay.timeout_seconds")),
        slow_start=float(value("slow_start.duration_seconds")),
        version=spec.protocol_version,
    )


def _target(target: Target, kind: str, instances: Mapping[str, str]) -> BalancerTarget | None:
    address = instances.get(target.id) if kind == "instance" else target.id
    if not address:
        return None
    vpc = target.vpc if kind == "ip" else ""
    return BalancerTarget(target.key, address, target.port, vpc, draining=target.draining is not None)


def _check(check: HealthCheckSpec, version: str) -> BalancerHealthCheck:
    return BalancerHealthCheck(
        protocol=check.protocol,
        path=check.path,
        port=0 if check.port == "traffic-port" else int(check.port),
        interval=float(check.interval),
        timeout=float(check.timeout),
        healthy=check.healthy,
        unhealthy=check.unhealthy,
        matcher=check.matcher,
        version=version,
    )
