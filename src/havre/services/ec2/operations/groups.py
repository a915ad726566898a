"""Security groups. Their rules are in group_rules."""

from __future__ import annotations

import re
from collections.abc import Sequence

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.services.ec2 import errors, filters, find, make, present, tags
from havre.services.ec2 import resources as r
from havre.services.ec2.declare import Ec2Operations, arns
from havre.services.ec2.filters import Values
from havre.services.ec2.listing import ACCEPTS, described, name_of, tags_of
from havre.services.ec2.paging import page
from havre.store.ports import Reader, Transaction

ops = Ec2Operations()
MOST = 2500
_TEXT = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")


def rule_filters(egress: bool) -> dict[str, Values[r.GroupR]]:
    """The filters on rules; EC2 has them for both directions."""
    prefix = "egress.ip-permission." if egress else "ip-permission."

    def of(value: Values[r.Rule]) -> Values[r.GroupR]:
        return lambda g: [v for x in g.spec.rules if x.egress is egress for v in _list(value(x))]

    return {
        prefix + "cidr": of(lambda x: x.cidr),
        prefix + "from-port": of(lambda x: str(x.from_port)),
        prefix + "group-id": of(lambda x: x.group),
        prefix + "ipv6-cidr": of(lambda x: x.cidr6),
        prefix + "prefix-list-id": lambda g: (),
        prefix + "protocol": of(lambda x: x.protocol),
        prefix + "to-port": of(lambda x: str(x.to_port)),
        prefix + "user-id": lambda g: [g.meta.account for x in g.spec.rules if x.egress is egress and x.group],
    }


def _by_referenced_name(call: Call, egress: bool) -> dict[str, Values[r.GroupR]]:
    """The filter on the names of the groups that rules refer to."""

    def names(g: r.GroupR) -> Sequence[str]:
        ids = {x.group for x in g.spec.rules if x.egress is egress and x.group}
        found = (call.store.get(r.GROUP, call.account, call.region, id) for id in ids)
        return [other.spec.group for other in found if other is not None]

    return {("egress." if egress else "") + "ip-permission.group-name": names}


def _list(value: str | Sequence[str] | object) -> Sequence[str]:
    return [value] if isinstance(value, str) else []


FILTERS: dict[str, Values[r.GroupR]] = {
    "description": lambda g: g.spec.description,
    "group-id": lambda g: g.meta.name,
    "group-name": lambda g: g.spec.group,
    "owner-id": lambda g: g.meta.account,
    "vpc-id": lambda g: g.spec.vpc,
    **rule_filters(False),
    **rule_filters(True),
}


def group_arns(call: Call, request: Request) -> Sequence[str]:
    """The group that a request means, also by its name: a policy that names it holds either way."""
    if "GroupId" in request or "GroupName" not in request:
        return arns("GroupId")(call, request)
    vpc = find.default_vpc(call, call.store)
    found = call.store.find(r.GROUP, "name", f"{vpc.meta.name}/{request['GroupName']}") if vpc else ()
    return [g.meta.arn for g in found] or ["*"]


def _new_group_arns(call: Call, request: Request) -> Sequence[str]:
    vpc = None if "VpcId" in request else find.default_vpc(call, call.store)
    return [*arns("VpcId", creates=("security-group",))(call, request), *([vpc.meta.arn] if vpc else [])]


@ops.on("CreateSecurityGroup", "Description GroupName VpcId TagSpecifications", resources=_new_group_arns)
async def create_security_group(call: Call, request: Request) -> Answer:
    name, description = request["GroupName"].strip(), request["Description"]
    for member, value in (("groupName", name), ("groupDescription", description)):
        if not _TEXT.fullmatch(value):
            raise errors.invalid(
                f"Invalid value '{value}' for parameter {member}. Character sets beyond ASCII are not supported, and "
                f"its length is at most 255."
            )
    if name.startswith("sg-"):
        raise errors.invalid(f"Invalid group name '{name}'. Group names may not be in the format sg-*.")
    if name.lower() == "default":
        raise ApiError("InvalidGroup.Reserved", f"The security group '{name}' is reserved")
    given = tags.given(request, "security-group")
    await tags.allow(call, given, "security-group/*")

    def change(tx: Transaction) -> r.GroupR:
        named = request.get("VpcId")
        vpc = find.one(call, tx, r.VPC, named) if named else find.the_default_vpc(call, tx)
        if tx.find(r.GROUP, "name", f"{vpc.meta.name}/{name}"):
            raise ApiError(
                "InvalidGroup.Duplicate", f"The security group '{name}' already exists for VPC '{vpc.meta.name}'"
            )
        if len(tx.list(r.GROUP, call.account, call.region)) >= MOST:
            raise errors.limit("SecurityGroupLimitExceeded", "security groups")
        rules = (make.egress_to_anywhere(call),)
        return make.new(call, tx, r.GROUP, r.GroupSpec(vpc.meta.name, name, description, rules, given))

    made = await call.store.transact(change)
    return {"GroupId": made.meta.name, "SecurityGroupArn": made.meta.arn, "Tags": tags.shown(given)}


