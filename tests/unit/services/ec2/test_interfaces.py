"""Network interfaces: addresses, groups, and who may do what with them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.unit.services.ec2.ec2_harness import ECS, ELB, Ec2, filters


@pytest.fixture
def ec2() -> Ec2:
    return Ec2()


async def made(ec2: Ec2, subnet: str, **more: Any) -> dict[str, Any]:
    return dict((await ec2("CreateNetworkInterface", SubnetId=subnet, **more))["NetworkInterface"])


async def small(ec2: Ec2) -> str:
    """A subnet of eleven addresses."""
    vpc, _, _ = await ec2.default()
    made = await ec2("CreateSubnet", VpcId=vpc, CidrBlock="172.31.200.0/28", AvailabilityZone="us-east-1b")
    return str(made["Subnet"]["SubnetId"])


async def test_an_interface_has_an_address_of_its_subnet(ec2: Ec2) -> None:
    vpc, subnets, default = await ec2.default()
    one = await made(ec2, subnets[1], Description="mine")
    assert re.fullmatch(r"172\.31\.(1[6-9]|2\d|3[01])\.\d+", one["PrivateIpAddress"])
    assert one["PrivateDnsName"] == f"ip-{one['PrivateIpAddress'].replace('.', '-')}.ec2.internal"
    assert (one["VpcId"], one["SubnetId"], one["AvailabilityZone"]) == (vpc, subnets[1], "us-east-1b")
    assert (one["Status"], one["RequesterManaged"], one["Attachment"]) == ("available", False, None)
    assert one["Groups"] == [{"GroupId": default, "GroupName": "default"}]
    assert re.fullmatch(r"02(:[0-9a-f]{2}){5}", one["MacAddress"])
    (subnet,) = (await ec2("DescribeSubnets", SubnetIds=[subnets[1]]))["Subnets"]
    assert subnet["AvailableIpAddressCount"] == 4090
    for wanted in (
        filters(subnet_id=subnets[1]),
        filters(private_ip_address=one["PrivateIpAddress"], status="available"),
        filters(group_name="default", description="mi*"),
        filters(private_dns_name=one["PrivateDnsName"]),
        filters(mac_address=one["MacAddress"], vpc_id=vpc),
    ):
        found = (await ec2("DescribeNetworkInterfaces", Filters=wanted))["NetworkInterfaces"]
        assert [i["NetworkInterfaceId"] for i in found] == [one["NetworkInterfaceId"]], wanted


async def test_a_subnet_gives_each_address_once_until_it_is_full(ec2: Ec2) -> None:
    """And again when it was given back."""
    subnet = await small(ec2)
    all = [await made(ec2, subnet) for _ in range(11)]
    assert {i["PrivateIpAddress"] for i in all} == {f"172.31.200.{n}" for n in range(4, 15)}
    assert len({i["MacAddress"] for i in all}) == 11
    await ec2.refused("InsufficientFreeAddressesInSubnet", "CreateNetworkInterface", SubnetId=subnet)
    await ec2("DeleteNetworkInterface", NetworkInterfaceId=all[5]["NetworkInterfaceId"])
    assert (await made(ec2, subnet))["PrivateIpAddress"] == all[5]["PrivateIpAddress"]
    await ec2.refused("DependencyViolation", "DeleteSubnet", SubnetId=subnet)


async def test_an_address_can_be_chosen(ec2: Ec2) -> None:
    subnet = await small(ec2)
    assert (await made(ec2, subnet, PrivateIpAddress="172.31.200.9"))["PrivateIpAddress"] == "172.31.200.9"
    listed = [{"Primary": True, "PrivateIpAddress": "172.31.200.10"}]
    assert (await made(ec2, subnet, PrivateIpAddresses=listed))["PrivateIpAddress"] == "172.31.200.10"
    for address, code in (
        ("172.31.200.9", "InvalidIPAddress.InUse"),
        ("172.31.200.3", "InvalidParameterValue"),
        ("172.31.200.15", "InvalidParameterValue"),
        ("172.31.201.5", "InvalidParameterValue"),
        ("172.31.200", "InvalidParameterValue"),
    ):
        await ec2.refused(code, "CreateNetworkInterface", SubnetId=subnet, PrivateIpAddress=address)
    two = [*listed, {"Primary": False, "PrivateIpAddress": "172.31.200.11"}]
    await ec2.refused("NotImplementedException", "CreateNetworkInterface", SubnetId=subnet, PrivateIpAddresses=two)
    await ec2.refused(
        "InvalidParameterCombination",
        "CreateNetworkInterface",
        SubnetId=subnet,
        PrivateIpAddress="172.31.200.12",
        PrivateIpAddresses=listed,
    )


async def test_interfaces_are_refused_as_aws_refuses_them(ec2: Ec2) -> None:
    _, subnets, default = await ec2.default()
    await ec2.refused("InvalidSubnetID.NotFound", "CreateNetworkInterface", SubnetId="subnet-0")
    await ec2.refused("InvalidGroup.NotFound", "CreateNetworkInterface", SubnetId=subnets[0], Groups=["sg-0"])
    vpc = (await ec2("CreateVpc", CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
    other = (await ec2("CreateSecurityGroup", GroupName="a", Description="b", VpcId=vpc))["GroupId"]
    await ec2.refused("InvalidParameter", "CreateNetworkInterface", SubnetId=subnets[0], Groups=[other])
    many = [default]
    for n in range(5):
        many.append((await ec2("CreateSecurityGroup", GroupName=f"g{n}", Description="b"))["GroupId"])
    await ec2.refused(
        "SecurityGroupsPerInterfaceLimitExceeded", "CreateNetworkInterface", SubnetId=subnets[0], Groups=many
    )
    await ec2.refused("NotImplementedException", "CreateNetworkInterface", SubnetId=subnets[0], InterfaceType="efa")
    await ec2.refused("NotImplementedException", "CreateNetworkInterface", SubnetId=subnets[0], Ipv6AddressCount=1)
    message = await ec2.refused(
        "InvalidNetworkInterfaceID.NotFound", "DeleteNetworkInterface", NetworkInterfaceId="eni-0"
    )
    assert message == "The networkInterface ID 'eni-0' does not exist"


async def test_a_token_makes_one_interface(ec2: Ec2) -> None:
    _, subnets, _ = await ec2.default()
    first = await made(ec2, subnets[0], ClientToken="t")
    assert (await made(ec2, subnets[0], ClientToken="t"))["NetworkInterfaceId"] == first["NetworkInterfaceId"]
    await ec2.refused("IdempotentParameterMismatch", "CreateNetworkInterface", SubnetId=subnets[1], ClientToken="t")
    assert (await made(ec2, subnets[1], ClientToken="u"))["NetworkInterfaceId"] != first["NetworkInterfaceId"]


async def test_interfaces_of_services_are_attached_and_theirs(ec2: Ec2) -> None:
    _, subnets, _ = await ec2.default()
    task = await made(ec2, subnets[0], service=ECS)
    lb = await made(ec2, subnets[0], service=ELB)
    assert (task["Status"], task["RequesterManaged"], task["Attachment"]["Status"]) == ("in-use", True, "attached")
    assert (lb["RequesterId"], lb["Attachment"]["InstanceOwnerId"]) == ("amazon-elb", "amazon-elb")
    found = await ec2("DescribeNetworkInterfaces", Filters=filters(requester_managed="true", requester_id="amazon-elb"))
    assert [i["NetworkInterfaceId"] for i in found["NetworkInterfaces"]] == [lb["NetworkInterfaceId"]]
    message = await ec2.refused(
        "InvalidParameterValue", "DeleteNetworkInterface", NetworkInterfaceId=task["NetworkInterfaceId"]
    )
    assert message == f"Network interface '{task['NetworkInterfaceId']}' is currently in use."
    await ec2("DeleteNetworkInterface", NetworkInterfaceId=task["NetworkInterfaceId"], service=ECS)


async def test_attributes(ec2: Ec2) -> None:
    _, subnets, default = await ec2.default()
    id = (await made(ec2, subnets[0]))["NetworkInterfaceId"]
    group = (await ec2("CreateSecurityGroup", GroupName="a", Description="b"))["GroupId"]
    await ec2("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=id, Groups=[group, default])
    await ec2("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=id, Description={"Value": "new"})
    for attribute, answer in (
        ("description", {"Description": {"Value": "new"}}),
        ("sourceDestCheck", {"SourceDestCheck": {"Value": True}}),
        ("groupSet", {"Groups": [{"GroupId": group, "GroupName": "a"}, {"GroupId": default, "GroupName": "default"}]}),
    ):
        told = await ec2("DescribeNetworkInterfaceAttribute", NetworkInterfaceId=id, Attribute=attribute)
        assert told == {"NetworkInterfaceId": id, **answer}
    name = "ModifyNetworkInterfaceAttribute"
    await ec2.refused("InvalidParameterCombination", name, NetworkInterfaceId=id)
    await ec2.refused("InvalidGroup.NotFound", name, NetworkInterfaceId=id, Groups=["sg-0"])
    await ec2.refused("NotImplementedException", name, NetworkInterfaceId=id, SourceDestCheck={"Value": False})


async def test_private_names_follow_the_vpcs_attributes(ec2: Ec2) -> None:
    vpc = (await ec2("CreateVpc", CidrBlock="10.0.0.0/16", region="eu-west-1"))["Vpc"]["VpcId"]
    there = {"region": "eu-west-1"}
    subnet = (await ec2("CreateSubnet", VpcId=vpc, CidrBlock="10.0.0.0/24", **there))["Subnet"]["SubnetId"]
    id = (await made(ec2, subnet, PrivateIpAddress="10.0.0.7", **there))["NetworkInterfaceId"]

    async def name() -> str | None:
        (found,) = (await ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=[id], **there))["NetworkInterfaces"]
        return found["PrivateDnsName"]

    assert await name() is None
    await ec2("ModifyVpcAttribute", VpcId=vpc, EnableDnsHostnames={"Value": True}, **there)
    assert await name() == "ip-10-0-0-7.eu-west-1.compute.internal"
    await ec2("ModifyVpcAttribute", VpcId=vpc, EnableDnsSupport={"Value": False}, **there)
    assert await name() is None
    await ec2.refused(
        "InvalidParameterCombination",
        "ModifyVpcAttribute",
        VpcId=vpc,
        EnableDnsSupport={"Value": True},
        EnableDnsHostnames={"Value": True},
        **there,
    )
