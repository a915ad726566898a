"""Whether the subnets and security groups that a request names are there, asked of EC2."""

from __future__ import annotations

from havre.control.operation import Call
from havre.kernel.errors import ApiError
from havre.services.ecs.resources import Subnets
from havre.services.ecs.rules.common import invalid

PRINCIPAL = "ecs.amazonaws.com"


async def check_network(call: Call, given: Subnets | None) -> None:
    """Raises InvalidParameterException in AWS's words."""
    if given is None:
        return
    await _ask(call, "DescribeSubnets", "SubnetIds", given.subnets, "subnet")
    if given.security_groups:
        await _ask(call, "DescribeSecurityGroups", "GroupIds", given.security_groups, "security group")


async def _ask(call: Call, operation: str, member: str, ids: tuple[str, ...], noun: str) -> None:
    assert call.as_service is not None
    try:
        await call.as_service(PRINCIPAL)("ec2", operation, {member: list(ids)})
    except ApiError as error:
        raise invalid(
            f"Error retrieving {noun} information for [{', '.join(ids)}]: {error.message} (ErrorCode: {error.code})"
        ) from None
