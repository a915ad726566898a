"""Target groups."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError, not_built
from havre.kernel.resource import NoStatus, scoped
from havre.services.elbv2 import attributes, names, network, present, queries, tags
from havre.services.elbv2 import resources as r
from havre.services.elbv2.declare import ElbOperations, arns
from havre.services.elbv2.errors import configuration, limit, validation
from havre.services.elbv2.paging import page
from havre.store.ports import Reader, Transaction

ops = ElbOperations()
MOST = 3000
_FUNCTION_CHECK = r.HealthCheckSpec("HTTP", interval=35, timeout=30)
_MATCHER = re.compile(r"\d{1,3}(-\d{1,3})?(,\d{1,3}(-\d{1,3})?)*")
_CHECK = (
    "HealthCheckProtocol HealthCheckPort HealthCheckEnabled HealthCheckPath HealthCheckIntervalSeconds"
    " HealthCheckTimeoutSeconds HealthyThresholdCount UnhealthyThresholdCount Matcher"
)


@ops.on(
    "CreateTargetGroup",
    f"Name Protocol ProtocolVersion Port VpcId TargetType Tags IpAddressType {_CHECK}",
    resources=arns(creates="targetgroup/{Name}/*"),
)
async def create_target_group(call: Call, request: Request) -> Answer:
    name = request["Name"]
    names.check(name, "Target group")
    _check_kind(request)
    given = await tags.of_creation(call, request, call.arn(f"targetgroup/{name}/*", "elasticloadbalancing"))
    function = request.get("TargetType") == r.FUNCTION
    version = "" if function else request.get("ProtocolVersion") or "HTTP1"
    await _check_place(call, request, function)
    wanted = r.TargetGroupSpec(
        name=name,
        id=call.world.hex(16),
        protocol=request.get("Protocol") or "HTTP",
        protocol_version=version,
        port=request.get("Port") or 0,
        vpc=request.get("VpcId") or "",
        target_type=request.get("TargetType") or "instance",
        check=_check(_usual(request, function), request, function, version),
        tags=given,
    )

    def change(tx: Transaction) -> r.TargetGroupR:
        for same in tx.find(r.TARGET_GROUP, "name", scoped(call.account, call.region, name)):
            return _same(same, wanted)
        if len(tx.list(r.TARGET_GROUP, call.account, call.region)) >= MOST:
            raise limit("TooManyTargetGroups", "target groups")
        key = f"{name}/{wanted.id}"
        arn = call.arn(f"targetgroup/{key}", "elasticloadbalancing")
        where = {"account": call.account, "region": call.region, "name": key, "arn": arn}
        return tx.create(r.TARGET_GROUP, **where, spec=wanted, status=NoStatus())

    made = await call.store.transact(change)
    return {"TargetGroups": [present.target_group(call.store, made)]}


async def _check_place(call: Call, request: Request, function: bool) -> None:
    """Functions are nowhere; everything else is at a port in a VPC. Raises ValidationError."""
    for member in ("Protocol", "Port", "VpcId"):
        what = "VPC ID" if member == "VpcId" else member
        if function and request.get(member):
            raise validation(f"{what} cannot be specified for target groups with target type 'lambda'")
        if not function and not request.get(member):
            raise validation(f"A {what if member == 'VpcId' else what.lower()} must be specified")
    if not function:
        await network.check_vpc(call, request["VpcId"])


def _check_kind(request: Request) -> None:
    kind = request.get("TargetType") or "instance"
    if kind not in ("instance", "ip", "lambda", "alb"):
        raise validation(f"Target type '{kind}' must be one of '[instance, ip, lambda, alb]'")
    if kind == "alb":
        raise not_built("elbv2", f"target groups of the type {kind}")
    protocol = request.get("Protocol", "HTTP")
    if protocol not in ("HTTP", "HTTPS"):
        raise not_built("elbv2", f"target groups with the protocol {protocol} (they belong to network load balancers)")
    version = request.get("ProtocolVersion") or "HTTP1"
    if version not in ("HTTP1", "HTTP2", "GRPC"):
        raise validation(f"Protocol version '{version}' must be one of '[GRPC, HTTP1, HTTP2]'")
    if request.get("IpAddressType", "ipv4") != "ipv4":
        raise not_built("elbv2", f"the IP address type {request['IpAddressType']}")


def _usual(request: Request, function: bool) -> r.HealthCheckSpec:
    """What is checked unless something else is asked for."""
    if function:
        return _FUNCTION_CHECK
    if request.get("ProtocolVersion") == r.GRPC:
        return r.HealthCheckSpec("HTTP", path="/AWS.ALB/healthcheck", matcher="12")
    return r.HealthCheckSpec("HTTP")


def _check(old: r.HealthCheckSpec, request: Request, function: bool = False, version: str = "") -> r.HealthCheckSpec:
    """The health check after the request. Raises ValidationError, InvalidConfigurationRequest."""
    if function and request.get("HealthCheckEnabled"):
        raise not_built("elbv2", "health checks of functions")
    if not function and request.get("HealthCheckEnabled") is False:
        raise configuration("Health check enabled must be true for target groups with target type 'instance' or 'ip'")
    protocol = request.get("HealthCheckProtocol", old.protocol)
    if protocol not in ("HTTP", "HTTPS"):
        raise validation(f"Health check protocol '{protocol}' must be one of '[HTTP, HTTPS]'")
    codes, other = ("GrpcCode", "HttpCode") if version == r.GRPC else ("HttpCode", "GrpcCode")
    matcher = request.get("Matcher") or {}
    if matcher.get(other):
        raise configuration(f"Matcher {other} is not supported for target groups with the protocol version {version}")
    new = r.HealthCheckSpec(
        protocol=protocol,
        path=request.get("HealthCheckPath", old.path),
        port=request.get("HealthCheckPort", old.port),
        interval=request.get("HealthCheckIntervalSeconds", old.interval),
        timeout=request.get("HealthCheckTimeoutSeconds", old.timeout),
        healthy=request.get("HealthyThresholdCount", old.healthy),
        unhealthy=request.get("UnhealthyThresholdCount", old.unhealthy),
        matcher=matcher.get(codes, old.matcher),
    )
    _check_limits(new, (0, 99) if version == r.GRPC else (200, 499))
    return new


def _check_limits(check: r.HealthCheckSpec, codes: tuple[int, int]) -> None:
    for value, low, high, what in (
        (check.interval, 5, 300, "interval"),
        (check.timeout, 2, 120, "timeout"),
        (check.healthy, 2, 10, "healthy threshold count"),
        (check.unhealthy, 2, 10, "unhealthy threshold count"),
    ):
        if not low <= value <= high:
            raise validation(f"Health check {what} '{value}' must be between '{low}' and '{high}'")
    if check.timeout >= check.interval:
        raise validation(f"Health check timeout '{check.timeout}' must be smaller than the interval '{check.interval}'")
    if not check.path.startswith("/") or not check.path.isprintable() or " " in check.path:
        raise validation(f"Health check path '{check.path}' must begin with a '/' character")
    port = check.port
    if port != "traffic-port" and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise validation(f"Health check port '{port}' must be in the range of 1-65535")
    matcher, (first, last) = check.matcher, codes
    if not _MATCHER.fullmatch(matcher) or not all(_in_range(part, codes) for part in matcher.split(",")):
        kind = "HTTP" if first else "GRPC"
        raise validation(f"Health check matcher {kind} code '{matcher}' must be within '{first}-{last}'")


def _in_range(part: str, codes: tuple[int, int]) -> bool:
    low, _, high = part.partition("-")
    return codes[0] <= int(low) <= int(high or low) <= codes[1]


def _same(old: r.TargetGroupR, wanted: r.TargetGroupSpec) -> r.TargetGroupR:
    same = replace(wanted, id=old.spec.id, targets=old.spec.targets, attributes=old.spec.attributes)
    if same != old.spec:
        raise ApiError(
            "DuplicateTargetGroupName",
            f"A target group with the same name '{wanted.name}' exists, but with different settings",
        )
    return old


@ops.on("DescribeTargetGroups", "LoadBalancerArn TargetGroupArns Names Marker PageSize")
async def describe_target_groups(call: Call, request: Request) -> Answer:
    found = _found(call, call.store, request)
    shown, marker = page(call, request, found, lambda group: group.meta.name)
    return {"TargetGroups": [present.target_group(call.store, group) for group in shown], "NextMarker": marker}


def _found(call: Call, reader: Reader, request: Request) -> Sequence[r.TargetGroupR]:
    arns_, names_ = request.get("TargetGroupArns") or (), request.get("Names") or ()
    balancer = request.get("LoadBalancerArn")
    if sum(map(bool, (arns_, names_, balancer))) > 1:
        raise validation("Only one of target group ARNs, names and a load balancer ARN can be specified")
    if balancer:
        lb = queries.load_balancer(call, reader, balancer)
        rules = queries.rules_of_balancer(reader, lb)
        used = {arn for rule in rules for arn, _ in rule.spec.action.groups}
        return [queries.target_group(call, reader, arn) for arn in sorted(used)]
    if arns_:
        return [queries.target_group(call, reader, arn) for arn in arns_]
    everything = reader.list(r.TARGET_GROUP, call.account, call.region)
    if not names_:
        return everything
    found = [group for group in everything if group.spec.name in names_]
    if len({group.spec.name for group in found}) < len(set(names_)):
        raise ApiError("TargetGroupNotFound", "One or more target groups not found")
    return found


@ops.on("DeleteTargetGroup", "TargetGroupArn", resources=arns("TargetGroupArn"))
async def delete_target_group(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        try:
            group = queries.target_group(call, tx, request["TargetGroupArn"])
        except ApiError as error:
            if error.code == "TargetGroupNotFound":
                return
            raise
        if queries.used_by(tx, group):
            raise ApiError(
                "ResourceInUse",
                f"Target group '{group.meta.arn}' is currently in use by a listener or a rule",
            )
        tx.remove(group)

    await call.store.transact(change)
    return {}


@ops.on("ModifyTargetGroup", f"TargetGroupArn {_CHECK}", resources=arns("TargetGroupArn"))
async def modify_target_group(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> r.TargetGroupR:
        group = queries.target_group(call, tx, request["TargetGroupArn"])
        spec = group.spec
        check = _check(spec.check, request, spec.target_type == r.FUNCTION, spec.protocol_version)
        return tx.update(group, spec=replace(group.spec, check=check))

    group = await call.store.transact(change)
    return {"TargetGroups": [present.target_group(call.store, group)]}


@ops.on("DescribeTargetGroupAttributes", "TargetGroupArn")
async def describe_target_group_attributes(call: Call, request: Request) -> Answer:
    group = queries.target_group(call, call.store, request["TargetGroupArn"])
    return {"Attributes": _shown(group)}


@ops.on("ModifyTargetGroupAttributes", "TargetGroupArn Attributes", resources=arns("TargetGroupArn"))
async def modify_target_group_attributes(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> r.TargetGroupR:
        group = queries.target_group(call, tx, request["TargetGroupArn"])
        after = attributes.changed(_known(group), group.spec.attributes, request["Attributes"], "Target group")
        attributes.check_group(after, group.spec.protocol)
        return tx.update(group, spec=replace(group.spec, attributes=after))

    return {"Attributes": _shown(await call.store.transact(change))}


def _shown(group: r.TargetGroupR) -> list[dict[str, Any]]:
    return attributes.shown(_known(group), group.spec.attributes)


def _known(group: r.TargetGroupR) -> Mapping[str, attributes.Attribute]:
    return attributes.FUNCTION_GROUP if group.spec.target_type == r.FUNCTION else attributes.GROUP
