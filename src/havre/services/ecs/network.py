"""Whether the subnets and security groups that a request names are there, asked of EC2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.control.operation import Call
from havre.kernel.errors import ApiError
from havre.services.ecs.resources import Subnets
from havre.services.ecs.rules.common import invalid

PRINCIPAL = "ecs.amazonaws.com"


async def check_network(call: Call, given: Subnets | None) -> None:
    """Raises InvalidParameterException in AWS's words."""
    if given is None:
        return
    subnets = await _ask(call, "DescribeSubnets", "SubnetIds", given.subnets, "subnet")
    vpcs = {subnet["VpcId"] for subnet in subnets["Subnets"]}
    if len(vpcs) > 1:
        raise invalid(f"The subnets [{', '.join(given.subnets)}] do not belong to the same VPC.")
    if not given.security_groups:
        return
    groups = await _ask(call, "DescribeSecurityGroups", "GroupIds", given.security_groups, "security group")
    for group in groups["SecurityGroups"]:
        if group["VpcId"] not in vpcs:
            raise invalid(
                f"Security group {group['GroupId']} does not appear to belong to the same VPC as the input subnets."
            )


async def _ask(call: Call, operation: str, member: str, ids: tuple[str, ...], noun: str) -> Mapping[str, Any]:
    assert call.as_service is not None
    try:
        answer: Mapping[str, Any] = await call.as_service(PRINCIPAL)("ec2", operation, {member: list(ids)})
    except ApiError as error:
        raise invalid(
            f"Error retrieving {noun} information for [{', '.join(ids)}]: {error.message} (ErrorCode: {error.code})"
        ) from None
    return answer
