"""Permissions of security groups as rules. Pure: what a request says, checked and brought into one form."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from havre.control.operation import Request
from havre.kernel.addresses import parse_cidr
from havre.kernel.errors import ApiError
from havre.services.ec2.errors import combination, invalid, missing
from havre.services.ec2.present import has_ports
from havre.services.ec2.resources import Rule

PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6", "all": "-1"}
ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._-:/()#,@[]+=&;{}!$*")
Permission = Mapping[str, Any]


def asked(request: Request, egress: bool) -> list[Rule]:
    """The rules of the request, without ids: of IpPermissions, or of the flat members where there are none.

    Raises AWS's errors; references by GroupName stay as they are in ``group``, for the caller to look up.
    """
    permissions = list(request.get("IpPermissions", ()))
    flat = _flat(request)
    if permissions and flat:
        raise combination("The parameter 'ipPermissions' may not be used in combination with 'ipProtocol'")
    if flat:
        permissions = [flat]
    if not permissions:
        raise missing("ipPermissions or securityGroupRuleIds")
    rules: list[Rule] = []
    for each in permissions:
        of_each = list(of_permission(each, egress))
        if not of_each:
            raise invalid("Either 'cidrIp', 'cidrIpv6', 'prefixListId' or 'groupId' must be specified.")
        rules += of_each
    if len({rule.what for rule in rules}) < len(rules):
        raise invalid("The same permission must not appear multiple times")
    return rules


def _flat(request: Request) -> dict[str, Any]:
    """The members of the request that make one permission without IpPermissions."""
    if "SourceSecurityGroupName" in request:
        pair = {"GroupName": request["SourceSecurityGroupName"]}
        if "SourceSecurityGroupOwnerId" in request:
            pair["UserId"] = request["SourceSecurityGroupOwnerId"]
        return {"IpProtocol": "-1", "UserIdGroupPairs": [pair]}
    if not request.keys() & {"IpProtocol", "CidrIp", "FromPort", "ToPort"}:
        return {}
    flat = {key: request[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in request}
    if "CidrIp" in request:
        flat["IpRanges"] = [{"CidrIp": request["CidrIp"]}]
    return flat


def of_permission(permission: Permission, egress: bool) -> Iterator[Rule]:
    if permission.get("PrefixListIds"):
        id = permission["PrefixListIds"][0].get("PrefixListId", "")
        raise ApiError("InvalidPrefixListID.NotFound", f"The prefix list ID '{id}' does not exist")
    protocol = protocol_of(permission.get("IpProtocol"))
    first, last = ports_of(protocol, permission.get("FromPort"), permission.get("ToPort"))
    for each in permission.get("IpRanges", ()):
        yield Rule("", egress, protocol, first, last, cidr=cidr_of(each.get("CidrIp", "")), description=note(each))
    for each in permission.get("Ipv6Ranges", ()):
        yield Rule("", egress, protocol, first, last, cidr6=cidr6_of(each.get("CidrIpv6", "")), description=note(each))
    for each in permission.get("UserIdGroupPairs", ()):
        group = each.get("GroupId") or each.get("GroupName") or ""
        if not group:
            raise missing("groupId or groupName")
        if peering := each.get("VpcPeeringConnectionId"):
            raise ApiError(
                "InvalidVpcPeeringConnectionID.NotFound", f"The vpcPeeringConnection ID '{peering}' does not exist"
            )
        yield Rule("", egress, protocol, first, last, group=group, description=note(each))


def protocol_of(text: str | None) -> str:
    """tcp, udp, icmp, icmpv6, -1, or another protocol's number."""
    if not text:
        raise invalid("Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly.")
    name = PROTOCOLS.get(text.lower(), text.lower())
    if name in ("tcp", "udp", "icmp", "icmpv6", "-1") or (name.isascii() and name.isdigit() and int(name) <= 255):
        return name
    raise invalid(f"Invalid value '{text}' for IP protocol. Unknown protocol.")


def ports_of(protocol: str, first: int | None, last: int | None) -> tuple[int, int]:
    """(-1, -1) where there are no ports; type and code for ICMP."""
    if not has_ports(protocol):
        return -1, -1
    if protocol in ("icmp", "icmpv6"):
        kind, code = -1 if first is None else first, -1 if last is None else last
        if not -1 <= kind <= 255:
            raise invalid(f"ICMP type ({kind}) out of range")
        if not -1 <= code <= 255:
            raise invalid(f"ICMP code ({code}) out of range")
        if kind == -1 and code != -1:
            raise invalid("ICMP code (all) is required when ICMP type is all")
        return kind, code
    if first is None or last is None:
        raise invalid("Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.")
    for port in (first, last):
        if not 0 <= port <= 65535:
            raise invalid(f"TCP/UDP port ({port}) out of range")
    if first > last:
        raise invalid(f"Invalid TCP/UDP port range ({first}:{last})")
    return first, last


def cidr_of(text: str) -> str:
    try:
        return str(parse_cidr(text))
    except ValueError:
        raise invalid(f"CIDR block {text} is malformed") from None


def cidr6_of(text: str) -> str:
    try:
        return str(ipaddress.IPv6Network(text, strict=False))
    except ValueError:
        raise invalid(f"CIDR block {text} is malformed") from None


def note(source: Mapping[str, Any]) -> str:
    text: str = source.get("Description", "")
    if len(text) > 255 or not ALLOWED.issuperset(text):
        raise invalid(
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following "
            "set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
        )
    return text


def told(rule: Rule) -> str:
    """As EC2 names a rule in its errors."""
    peer = f"peer: {rule.cidr or rule.cidr6 or rule.group}"
    if rule.protocol == "-1":
        return f"{peer}, ALL, ALLOW"
    if rule.protocol in ("icmp", "icmpv6"):
        kind, code = (rule.from_port, rule.to_port)
        return f"{peer}, {rule.protocol.upper()}, type: {_all(kind)}, code: {_all(code)}, ALLOW"
    if has_ports(rule.protocol):
        return f"{peer}, {rule.protocol.upper()}, from port: {rule.from_port}, to port: {rule.to_port}, ALLOW"
    return f"{peer}, {rule.protocol}, ALLOW"


def _all(number: int) -> str:
    return "ALL" if number == -1 else str(number)
