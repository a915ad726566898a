"""VPC links: what is asked of EC2, their states, and their integrations' way to a load balancer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.interfaces import Attached
from havre.control.operation import Call
from havre.kernel.balancer import (
    LINK as KIND,
)
from havre.kernel.balancer import (
    Balancer,
    BalancerAction,
    BalancerHealthCheck,
    BalancerListener,
    BalancerPool,
    BalancerRule,
    BalancerTarget,
)
from havre.kernel.errors import ApiError
from havre.services.apigatewayv2.errors import absent, bad, not_found
from havre.services.apigatewayv2.resources import LINK, Link
from havre.services.apigatewayv2.roles import PRINCIPAL
from havre.store.ports import Reader

PREFIX = "vpclink-"
"""Of the names that links have on nodes."""
_LISTENER = re.compile(
    r"arn:aws[\w-]*:elasticloadbalancing:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):listener/app/(?P<balancer>[^/]+/[^/]+)"
    r"/(?P<listener>[0-9a-f]+)\Z"
)
_STATES = {
    "PENDING": "VPC link is provisioning ENIs",
    "AVAILABLE": "VPC link is ready to route traffic",
    "DELETING": "VPC link is deleting ENIs",
}


def link(call: Call, id: str, reader: Reader | None = None) -> Link:
    """Raises NotFoundException."""
    found = (reader or call.store).get(LINK, call.account, call.region, id)
    if found is None:
        raise not_found(f"VpcLink not found: {id}")
    return found


def state(found: Link) -> str:
    if found.meta.deleting is not None:
        return "DELETING"
    if found.status.failure:
        return "FAILED"
    ready = {i.subnet for i in found.status.interfaces} == set(found.spec.subnets)
    return "AVAILABLE" if ready else "PENDING"


def shown(found: Link) -> dict[str, Any]:
    spec, now = found.spec, state(found)
    return {
        "VpcLinkId": spec.id,
        "Name": spec.name,
        "SubnetIds": list(spec.subnets),
        "SecurityGroupIds": list(spec.groups),
        "CreatedDate": found.meta.created,
        "Tags": dict(spec.tags),
        "VpcLinkStatus": now,
        "VpcLinkStatusMessage": _STATES.get(now) or found.status.failure,
        "VpcLinkVersion": "V2",
    }


async def check_place(call: Call, subnets: Sequence[str], groups: Sequence[str]) -> str:
    """The VPC that the subnets are in, and the security groups too. Raises BadRequestException."""
    if not subnets:
        raise bad("SubnetIds are required: a VPC link needs at least one subnet")
    found = await _described(call, "DescribeSubnets", {"SubnetIds": list(dict.fromkeys(subnets))})
    vpcs = {each["VpcId"] for each in found["Subnets"]}
    if groups:
        found = await _described(call, "DescribeSecurityGroups", {"GroupIds": list(dict.fromkeys(groups))})
        vpcs |= {each["VpcId"] for each in found["SecurityGroups"]}
    if len(vpcs) != 1:
        raise bad("All subnets and security groups of a VPC link must belong to the same VPC")
    return str(vpcs.pop())


async def _described(call: Call, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
    assert call.as_service is not None
    try:
        return await call.as_service(PRINCIPAL)("ec2", operation, request)
    except ApiError as error:
        if not error.code.startswith("Invalid"):
            raise
        raise bad(error.message) from None


async def check_listener(call: Call, members: Mapping[str, Any]) -> None:
    """An integration by a VPC link leads to a listener that whoever makes it may see. Raises ApiError."""
    if members.get("ConnectionType") != "VPC_LINK" or not members.get("IntegrationUri"):
        return
    arn = members["IntegrationUri"]
    listener_parts(arn)
    try:
        await call.aws("elbv2", "DescribeListeners", {"ListenerArns": [arn]})
    except ApiError as error:
        if error.code != "ListenerNotFound":
            raise
        raise bad(f"Invalid integration URI: listener {arn} was not found") from None


def listener_parts(arn: str) -> Mapping[str, str]:
    """region, account, balancer (name/id) and listener. Raises BadRequestException."""
    found = _LISTENER.match(arn)
    if found is not None:
        return found.groupdict()
    if ":listener/net/" in arn:
        raise absent("private integrations with network load balancers")
    if ":servicediscovery:" in arn:
        raise absent("private integrations with AWS Cloud Map")
    raise bad("For VpcLink V2 integrations, the IntegrationUri should be the ARN of a load balancer's listener")


def door(link_id: str, listener: str) -> str:
    """The name of the listener by which the server goes through a link to a load balancer's listener."""
    return f"{PREFIX}{link_id}-{listener}"


def compiled(found: Link, behind: Sequence[tuple[str, int, Balancer]]) -> Balancer:
    """As a node runs it; ``behind``: (listener, its port, its load balancer)."""
    own: Sequence[Attached] = found.status.interfaces
    ways = [(door(found.spec.id, listener), port, balancer) for listener, port, balancer in behind]
    return Balancer(
        id=f"{PREFIX}{found.spec.id}",
        dns_name="",
        vpc=found.spec.vpc,
        addresses=tuple((i.subnet, i.address) for i in own),
        host_address="",
        security_groups=own[0].groups,
        listeners=tuple(_listener(name, port) for name, port, _ in ways),
        pools=tuple(_pool(name, port, balancer) for name, port, balancer in ways),
        kind=KIND,
    )


def _listener(name: str, port: int) -> BalancerListener:
    return BalancerListener(name, port, "TCP", (BalancerRule("all", (), BalancerAction("forward", ((name, 1),))),))


def _pool(name: str, port: int, balancer: Balancer) -> BalancerPool:
    """Each of the load balancer's addresses; nobody checks whether it answers."""
    targets = tuple(BalancerTarget(address, address, port, balancer.vpc) for _, address in balancer.addresses)
    return BalancerPool(name, "TCP", targets, BalancerHealthCheck(enabled=False))
