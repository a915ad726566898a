"""EC2's errors, in its words."""

from __future__ import annotations

from typing import NamedTuple

from havre.kernel.errors import ApiError


class Noun(NamedTuple):
    """How EC2 speaks of a kind of resource: the prefix of its ids, its error code's stem, its name in messages and in
    ARNs, and the stem where an id is malformed, which it spells another way."""

    prefix: str
    code: str
    called: str
    arn: str
    odd: str = ""


VPC = Noun("vpc-", "InvalidVpcID", "vpc", "vpc")
SUBNET = Noun("subnet-", "InvalidSubnetID", "subnet", "subnet")
GROUP = Noun("sg-", "InvalidGroup", "security group", "security-group", "InvalidGroupId")
GATEWAY = Noun("igw-", "InvalidInternetGatewayID", "internetGateway", "internet-gateway", "InvalidInternetGatewayId")
TABLE = Noun("rtb-", "InvalidRouteTableID", "routeTable", "route-table", "InvalidRouteTableId")
ACL = Noun("acl-", "InvalidNetworkAclID", "networkAcl", "network-acl", "InvalidNetworkAclId")
DHCP = Noun("dopt-", "InvalidDhcpOptionID", "dhcpOption", "dhcp-options", "InvalidDhcpOptionsId")
INTERFACE = Noun(
    "eni-", "InvalidNetworkInterfaceID", "networkInterface", "network-interface", "InvalidNetworkInterfaceId"
)
RULE = Noun("sgr-", "InvalidSecurityGroupRuleId", "security group rule", "security-group-rule")
NOUNS = (VPC, SUBNET, GROUP, GATEWAY, TABLE, ACL, DHCP, INTERFACE, RULE)


def malformed(noun: Noun, id: str) -> ApiError:
    return ApiError(f"{noun.odd or noun.code}.Malformed", f'Invalid id: "{id}" (expecting "{noun.prefix}...")')


def not_found(noun: Noun, id: str) -> ApiError:
    called = noun.called if noun is GROUP else f"{noun.called} ID"
    return ApiError(f"{noun.code}.NotFound", f"The {called} '{id}' does not exist")


def has_dependencies(noun: Noun, id: str) -> ApiError:
    if noun is GROUP:
        return ApiError("DependencyViolation", f"resource {id} has a dependent object")
    return ApiError("DependencyViolation", f"The {noun.called} '{id}' has dependencies and cannot be deleted.")


def invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterValue", message)


def combination(message: str) -> ApiError:
    return ApiError("InvalidParameterCombination", message)


def missing(parameter: str) -> ApiError:
    return ApiError("MissingParameter", f"The request must contain the parameter {parameter}")


def other_request(token: str) -> ApiError:
    return ApiError(
        "IdempotentParameterMismatch",
        f"The client token '{token}' was used before, for a request with other parameters.",
    )


def limit(code: str, what: str) -> ApiError:
    return ApiError(code, f"The maximum number of {what} has been reached.")
