"""Targets: registered, deregistered, and how they are."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.nodes import NODE, ec2_instance
from havre.control.operation import Answer, Call, Request
from havre.core import balancing
from havre.kernel.errors import ApiError
from havre.services.elbv2 import attributes, functions, network, queries
from havre.services.elbv2 import resources as r
from havre.services.elbv2.declare import ElbOperations, arns
from havre.services.elbv2.errors import validation
from havre.services.elbv2.state import health_of
from havre.store.ports import Reader, Transaction

ops = ElbOperations()
MOST = 1000


@ops.on("RegisterTargets", "TargetGroupArn Targets", resources=arns("TargetGroupArn"))
async def register_targets(call: Call, request: Request) -> Answer:
    group = queries.target_group(call, call.store, request["TargetGroupArn"])
    wanted = await _resolve(call, group, request["Targets"])

    def change(tx: Transaction) -> None:
        group = queries.target_group(call, tx, request["TargetGroupArn"])
        targets = {target.key: target for target in group.spec.targets}
        targets |= {t.key: t for t in wanted if t.key not in targets or targets[t.key].draining is not None}
        if len(targets) > MOST:
            raise ApiError(
                "TooManyTargets", f"The maximum number of targets per target group '{group.meta.arn}' has been reached"
            )
        tx.update(group, spec=replace(group.spec, targets=tuple(targets.values())))

    await call.store.transact(change)
    return {}


async def _resolve(call: Call, group: r.TargetGroupR, given: Sequence[Any]) -> list[r.Target]:
    """Raises InvalidTarget, ValidationError."""
    if not given:
        raise validation("At least one target must be specified")
    if any(each.get("QuicServerId") for each in given):
        raise validation("QuicServerId is only supported for target groups with the protocol QUIC or TCP_QUIC")
    if group.spec.target_type == "instance":
        return _instances(call, group, given)
    if group.spec.target_type == r.FUNCTION:
        return [await functions.resolve(call, group, given)]
    subnets = await network.vpc_cidrs(call, group.spec.vpc)
    return [_address(group, each, subnets) for each in given]


def _instances(call: Call, group: r.TargetGroupR, given: Sequence[Any]) -> list[r.Target]:
    known = {ec2_instance(node.meta.name) for node in call.store.list(NODE)}
    unknown = [each["Id"] for each in given if each["Id"] not in known]
    if unknown:
        listed = ", ".join(f"'{id}'" for id in unknown)
        raise ApiError(
            "InvalidTarget",
            f"The following targets are not in a running state and cannot be registered: {listed}",
        )
    return [r.Target(each["Id"], each.get("Port") or group.spec.port) for each in given]


def _address(group: r.TargetGroupR, each: Any, subnets: Sequence[tuple[ipaddress.IPv4Network, str]]) -> r.Target:
    id, port = each["Id"], each.get("Port") or group.spec.port
    try:
        address = ipaddress.IPv4Address(id)
    except ValueError:
        raise validation(f"The IP address '{id}' is not a valid IPv4 address") from None
    zone = each.get("AvailabilityZone")
    for cidr, name in subnets:
        if address in cidr:
            if zone not in (None, name, "all"):
                raise validation(f"The Availability Zone '{zone}' is not the one of the IP address '{id}'")
            return r.Target(str(address), port, name, group.spec.vpc)
    if not any(address in allowed for allowed in network.OUTSIDE):
        raise ApiError(
            "InvalidTarget",
            f"The IP address '{id}' is not within the subnets of the VPC '{group.spec.vpc}', "
            "10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12 or 192.168.0.0/16",
        )
    if zone != "all":
        raise validation(
            f"You must specify the Availability Zone 'all' for the IP address '{id}', which is outside the VPC"
        )
    return r.Target(str(address), port, "all")


@ops.on("DeregisterTargets", "TargetGroupArn Targets", resources=arns("TargetGroupArn"))
async def deregister_targets(call: Call, request: Request) -> Answer:
    wanted = [(each["Id"], each.get("Port")) for each in request["Targets"]]

    def change(tx: Transaction) -> None:
        group = queries.target_group(call, tx, request["TargetGroupArn"])
        _check_registered(group, wanted)
        function = group.spec.target_type == r.FUNCTION
        delay = int(attributes.value(attributes.GROUP, group.spec.attributes, "deregistration_delay.timeout_seconds"))
        at_once = delay == 0 or function or not queries.used_by(tx, group)
        left: list[r.Target] = []
        for target in group.spec.targets:
            leaving = target.draining is None and _named(target, wanted)
            if not leaving:
                left.append(target)
            elif not at_once:
                left.append(replace(target, draining=call.now, leaves=call.now + delay))
        tx.update(group, spec=replace(group.spec, targets=tuple(left)))

    await call.store.transact(change)
    return {}


def _named(target: r.Target, wanted: Sequence[tuple[str, int | None]]) -> bool:
    """Without a port, all of an id's targets are meant."""
    return any(target.id == id and port in (None, target.port) for id, port in wanted)


def _check_registered(group: r.TargetGroupR, wanted: Sequence[tuple[str, int | None]]) -> None:
    """AWS is silent about addresses that are not registered, and not about instances that cannot be."""
    if group.spec.target_type == "instance":
        bad = [id for id, _ in wanted if not id.startswith("i-")]
        if bad:
            raise ApiError("InvalidTarget", f"The instance ID '{bad[0]}' is not valid")


@ops.on("DescribeTargetHealth", "TargetGroupArn Targets")
async def describe_target_health(call: Call, request: Request) -> Answer:
    group = queries.target_group(call, call.store, request["TargetGroupArn"])
    wanted = [(each["Id"], each.get("Port")) for each in request.get("Targets") or ()]
    shown = [_shown(call.store, group, t) for t in group.spec.targets if not wanted or _named(t, wanted)]
    for id, port in wanted:
        if not any(_named(target, [(id, port)]) for target in group.spec.targets):
            shown.append(_unregistered(id, port or group.spec.port, group))
    return {"TargetHealthDescriptions": shown}


def _shown(reader: Reader, group: r.TargetGroupR, target: r.Target) -> dict[str, Any]:
    if group.spec.target_type == r.FUNCTION:
        return functions.health(target)
    health = health_of(group, target, *queries.report_on(reader, group))
    result = _target(target.id, target.port, group) | {"TargetHealth": health}
    if target.zone:
        result["Target"]["AvailabilityZone"] = target.zone
    return result


def _unregistered(id: str, port: int, group: r.TargetGroupR) -> dict[str, Any]:
    reason, description = balancing.NOT_REGISTERED
    return _target(id, port, group) | {
        "TargetHealth": {"State": "unused", "Reason": reason, "Description": description}
    }


def _target(id: str, port: int, group: r.TargetGroupR) -> dict[str, Any]:
    check = group.spec.check.port
    return {"Target": {"Id": id, "Port": port}, "HealthCheckPort": str(port) if check == "traffic-port" else check}
