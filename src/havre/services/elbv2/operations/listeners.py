"""Listeners. The default actions of a listener are its default rule's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.certificates.records import hold
from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError, not_built
from havre.kernel.resource import NoStatus
from havre.services.elbv2 import actions, association, attributes, present, queries, tags, tls, trust
from havre.services.elbv2 import resources as r
from havre.services.elbv2.declare import ElbOperations, arns
from havre.services.elbv2.errors import limit, validation
from havre.services.elbv2.paging import page
from havre.store.ports import Transaction

ops = ElbOperations()
MOST = 50


@ops.on(
    "CreateListener",
    "LoadBalancerArn Protocol Port DefaultActions Tags SslPolicy Certificates MutualAuthentication",
    resources=arns("LoadBalancerArn"),
)
async def create_listener(call: Call, request: Request) -> Answer:
    lb = queries.load_balancer(call, call.store, request["LoadBalancerArn"])
    for member, called in (("Protocol", "protocol"), ("Port", "port")):
        if not request.get(member):
            raise validation(f"A listener {called} must be specified")
    _check_protocol(request, request["Protocol"])
    secure = _secure(request)
    action = actions.parse(request["DefaultActions"])
    path = f"app/{lb.meta.name}"
    given = await tags.of_creation(call, request, call.arn(f"listener/{path}/*", "elasticloadbalancing"))
    id, rule_id = call.world.hex(16), call.world.hex(16)

    def change(tx: Transaction) -> r.ListenerR:
        lb = queries.load_balancer(call, tx, request["LoadBalancerArn"])
        _check_port(tx, lb, request["Port"])
        association.check(call, tx, lb, action, request["Protocol"])
        if secure:
            tls.check_certificate(call, tx, secure["certificate"])
            _check_trust(call, tx, secure["mutual"])
        where = {"account": call.account, "region": call.region}
        listener = tx.create(
            r.LISTENER,
            **where,
            name=f"{lb.meta.name}/{id}",
            arn=call.arn(f"listener/{path}/{id}", "elasticloadbalancing"),
            spec=r.ListenerSpec(lb.meta.name, request["Port"], request["Protocol"], given, **secure),
            status=NoStatus(),
        )
        _hold(tx, lb, listener)
        tx.create(
            r.RULE,
            **where,
            name=f"{listener.meta.name}/{rule_id}",
            arn=call.arn(f"listener-rule/{path}/{id}/{rule_id}", "elasticloadbalancing"),
            spec=r.RuleSpec(lb.meta.name, listener.meta.name, 0, (), action),
            status=NoStatus(),
        )
        return listener

    made = await call.store.transact(change)
    return {"Listeners": [present.listener(call.store, made)]}


def _check_protocol(request: Request, protocol: str) -> None:
    if protocol not in ("HTTP", "HTTPS"):
        raise validation(f"Listener protocol '{protocol}' must be one of 'HTTP, HTTPS'")
    if protocol == "HTTP" and (request.get("SslPolicy") or request.get("Certificates")):
        raise validation("A certificate or an SSL policy cannot be specified for HTTP listeners")
    if protocol == "HTTP" and tls.mutual(request.get("MutualAuthentication") or {}) is not None:
        raise validation("Mutual authentication cannot be specified for HTTP listeners")


def _secure(request: Request) -> dict[str, Any]:
    """Policy and default certificate of an HTTPS listener that is made; nothing of another."""
    if request.get("Protocol") != "HTTPS":
        return {}
    certificate = tls.default_certificate(request.get("Certificates") or ())
    policy = tls.check_policy(request.get("SslPolicy") or "")
    return {
        "policy": policy,
        "certificate": certificate,
        "mutual": tls.mutual(request.get("MutualAuthentication") or {}),
    }


def _check_trust(call: Call, tx: Transaction, mutual: r.Mutual | None) -> None:
    if mutual is not None and mutual.trust_store:
        trust.trust_store(call, tx, mutual.trust_store)


def _hold(tx: Transaction, lb: r.LoadBalancerR, listener: r.ListenerR) -> None:
    """ACM learns what uses its certificates."""
    arns = {listener.spec.certificate, *listener.spec.more_certificates} - {""}
    hold(tx, listener.meta.arn, lb.meta.arn, arns)


def _check_port(tx: Transaction, lb: r.LoadBalancerR, port: int, but: str = "") -> None:
    others = [each for each in queries.listeners_of(tx, lb) if each.meta.name != but]
    if any(each.spec.port == port for each in others):
        raise ApiError(
            "DuplicateListener", f"A listener already exists on this port for this load balancer '{lb.meta.arn}'"
        )
    if len(others) >= MOST:
        raise limit("TooManyListeners", "listeners per load balancer", lb.meta.arn)


@ops.on("DescribeListeners", "LoadBalancerArn ListenerArns Marker PageSize")
async def describe_listeners(call: Call, request: Request) -> Answer:
    wanted = request.get("ListenerArns") or ()
    if bool(wanted) == bool(request.get("LoadBalancerArn")):
        raise validation("You must specify either listener ARNs or a load balancer ARN")
    found: Sequence[r.ListenerR] = [queries.listener(call, call.store, arn) for arn in wanted]
    if not wanted:
        lb = queries.load_balancer(call, call.store, request["LoadBalancerArn"])
        found = sorted(queries.listeners_of(call.store, lb), key=lambda each: each.meta.name)
    shown, marker = page(call, request, found, lambda each: each.meta.name)
    return {"Listeners": [present.listener(call.store, each) for each in shown], "NextMarker": marker}


@ops.on("DeleteListener", "ListenerArn", resources=arns("ListenerArn"))
async def delete_listener(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        listener = queries.listener(call, tx, request["ListenerArn"])
        for rule in queries.rules_of(tx, listener):
            tx.remove(rule)
        hold(tx, listener.meta.arn, "", ())
        tx.remove(listener)

    await call.store.transact(change)
    return {}


@ops.on(
    "ModifyListener",
    "ListenerArn Port Protocol DefaultActions SslPolicy Certificates MutualAuthentication",
    resources=arns("ListenerArn"),
)
async def modify_listener(call: Call, request: Request) -> Answer:
    action = actions.parse(request["DefaultActions"]) if request.get("DefaultActions") else None
    if request.get("Protocol"):
        _check_protocol(request, request["Protocol"])

    def change(tx: Transaction) -> r.ListenerR:
        listener = queries.listener(call, tx, request["ListenerArn"])
        lb = queries.load_balancer_of(tx, listener)
        assert lb is not None
        port = request.get("Port") or listener.spec.port
        _check_port(tx, lb, port, but=listener.meta.name)
        protocol = request.get("Protocol") or listener.spec.protocol
        if action is not None:
            rule = queries.default_rule(tx, listener)
            tx.update(rule, spec=replace(rule.spec, action=action))
        for rule in queries.rules_of(tx, listener):
            association.check(call, tx, lb, rule.spec.action, protocol)
        changed = tx.update(listener, spec=_modified(call, tx, listener.spec, request, port))
        _hold(tx, lb, changed)
        return changed

    made = await call.store.transact(change)
    return {"Listeners": [present.listener(call.store, made)]}


def _modified(call: Call, tx: Transaction, old: r.ListenerSpec, request: Request, port: int) -> r.ListenerSpec:
    """What becomes of protocol, policy and certificates; those that are not named stay, and go when it turns to HTTP."""
    protocol = request.get("Protocol") or old.protocol
    if protocol == "HTTP":
        _check_protocol(request, protocol)
        return replace(old, port=port, protocol=protocol, policy="", certificate="", more_certificates=(), mutual=None)
    given = request.get("Certificates")
    certificate = tls.default_certificate(given or ()) if given or not old.certificate else old.certificate
    policy = tls.check_policy(request.get("SslPolicy") or old.policy)
    if given or protocol != old.protocol:
        tls.check_certificate(call, tx, certificate)
    mutual = tls.mutual(request["MutualAuthentication"]) if request.get("MutualAuthentication") else old.mutual
    _check_trust(call, tx, mutual)
    return replace(old, port=port, protocol=protocol, policy=policy, certificate=certificate, mutual=mutual)


@ops.on("DescribeListenerAttributes", "ListenerArn")
async def describe_listener_attributes(call: Call, request: Request) -> Answer:
    listener = queries.listener(call, call.store, request["ListenerArn"])
    return {"Attributes": attributes.shown(attributes.LISTENER, listener.spec.attributes)}


@ops.on("ModifyListenerAttributes", "ListenerArn Attributes", resources=arns("ListenerArn"))
async def modify_listener_attributes(call: Call, request: Request) -> Answer:
    """Headers of requests cannot be given other names yet: that is refused by name."""
    wanted: Sequence[Any] = request["Attributes"]
    for each in wanted:
        if each.get("Key", "").startswith("routing.http.request."):
            raise not_built("elbv2", f"the listener attribute {each['Key']}")

    def change(tx: Transaction) -> r.ListenerR:
        listener = queries.listener(call, tx, request["ListenerArn"])
        after = attributes.changed(attributes.LISTENER, listener.spec.attributes, wanted, "Listener")
        return tx.update(listener, spec=replace(listener.spec, attributes=after))

    changed = await call.store.transact(change)
    return {"Attributes": attributes.shown(attributes.LISTENER, changed.spec.attributes)}
