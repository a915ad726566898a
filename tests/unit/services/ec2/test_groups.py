"""Security groups and their rules."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.services.ec2.ec2_harness import Ec2, filters

WEB = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


@pytest.fixture
def ec2() -> Ec2:
    return Ec2()


async def made(ec2: Ec2, name: str = "web", **more: Any) -> str:
    answer = await ec2("CreateSecurityGroup", GroupName=name, Description="for a test", **more)
    return str(answer["GroupId"])


async def shown(ec2: Ec2, group: str) -> dict[str, Any]:
    (found,) = (await ec2("DescribeSecurityGroups", GroupIds=[group]))["SecurityGroups"]
    return dict(found)


async def test_a_group_is_born_with_a_way_out_and_no_way_in(ec2: Ec2) -> None:
    vpc, _, _ = await ec2.default()
    tags = [{"ResourceType": "security-group", "Tags": [{"Key": "team", "Value": "a"}]}]
    group = await shown(ec2, await made(ec2, TagSpecifications=tags))
    assert (group["GroupName"], group["VpcId"], group["IpPermissions"]) == ("web", vpc, [])
    assert [(p["IpProtocol"], p["IpRanges"]) for p in group["IpPermissionsEgress"]] == [
        ("-1", [{"CidrIp": "0.0.0.0/0"}])
    ]
    assert group["SecurityGroupArn"].endswith(f"security-group/{group['GroupId']}")
    for wanted in (
        filters(group_name="w?b"),
        filters(group_id=group["GroupId"]),
        filters(description="for*", vpc_id=vpc),
        [{"Name": "tag:team", "Values": ["a"]}],
        [{"Name": "tag-key", "Values": ["team"]}],
    ):
        found = (await ec2("DescribeSecurityGroups", Filters=wanted))["SecurityGroups"]
        assert [g["GroupId"] for g in found] == [group["GroupId"]], wanted
    named = (await ec2("DescribeSecurityGroups", GroupNames=["web"]))["SecurityGroups"]
    assert [g["GroupId"] for g in named] == [group["GroupId"]]
    of_vpc = await ec2("GetSecurityGroupsForVpc", VpcId=vpc, Filters=filters(group_name="web"))
    assert [g["PrimaryVpcId"] for g in of_vpc["SecurityGroupForVpcs"]] == [vpc]


async def test_groups_are_refused_as_aws_refuses_them(ec2: Ec2) -> None:
    vpc, _, default = await ec2.default()
    await made(ec2)
    message = await ec2.refused("InvalidGroup.Duplicate", "CreateSecurityGroup", GroupName="web", Description="d")
    assert message == f"The security group 'web' already exists for VPC '{vpc}'"
    await ec2.refused("InvalidGroup.Reserved", "CreateSecurityGroup", GroupName="default", Description="d")
    await ec2.refused("InvalidParameterValue", "CreateSecurityGroup", GroupName="sg-web", Description="d")
    await ec2.refused("InvalidParameterValue", "CreateSecurityGroup", GroupName="a", Description="ü")
    await ec2.refused("InvalidParameterValue", "CreateSecurityGroup", GroupName=" ", Description="d")
    await ec2.refused("InvalidParameterValue", "CreateSecurityGroup", GroupName="a" * 256, Description="d")
    await ec2.refused("InvalidVpcID.NotFound", "CreateSecurityGroup", GroupName="a", Description="d", VpcId="vpc-0")
    await ec2.refused("CannotDelete", "DeleteSecurityGroup", GroupId=default)
    message = await ec2.refused("InvalidGroup.NotFound", "DeleteSecurityGroup", GroupId="sg-0")
    assert message == "The security group 'sg-0' does not exist"
    await ec2.refused("InvalidGroupId.Malformed", "DescribeSecurityGroups", GroupIds=["web"])
    await ec2.refused("InvalidGroup.NotFound", "DescribeSecurityGroups", GroupNames=["nobody"])
    await ec2.refused("MissingParameter", "DeleteSecurityGroup")
    await ec2("DeleteSecurityGroup", GroupName="web")
    await ec2.refused("InvalidGroup.NotFound", "DeleteSecurityGroup", GroupName="web")


async def test_the_same_name_may_be_used_in_another_vpc(ec2: Ec2) -> None:
    vpc = (await ec2("CreateVpc", CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
    assert await made(ec2) != await made(ec2, VpcId=vpc)


async def test_a_group_that_is_used_stays(ec2: Ec2) -> None:
    _, subnets, _ = await ec2.default()
    server, client = await made(ec2, "server"), await made(ec2, "client")
    pair = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": client}]}
    own = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": server}]}
    await ec2("AuthorizeSecurityGroupIngress", GroupId=server, IpPermissions=[pair, own])
    message = await ec2.refused("DependencyViolation", "DeleteSecurityGroup", GroupId=client)
    assert message == f"resource {client} has a dependent object"
    await ec2("RevokeSecurityGroupIngress", GroupId=server, IpPermissions=[pair])
    await ec2("DeleteSecurityGroup", GroupId=client)
    interface = (await ec2("CreateNetworkInterface", SubnetId=subnets[0], Groups=[server]))["NetworkInterface"]
    await ec2.refused("DependencyViolation", "DeleteSecurityGroup", GroupId=server)
    await ec2("DeleteNetworkInterface", NetworkInterfaceId=interface["NetworkInterfaceId"])
    assert await ec2("DeleteSecurityGroup", GroupId=server) == {"Return": True, "GroupId": server}


async def test_rules_of_one_protocol_and_range_are_one_permission(ec2: Ec2) -> None:
    group = await made(ec2)
    several = {**WEB, "IpRanges": [{"CidrIp": "10.0.0.9/8", "Description": "office"}, {"CidrIp": "192.168.0.0/16"}]}
    several["Ipv6Ranges"] = [{"CidrIpv6": "2001:DB8::/32"}]
    answer = await ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[several])
    assert [r.get("CidrIpv4") or r.get("CidrIpv6") for r in answer["SecurityGroupRules"]] == [
        "10.0.0.0/8",
        "192.168.0.0/16",
        "2001:db8::/32",
    ]
    await ec2(
        "AuthorizeSecurityGroupIngress", GroupId=group, IpProtocol="TCP", FromPort=80, ToPort=80, CidrIp="1.1.1.1/32"
    )
    (permission,) = (await shown(ec2, group))["IpPermissions"]
    assert permission["IpRanges"] == [
        {"CidrIp": "10.0.0.0/8", "Description": "office"},
        {"CidrIp": "192.168.0.0/16"},
        {"CidrIp": "1.1.1.1/32"},
    ]
    for wanted in (filters(**{"ip-permission.cidr": "10.0.0.0/8"}), filters(**{"ip-permission.from-port": "80"})):
        assert len((await ec2("DescribeSecurityGroups", Filters=wanted))["SecurityGroups"]) == 1
    none = await ec2("DescribeSecurityGroups", Filters=filters(**{"egress.ip-permission.cidr": "10.0.0.0/8"}))
    assert none["SecurityGroups"] == []


async def test_the_permissions_of_a_group_can_be_given_to_another_and_taken_away(ec2: Ec2) -> None:
    """As `aws ec2 describe-security-groups` and scripts around it do."""
    first, second = await made(ec2, "a"), await made(ec2, "b")
    asked = [
        WEB,
        {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
        {"IpProtocol": "50", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
        {"IpProtocol": "udp", "FromPort": 0, "ToPort": 65535, "UserIdGroupPairs": [{"GroupId": first}]},
        {"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
    ]
    await ec2("AuthorizeSecurityGroupIngress", GroupId=first, IpPermissions=asked)
    told = (await shown(ec2, first))["IpPermissions"]
    clean = [{k: v for k, v in p.items() if v is not None} for p in told]
    await ec2("AuthorizeSecurityGroupIngress", GroupId=second, IpPermissions=clean)
    assert (await shown(ec2, second))["IpPermissions"] == told
    await ec2("RevokeSecurityGroupIngress", GroupId=second, IpPermissions=clean)
    assert (await shown(ec2, second))["IpPermissions"] == []


@pytest.mark.parametrize(("permission", "code"), [
    ({**WEB, "IpProtocol": "tpc"}, "InvalidParameterValue"),
    ({**WEB, "IpProtocol": "256"}, "InvalidParameterValue"),
    ({**WEB, "FromPort": 81}, "InvalidParameterValue"),
    ({**WEB, "ToPort": 65536}, "InvalidParameterValue"),
    ({**WEB, "FromPort": -1}, "InvalidParameterValue"),
    ({"IpProtocol": "tcp", "IpRanges": WEB["IpRanges"]}, "InvalidParameterValue"),
    ({**WEB, "IpRanges": [{"CidrIp": "everywhere"}]}, "InvalidParameterValue"),
    ({**WEB, "IpRanges": [{"CidrIp": "10.0.0.0/33"}]}, "InvalidParameterValue"),
    ({**WEB, "IpRanges": [], "Ipv6Ranges": [{"CidrIpv6": "10.0.0.0/8"}]}, "InvalidParameterValue"),
    ({**WEB, "IpRanges": []}, "InvalidParameterValue"),
    ({**WEB, "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "ä"}]}, "InvalidParameterValue"),
    ({**WEB, "IpProtocol": "icmp", "FromPort": -1, "ToPort": 3}, "InvalidParameterValue"),
    ({**WEB, "IpProtocol": "icmp", "FromPort": 256, "ToPort": -1}, "InvalidParameterValue"),
    ({**WEB, "UserIdGroupPairs": [{"GroupId": "sg-0"}]}, "InvalidGroup.NotFound"),
    ({**WEB, "UserIdGroupPairs": [{"GroupName": "nobody"}]}, "InvalidGroup.NotFound"),
    ({**WEB, "UserIdGroupPairs": [{"UserId": "000000000000"}]}, "MissingParameter"),
    ({**WEB, "PrefixListIds": [{"PrefixListId": "pl-1"}]}, "InvalidPrefixListID.NotFound"),
    ({**WEB, "UserIdGroupPairs": [{"GroupName": "default", "VpcPeeringConnectionId": "pcx-1"}]},
     "InvalidVpcPeeringConnectionID.NotFound"),
    ({"FromPort": 1, "ToPort": 2, "IpRanges": WEB["IpRanges"]}, "InvalidParameterValue"),
])  # fmt: skip
async def test_rules_are_refused_as_aws_refuses_them(ec2: Ec2, permission: dict[str, Any], code: str) -> None:
    group, other = await made(ec2), {**WEB, "FromPort": 79, "ToPort": 79}
    await ec2.refused(code, "AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[other, permission])


async def test_a_rule_cannot_be_there_twice(ec2: Ec2) -> None:
    group = await made(ec2)
    await ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[WEB])
    described = {**WEB, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "another word for it"}]}
    message = await ec2.refused(
        "InvalidPermission.Duplicate", "AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[described]
    )
    assert message == ('the specified rule "peer: 0.0.0.0/0, TCP, from port: 80, to port: 80, ALLOW" already exists')
    other = {**WEB, "FromPort": 81, "ToPort": 81}
    message = await ec2.refused(
        "InvalidParameterValue", "AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[other, other]
    )
    assert message == "The same permission must not appear multiple times"
    await ec2("AuthorizeSecurityGroupEgress", GroupId=group, IpPermissions=[WEB])
    await ec2.refused("MissingParameter", "AuthorizeSecurityGroupIngress", GroupId=group)
    await ec2.refused(
        "InvalidParameterCombination",
        "AuthorizeSecurityGroupIngress",
        GroupId=group,
        IpPermissions=[other],
        IpProtocol="tcp",
    )


async def test_a_group_has_at_most_sixty_rules_each_way(ec2: Ec2) -> None:
    group = await made(ec2)
    ranges = [{"CidrIp": f"10.0.{n}.0/24"} for n in range(60)]
    await ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[{**WEB, "IpRanges": ranges}])
    await ec2.refused(
        "RulesPerSecurityGroupLimitExceeded", "AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[WEB]
    )
    six = {"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
    await ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[six])


async def test_groups_refer_to_groups_of_their_vpc_only(ec2: Ec2) -> None:
    vpc = (await ec2("CreateVpc", CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
    here, there = await made(ec2, "here"), await made(ec2, "there", VpcId=vpc)
    pair = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": there}]}
    await ec2.refused("InvalidGroup.NotFound", "AuthorizeSecurityGroupIngress", GroupId=here, IpPermissions=[pair])
    named = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupName": "there"}]}
    await ec2("AuthorizeSecurityGroupIngress", GroupId=there, IpPermissions=[named])
    (permission,) = (await shown(ec2, there))["IpPermissions"]
    assert permission["UserIdGroupPairs"] == [{"GroupId": there, "UserId": "000000000000"}]
    await ec2("AuthorizeSecurityGroupIngress", GroupId=here, SourceSecurityGroupName="default")
    (permission,) = (await shown(ec2, here))["IpPermissions"]
    assert permission["UserIdGroupPairs"][0]["GroupId"] == (await ec2.default())[2]
    assert (await ec2("DescribeSecurityGroupReferences", GroupId=[here])) == {"SecurityGroupReferenceSet": []}


async def test_a_rule_that_is_not_there_cannot_be_revoked(ec2: Ec2) -> None:
    """In the default VPC the answer names it, as documented; elsewhere it is an error."""
    vpc = (await ec2("CreateVpc", CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
    here, there = await made(ec2, "here"), await made(ec2, "there", VpcId=vpc)
    await ec2.refused("InvalidPermission.NotFound", "RevokeSecurityGroupIngress", GroupId=there, IpPermissions=[WEB])
    answer = await ec2("RevokeSecurityGroupIngress", GroupId=here, IpPermissions=[WEB])
    assert [p["FromPort"] for p in answer["UnknownIpPermissions"]] == [80] and not answer["RevokedSecurityGroupRules"]


async def test_rules_have_ids_of_their_own(ec2: Ec2) -> None:
    group = await made(ec2)
    tags = [{"ResourceType": "security-group-rule", "Tags": [{"Key": "Name", "Value": "web"}]}]
    ports = [{**WEB, "FromPort": n, "ToPort": n} for n in range(80, 90)]
    answer = await ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=ports, TagSpecifications=tags)
    ids = [r["SecurityGroupRuleId"] for r in answer["SecurityGroupRules"]]
    of_group = filters(group_id=group)
    first = await ec2("DescribeSecurityGroupRules", Filters=of_group, MaxResults=6)
    rest = await ec2("DescribeSecurityGroupRules", Filters=of_group, MaxResults=6, NextToken=first["NextToken"])
    found = [r for page in (first, rest) for r in page["SecurityGroupRules"]]
    assert {r["SecurityGroupRuleId"] for r in found if not r["IsEgress"]} == set(ids) and len(found) == 11
    tagged = await ec2("DescribeSecurityGroupRules", Filters=[{"Name": "tag:Name", "Values": ["web"]}])
    assert len(tagged["SecurityGroupRules"]) == 10
    await ec2("RevokeSecurityGroupIngress", GroupId=group, SecurityGroupRuleIds=ids[:9])
    await ec2.refused(
        "InvalidSecurityGroupRuleId.NotFound", "RevokeSecurityGroupIngress", GroupId=group, SecurityGroupRuleIds=ids
    )
    await ec2.refused("InvalidSecurityGroupRuleId.NotFound", "DescribeSecurityGroupRules", SecurityGroupRuleIds=ids[:1])
    (left,) = (await ec2("DescribeSecurityGroupRules", SecurityGroupRuleIds=ids[9:]))["SecurityGroupRules"]
    assert (left["FromPort"], left["CidrIpv4"], left["Tags"]) == (89, "0.0.0.0/0", [{"Key": "Name", "Value": "web"}])


async def test_rules_are_modified_whole(ec2: Ec2) -> None:
    group = await made(ec2)
    answer = await ec2(
        "AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[WEB, {**WEB, "FromPort": 443, "ToPort": 443}]
    )
    first, second = (r["SecurityGroupRuleId"] for r in answer["SecurityGroupRules"])
    rule = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8081, "CidrIpv4": "10.0.0.0/8", "Description": "new"}

    async def modify(id: str, rule: dict[str, Any]) -> None:
        wanted = [{"SecurityGroupRuleId": id, "SecurityGroupRule": rule}]
        await ec2("ModifySecurityGroupRules", GroupId=group, SecurityGroupRules=wanted)

    await modify(first, rule)
    (found,) = (await ec2("DescribeSecurityGroupRules", SecurityGroupRuleIds=[first]))["SecurityGroupRules"]
    assert [found[m] for m in ("FromPort", "ToPort", "CidrIpv4", "Description")] == [8080, 8081, "10.0.0.0/8", "new"]
    await modify(second, {"IpProtocol": "-1", "ReferencedGroupId": group})
    sides = "cidrIp, cidrIpv6, prefixListId, or referencedGroupId"
    for id, wanted, code, words in (
        (second, rule, "InvalidPermission.Duplicate", "already exists"),
        ("sgr-0", rule, "InvalidSecurityGroupRuleId.NotFound", "The security group rule ID 'sgr-0' does not exist"),
        (first, {**rule, "ReferencedGroupId": group}, "InvalidParameterCombination", f"Only one of {sides} can be "),
        (first, without(rule, "CidrIpv4"), "MissingParameter", f"The request must contain exactly one of: {sides}"),
        (
            first,
            without(rule, "IpProtocol"),
            "InvalidParameterValue",
            "Invalid value 'null' for protocol. VPC security",
        ),
        (first, without(rule, "FromPort"), "InvalidParameterValue", "Invalid value for portRange. Must specify both "),
        (first, {**rule, "CidrIpv4": "x"}, "InvalidParameterValue", "x"),
    ):
        asked = [{"SecurityGroupRuleId": id, "SecurityGroupRule": wanted}]
        told = await ec2.refused(code, "ModifySecurityGroupRules", GroupId=group, SecurityGroupRules=asked)
        assert words in told


def without(shape: dict[str, Any], member: str) -> dict[str, Any]:
    return {k: v for k, v in shape.items() if k != member}


async def test_groups_and_rules_are_found_by_the_groups_that_they_name(ec2: Ec2) -> None:
    served, server = await made(ec2, "served"), await made(ec2, "server")
    pair = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": served}]}
    await ec2("AuthorizeSecurityGroupIngress", GroupId=server, IpPermissions=[pair])
    for wanted, ids in (
        ({"ip-permission.group-name": "served"}, [server]),
        ({"ip-permission.group-name": "server"}, []),
        ({"egress.ip-permission.group-name": "served"}, []),
    ):
        found = await ec2("DescribeSecurityGroups", Filters=filters(**wanted))
        assert [g["GroupId"] for g in found["SecurityGroups"]] == ids
    none = await ec2("DescribeSecurityGroupRules", Filters=filters(group_id="sg-00000000000000000"))
    assert none["SecurityGroupRules"] == []
    message = await ec2.refused(
        "InvalidGroupId.Malformed", "DescribeSecurityGroupRules", Filters=filters(group_id="server")
    )
    assert message == "The security group ID 'server' is malformed"


async def test_descriptions_change_and_nothing_else(ec2: Ec2) -> None:
    group = await made(ec2)
    answer = await ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[WEB])
    id = answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    named = {**WEB, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "all the world"}]}
    await ec2("UpdateSecurityGroupRuleDescriptionsIngress", GroupId=group, IpPermissions=[named])
    assert (await shown(ec2, group))["IpPermissions"][0]["IpRanges"] == named["IpRanges"]
    by_id = [{"SecurityGroupRuleId": id, "Description": "by its id"}]
    await ec2("UpdateSecurityGroupRuleDescriptionsIngress", GroupId=group, SecurityGroupRuleDescriptions=by_id)
    assert (await shown(ec2, group))["IpPermissions"][0]["IpRanges"][0]["Description"] == "by its id"
    await ec2.refused(
        "InvalidPermission.NotFound",
        "UpdateSecurityGroupRuleDescriptionsEgress",
        GroupId=group,
        IpPermissions=[named],
    )
    await ec2.refused(
        "InvalidSecurityGroupRuleId.NotFound",
        "UpdateSecurityGroupRuleDescriptionsEgress",
        GroupId=group,
        SecurityGroupRuleDescriptions=by_id,
    )


async def test_rules_are_tagged_on_leave_only(ec2: Ec2) -> None:
    group = await made(ec2)
    ec2.denied.add("ec2:CreateTags")
    tags = [{"ResourceType": "security-group-rule", "Tags": [{"Key": "a", "Value": "b"}]}]
    await ec2.refused(
        "UnauthorizedOperation",
        "AuthorizeSecurityGroupIngress",
        GroupId=group,
        IpPermissions=[WEB],
        TagSpecifications=tags,
    )
