"""Tags on everything."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.services.ec2.ec2_harness import Ec2, filters


@pytest.fixture
def ec2() -> Ec2:
    return Ec2()


async def tags_of(ec2: Ec2, id: str) -> dict[str, str]:
    return {t["Key"]: t["Value"] for t in (await ec2("DescribeTags", Filters=filters(resource_id=id)))["Tags"]}


async def everything(ec2: Ec2) -> dict[str, str]:
    """Resource type → id, one of each."""
    vpc, subnets, group = await ec2.default()
    found: dict[str, Any] = {"vpc": vpc, "subnet": subnets[0], "security-group": group}
    found["internet-gateway"] = (await ec2("DescribeInternetGateways"))["InternetGateways"][0]["InternetGatewayId"]
    found["route-table"] = (await ec2("DescribeRouteTables"))["RouteTables"][0]["RouteTableId"]
    found["network-acl"] = (await ec2("DescribeNetworkAcls"))["NetworkAcls"][0]["NetworkAclId"]
    found["dhcp-options"] = (await ec2("DescribeDhcpOptions"))["DhcpOptions"][0]["DhcpOptionsId"]
    made = await ec2("CreateNetworkInterface", SubnetId=subnets[0])
    found["network-interface"] = made["NetworkInterface"]["NetworkInterfaceId"]
    rules = (await ec2("DescribeSecurityGroupRules"))["SecurityGroupRules"]
    found["security-group-rule"] = rules[0]["SecurityGroupRuleId"]
    return found


async def test_all_kinds_of_resources_are_tagged_at_once(ec2: Ec2) -> None:
    all = await everything(ec2)
    await ec2("CreateTags", Resources=list(all.values()), Tags=[{"Key": "env", "Value": "test"}, {"Key": "bare"}])
    told = (await ec2("DescribeTags", Filters=filters(key="env")))["Tags"]
    assert {t["ResourceType"]: t["ResourceId"] for t in told} == all
    assert all.keys() == {t["ResourceType"] for t in told}
    found = await ec2("DescribeVpcs", Filters=[{"Name": "tag:env", "Values": ["te*"]}])
    assert len(found["Vpcs"]) == 1
    await ec2("DeleteTags", Resources=list(all.values()), Tags=[{"Key": "env", "Value": "other"}])
    assert (await tags_of(ec2, all["vpc"])) == {"env": "test", "bare": ""}
    await ec2("DeleteTags", Resources=[all["vpc"]], Tags=[{"Key": "env"}])
    assert (await tags_of(ec2, all["vpc"])) == {"bare": ""}
    await ec2("DeleteTags", Resources=list(all.values()))
    assert (await ec2("DescribeTags"))["Tags"] == []


async def test_a_tag_is_overwritten(ec2: Ec2) -> None:
    vpc, _, _ = await ec2.default()
    for value in ("one", "two"):
        await ec2("CreateTags", Resources=[vpc], Tags=[{"Key": "Name", "Value": value}])
    assert await tags_of(ec2, vpc) == {"Name": "two"}


async def test_tags_are_refused_as_aws_refuses_them(ec2: Ec2) -> None:
    vpc, subnets, _ = await ec2.default()
    good = [{"Key": "a", "Value": "b"}]
    await ec2.refused("InvalidVpcID.NotFound", "CreateTags", Resources=[subnets[0], "vpc-0"], Tags=good)
    await ec2.refused("InvalidID", "CreateTags", Resources=["what-1"], Tags=good)
    await ec2.refused("InvalidSecurityGroupRuleId.NotFound", "CreateTags", Resources=["sgr-0"], Tags=good)
    for tag in ({"Key": ""}, {"Key": "aws:a"}, {"Key": "a" * 128}, {"Key": "a", "Value": "b" * 256}):
        await ec2.refused("InvalidParameterValue", "CreateTags", Resources=[vpc], Tags=[tag])
    await ec2.refused("InvalidParameterValue", "CreateTags", Resources=[vpc], Tags=[*good, *good])
    many = [{"Key": f"k{n}", "Value": ""} for n in range(50)]
    await ec2("CreateTags", Resources=[vpc], Tags=many)
    await ec2.refused("TagLimitExceeded", "CreateTags", Resources=[vpc], Tags=good)


async def test_tags_have_pages(ec2: Ec2) -> None:
    _, subnets, _ = await ec2.default()
    await ec2("CreateTags", Resources=subnets, Tags=[{"Key": k} for k in "abc"])
    first = await ec2("DescribeTags", MaxResults=5)
    rest = await ec2("DescribeTags", MaxResults=5, NextToken=first["NextToken"])
    all = [(t["ResourceId"], t["Key"]) for page in (first, rest) for t in page["Tags"]]
    assert len(all) == len(set(all)) == 9


async def test_tags_of_a_new_resource_have_to_say_what_they_are_for(ec2: Ec2) -> None:
    tags = [{"Key": "a", "Value": "b"}]
    message = await ec2.refused(
        "InvalidParameter", "CreateVpc", CidrBlock="10.0.0.0/16", TagSpecifications=[{"Tags": tags}]
    )
    assert message == "Tag specification resource type must have a value"
    other = [{"ResourceType": "subnet", "Tags": tags}]
    await ec2.refused("InvalidParameterValue", "CreateVpc", CidrBlock="10.0.0.0/16", TagSpecifications=other)
