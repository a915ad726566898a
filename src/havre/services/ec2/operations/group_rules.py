"""Rules of security groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.services.ec2 import errors, filters, find, make, permissions, present, tags
from havre.services.ec2 import resources as r
from havre.services.ec2.declare import Ec2Operations
from havre.services.ec2.filters import Values, flag
from havre.services.ec2.listing import ACCEPTS
from havre.services.ec2.operations.groups import group_arns, named, the_group
from havre.services.ec2.paging import page
from havre.store.ports import Reader, Transaction

ops = Ec2Operations()
MOST = 60
"""In each direction."""
_NAMED = "SourceSecurityGroupName SourceSecurityGroupOwnerId"
_FLAT = f"GroupId GroupName IpPermissions CidrIp IpProtocol FromPort ToPort {_NAMED}"


def _no_rule(id: str) -> ApiError:
    return (errors.not_found if id.startswith(errors.RULE.prefix) else errors.malformed)(errors.RULE, id)


@ops.on("AuthorizeSecurityGroupIngress", f"{_FLAT} TagSpecifications", resources=group_arns)
async def authorize_ingress(call: Call, request: Request) -> Answer:
    return await _authorize(call, request, egress=False)


@ops.on("AuthorizeSecurityGroupEgress", f"{_FLAT} TagSpecifications", resources=group_arns)
async def authorize_egress(call: Call, request: Request) -> Answer:
    return await _authorize(call, request, egress=True)


async def _authorize(call: Call, request: Request, egress: bool) -> Answer:
    given = tags.given(request, "security-group-rule")
    await tags.allow(call, given, "security-group-rule/*")
    asked = permissions.asked(request, egress)

    def change(tx: Transaction) -> tuple[r.GroupR, list[r.Rule]]:
        group = the_group(call, tx, request)
        have = {rule.what for rule in group.spec.rules}
        new: list[r.Rule] = []
        for rule in _looked_up(call, tx, group, asked):
            if rule.what in have:
                raise ApiError(
                    "InvalidPermission.Duplicate", f'the specified rule "{permissions.told(rule)}" already exists'
                )
            have.add(rule.what)
            new.append(replace(rule, id=make.id_of(call, "sgr-"), tags=given))
        rules = (*group.spec.rules, *new)
        _check_limit(rules)
        return tx.update(group, spec=replace(group.spec, rules=rules)), new

    group, new = await call.store.transact(change)
    return {"Return": True, "SecurityGroupRules": [present.rule(group, rule) for rule in new]}


def _check_limit(rules: Sequence[r.Rule]) -> None:
    for egress in (False, True):
        for version in ("cidr6", "cidr"):
            counted = [x for x in rules if x.egress is egress and (x.group or getattr(x, version))]
            if len(counted) > MOST:
                raise errors.limit("RulesPerSecurityGroupLimitExceeded", "rules per security group")


def _looked_up(call: Call, reader: Reader, group: r.GroupR, asked: Sequence[r.Rule]) -> list[r.Rule]:
    """References to groups by name become references by id; each must exist in the same VPC."""
    return [replace(rule, group=_referenced(call, reader, group, rule.group)) if rule.group else rule for rule in asked]


def _referenced(call: Call, reader: Reader, group: r.GroupR, reference: str) -> str:
    if not reference.startswith("sg-"):
        vpc = find.one(call, reader, r.VPC, group.spec.vpc)
        return named(reader, vpc, reference).meta.name
    other = find.one(call, reader, r.GROUP, reference)
    if other.spec.vpc != group.spec.vpc:
        raise ApiError("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
    return other.meta.name


@ops.on("RevokeSecurityGroupIngress", f"{_FLAT} SecurityGroupRuleIds", resources=group_arns)
async def revoke_ingress(call: Call, request: Request) -> Answer:
    return await _revoke(call, request, egress=False)


@ops.on("RevokeSecurityGroupEgress", f"{_FLAT} SecurityGroupRuleIds", resources=group_arns)
async def revoke_egress(call: Call, request: Request) -> Answer:
    return await _revoke(call, request, egress=True)


async def _revoke(call: Call, request: Request, egress: bool) -> Answer:
    """Rules that are not there are an error, but in the default VPC, which names them in the answer (as documented)."""
    ids = request.get("SecurityGroupRuleIds", ())
    asked = [] if ids else permissions.asked(request, egress)

    def change(tx: Transaction) -> tuple[r.GroupR, list[r.Rule], list[r.Rule]]:
        group = the_group(call, tx, request)
        for id in ids:
            if not any(x.id == id and x.egress is egress for x in group.spec.rules):
                raise _no_rule(id)
        wanted = _looked_up(call, tx, group, asked)
        whats = {x.what for x in wanted}
        gone = [x for x in group.spec.rules if x.id in ids or x.what in whats]
        unknown = [x for x in wanted if x.what not in {y.what for y in gone}]
        if unknown and not find.one(call, tx, r.VPC, group.spec.vpc).spec.default:
            raise ApiError("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
        left = tuple(x for x in group.spec.rules if x not in gone)
        return tx.update(group, spec=replace(group.spec, rules=left)), gone, unknown

    group, gone, unknown = await call.store.transact(change)
    return {
        "Return": True,
        "RevokedSecurityGroupRules": [present.revoked_rule(group, x) for x in gone],
        "UnknownIpPermissions": present.permissions(unknown, call.account),
    }


@ops.on("ModifySecurityGroupRules", "GroupId SecurityGroupRules", resources=group_arns)
async def modify_security_group_rules(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        group = find.one(call, tx, r.GROUP, request["GroupId"])
        rules = list(group.spec.rules)
        for each in request["SecurityGroupRules"]:
            at = next((n for n, x in enumerate(rules) if x.id == each["SecurityGroupRuleId"]), None)
            if at is None:
                raise _no_rule(each["SecurityGroupRuleId"])
            asked = _rule_asked(each.get("SecurityGroupRule", {}), rules[at].egress)
            (new,) = _looked_up(call, tx, group, [asked])
            rules[at] = replace(new, id=rules[at].id, tags=rules[at].tags)
        seen: set[tuple[bool, str, int, int, str, str, str]] = set()
        for x in rules:
            if x.what in seen:
                raise ApiError(
                    "InvalidPermission.Duplicate", f'the specified rule "{permissions.told(x)}" already exists'
                )
            seen.add(x.what)
        tx.update(group, spec=replace(group.spec, rules=tuple(rules)))

    await call.store.transact(change)
    return {"Return": True}


def _rule_asked(shape: Mapping[str, Any], egress: bool) -> r.Rule:
    """One rule, whole, from a SecurityGroupRuleRequest: exactly one other side."""
    sides = [m for m in ("CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupId") if shape.get(m)]
    if not sides:
        raise ApiError(
            "MissingParameter",
            "The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or referencedGroupId",
        )
    if len(sides) > 1:
        raise errors.combination("Only one of cidrIp, cidrIpv6, prefixListId, or referencedGroupId can be specified")
    if (
        permissions.protocol_of(shape.get("IpProtocol")) in ("tcp", "udp")
        and not {"FromPort", "ToPort"} <= shape.keys()
    ):
        raise errors.invalid("Invalid value for portRange. Must specify both from and to ports with TCP/UDP.")
    permission: dict[str, Any] = {m: shape[m] for m in ("IpProtocol", "FromPort", "ToPort") if m in shape}
    note = {"Description": shape["Description"]} if "Description" in shape else {}
    value = shape[sides[0]]
    permission |= {
        "CidrIpv4": {"IpRanges": [{"CidrIp": value, **note}]},
        "CidrIpv6": {"Ipv6Ranges": [{"CidrIpv6": value, **note}]},
        "PrefixListId": {"PrefixListIds": [{"PrefixListId": value}]},
        "ReferencedGroupId": {"UserIdGroupPairs": [{"GroupId": value, **note}]},
    }[sides[0]]
    return next(permissions.of_permission(permission, egress))


_DESCRIPTIONS = "GroupId GroupName IpPermissions SecurityGroupRuleDescriptions"


@ops.on("UpdateSecurityGroupRuleDescriptionsIngress", _DESCRIPTIONS, resources=group_arns)
async def describe_ingress_anew(call: Call, request: Request) -> Answer:
    return await _describe_anew(call, request, egress=False)


@ops.on("UpdateSecurityGroupRuleDescriptionsEgress", _DESCRIPTIONS, resources=group_arns)
async def describe_egress_anew(call: Call, request: Request) -> Answer:
    return await _describe_anew(call, request, egress=True)


async def _describe_anew(call: Call, request: Request, egress: bool) -> Answer:
    by_id = {
        each.get("SecurityGroupRuleId", ""): permissions.note(each)
        for each in request.get("SecurityGroupRuleDescriptions", ())
    }
    asked = [] if by_id else permissions.asked(request, egress)

    def change(tx: Transaction) -> None:
        group = the_group(call, tx, request)
        by_what = {x.what: x.description for x in _looked_up(call, tx, group, asked)}
        own = [x for x in group.spec.rules if x.egress is egress]
        for id in by_id.keys() - {x.id for x in own}:
            raise _no_rule(id)
        if by_what.keys() - {x.what for x in own}:
            raise ApiError("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
        rules = (replace(x, description=by_id.get(x.id, by_what.get(x.what, x.description))) for x in group.spec.rules)
        tx.update(group, spec=replace(group.spec, rules=tuple(rules)))

    await call.store.transact(change)
    return {"Return": True}


_RULE_FILTERS: dict[str, Values[tuple[r.GroupR, r.Rule]]] = {
    "group-id": lambda pair: pair[0].meta.name,
    "security-group-rule-id": lambda pair: pair[1].id,
    "is-egress": lambda pair: flag(pair[1].egress),
}


@ops.on("DescribeSecurityGroupRules", f"SecurityGroupRuleIds {ACCEPTS}")
async def describe_security_group_rules(call: Call, request: Request) -> Answer:
    pairs = [(g, x) for g in call.store.list(r.GROUP, call.account, call.region) for x in g.spec.rules]
    ids = request.get("SecurityGroupRuleIds", ())
    for id in ids:
        if not any(x.id == id for _, x in pairs):
            raise _no_rule(id)
    for each in request.get("Filters", ()):
        for value in each.get("Values", ()) if each.get("Name") == "group-id" else ():
            if not value.startswith(errors.GROUP.prefix):
                raise ApiError("InvalidGroupId.Malformed", f"The security group ID '{value}' is malformed")
    chosen = [pair for pair in pairs if not ids or pair[1].id in ids]
    chosen = filters.matching(chosen, request.get("Filters", ()), _RULE_FILTERS, lambda pair: pair[1].tags)
    chosen.sort(key=lambda pair: pair[1].id)
    shown, token = page(call, request, chosen, lambda pair: pair[1].id, "SecurityGroupRuleIds")
    return {"SecurityGroupRules": [present.rule(g, x) for g, x in shown], "NextToken": token}