def the_group(call: Call, reader: Reader, request: Request) -> r.GroupR:
    """The group of GroupId, or of GroupName in the default VPC. Raises InvalidGroup.NotFound, MissingParameter."""
    if "GroupId" in request:
        return find.one(call, reader, r.GROUP, request["GroupId"])
    if "GroupName" not in request:
        raise errors.missing("groupName or groupId")
    return named(reader, find.the_default_vpc(call, reader), request["GroupName"])


def named(reader: Reader, vpc: r.VpcR, name: str) -> r.GroupR:
    found = reader.find(r.GROUP, "name", f"{vpc.meta.name}/{name}")
    if not found:
        raise ApiError(
            "InvalidGroup.NotFound",
            f"The security group '{name}' does not exist in default VPC '{vpc.meta.name}'"
            if vpc.spec.default
            else f"The security group '{name}' does not exist in VPC '{vpc.meta.name}'",
        )
    return found[0]


@ops.on("DeleteSecurityGroup", "GroupId GroupName", resources=group_arns)
async def delete_security_group(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> r.GroupR:
        group = the_group(call, tx, request)
        if group.spec.group == "default":
            raise ApiError(
                "CannotDelete",
                f'the specified group: "{group.meta.name}" name: "default" cannot be deleted by a user',
            )
        others = [g for g in tx.find(r.GROUP, "references", group.meta.name) if g.meta.name != group.meta.name]
        if others or tx.count(r.INTERFACE, "group", group.meta.name):
            raise errors.has_dependencies(errors.GROUP, group.meta.name)
        tx.remove(group)
        return group

    gone = await call.store.transact(change)
    return {"Return": True, "GroupId": gone.meta.name}


@ops.on("DescribeSecurityGroups", f"GroupIds GroupNames {ACCEPTS}")
async def describe_security_groups(call: Call, request: Request) -> Answer:
    if request.get("GroupNames"):
        vpc = find.the_default_vpc(call, call.store)
        ids = [named(call.store, vpc, name).meta.name for name in request["GroupNames"]]
        request = {**request, "GroupIds": [*request.get("GroupIds", ()), *ids]}
    known = {**FILTERS, **_by_referenced_name(call, False), **_by_referenced_name(call, True)}
    found, token = described(call, request, r.GROUP, "GroupIds", known)
    return {"SecurityGroups": [present.group(call.store, g) for g in found], "NextToken": token}


@ops.on("GetSecurityGroupsForVpc", f"VpcId {ACCEPTS}")
async def get_security_groups_for_vpc(call: Call, request: Request) -> Answer:
    vpc = find.one(call, call.store, r.VPC, request["VpcId"])
    known: dict[str, Values[r.GroupR]] = {
        "group-id": lambda g: g.meta.name,
        "description": lambda g: g.spec.description,
        "group-name": lambda g: g.spec.group,
        "owner-id": lambda g: g.meta.account,
        "primary-vpc-id": lambda g: g.spec.vpc,
    }
    of_vpc = call.store.find(r.GROUP, "vpc", vpc.meta.name)
    found, token = page(call, request, filters.matching(of_vpc, request.get("Filters", ()), known, tags_of), name_of)
    shapes = [
        {
            "GroupId": g.meta.name,
            "GroupName": g.spec.group,
            "Description": g.spec.description,
            "OwnerId": g.meta.account,
            "PrimaryVpcId": g.spec.vpc,
            "Tags": tags.shown(g.spec.tags),
        }
        for g in found
    ]
    return {"SecurityGroupForVpcs": shapes, "NextToken": token}


@ops.on("DescribeSecurityGroupReferences", "GroupId")
async def describe_security_group_references(call: Call, request: Request) -> Answer:
    """References from other VPCs: none, because VPCs cannot be peered."""
    for id in request["GroupId"]:
        find.one(call, call.store, r.GROUP, id)
    return {"SecurityGroupReferenceSet": []}
