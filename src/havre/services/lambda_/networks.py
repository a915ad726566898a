"""VpcConfig, asked of EC2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.operation import Call, Request
from havre.kernel.errors import ApiError
from havre.kernel.function import FunctionNetwork
from havre.services.lambda_.conditions import about
from havre.services.lambda_.errors import absent, invalid
from havre.services.lambda_.roles import PRINCIPAL


async def network(call: Call, given: Mapping[str, Any]) -> FunctionNetwork | None:
    """None for the empty configuration, which takes a function out of its VPC. Raises ApiError for what EC2 does not
    know."""
    subnets, groups = tuple(given.get("SubnetIds") or ()), tuple(given.get("SecurityGroupIds") or ())
    if given.get("Ipv6AllowedForDualStack"):
        raise absent("VpcConfig with Ipv6AllowedForDualStack")
    if not subnets and not groups:
        return None
    if not subnets or not groups:
        raise invalid("Both subnet IDs and security group IDs are required to configure VPC access.")
    vpcs = await _vpcs(call, subnets)
    if len(vpcs) != 1:
        raise invalid("The subnets provided must be in the same VPC.")
    owners = {g["VpcId"] for g in await _ask(call, "DescribeSecurityGroups", "GroupIds", groups, "SecurityGroups")}
    if owners != vpcs:
        raise invalid("The security groups and the subnets provided must be in the same VPC.")
    return FunctionNetwork(vpcs.pop(), subnets, groups)


async def authorize(call: Call, action: str, arns: Sequence[str], request: Request, keys: Mapping[str, Any]) -> None:
    """Decides on a request with subnets: their VPC is a condition key, too. Raises ApiError."""
    subnets = request["VpcConfig"]["SubnetIds"]
    for arn in arns:
        known = {**keys, **about(call, arn)}
        try:
            known["lambda:VpcIds"] = sorted(await _vpcs(call, subnets))
        except ApiError:
            await call.authorize(action, [arn], known)
            await network(call, request["VpcConfig"])  # which has its own order of saying what is wrong
            raise
        await call.authorize(action, [arn], known)


async def provider_network(call: Call, given: Mapping[str, Any]) -> FunctionNetwork:
    """Of a capacity provider: without groups it has the default one of its VPC. Raises ApiError."""
    groups = tuple(given.get("SecurityGroupIds") or ())
    if not groups:
        subnets = await _ask(call, "DescribeSubnets", "SubnetIds", given["SubnetIds"], "Subnets")
        assert call.as_service is not None
        named = [
            {"Name": "vpc-id", "Values": [subnets[0]["VpcId"]]},
            {"Name": "group-name", "Values": ["default"]},
        ]
        answer = await call.as_service(PRINCIPAL)("ec2", "DescribeSecurityGroups", {"Filters": named})
        groups = tuple(group["GroupId"] for group in answer["SecurityGroups"])
    found = await network(call, {"SubnetIds": given["SubnetIds"], "SecurityGroupIds": groups})
    assert found is not None
    return found


async def _vpcs(call: Call, subnets: Sequence[str]) -> set[str]:
    return {s["VpcId"] for s in await _ask(call, "DescribeSubnets", "SubnetIds", subnets, "Subnets")}


async def _ask(call: Call, operation: str, member: str, ids: Sequence[str], answer: str) -> Sequence[Mapping[str, Any]]:
    assert call.as_service is not None
    try:
        found: Sequence[Mapping[str, Any]] = (await call.as_service(PRINCIPAL)("ec2", operation, {member: list(ids)}))[
            answer
        ]
    except ApiError as error:
        if error.status is not None and error.status >= 500:
            raise
        raise invalid(
            f"Error occurred while {operation}. EC2 Error Code: {error.code}. EC2 Error Message: {error.message}"
        ) from None
    return found
