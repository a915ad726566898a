"""VPCs, subnets and what leads out of them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.services.ec2.ec2_harness import Ec2, filters

from havre.control import nodes
from havre.kernel.errors import ApiError
from havre.services.ec2.operations.absent import ABSENT


@pytest.fixture
def ec2() -> Ec2:
    return Ec2()


async def test_the_default_vpc_is_as_aws_makes_it(ec2: Ec2) -> None:
    vpc, subnets, group = await ec2.default()
    (shown,) = (await ec2("DescribeVpcs"))["Vpcs"]
    assert (shown["CidrBlock"], shown["IsDefault"], shown["State"]) == ("172.31.0.0/16", True, "available")
    found = (await ec2("DescribeSubnets", SubnetIds=subnets))["Subnets"]
    assert {s["CidrBlock"]: s["AvailabilityZone"] for s in found} == {
        "172.31.0.0/20": "us-east-1a",
        "172.31.16.0/20": "us-east-1b",
        "172.31.32.0/20": "us-east-1c",
    }
    assert all(s["DefaultForAz"] and s["MapPublicIpOnLaunch"] and s["AvailableIpAddressCount"] == 4091 for s in found)
    (table,) = (await ec2("DescribeRouteTables"))["RouteTables"]
    (gateway,) = (await ec2("DescribeInternetGateways"))["InternetGateways"]
    assert [(r["DestinationCidrBlock"], r["GatewayId"], r["State"]) for r in table["Routes"]] == [
        ("172.31.0.0/16", "local", "active"),
        ("0.0.0.0/0", gateway["InternetGatewayId"], "active"),
    ]
    assert table["Associations"][0]["Main"] and gateway["Attachments"] == [{"State": "available", "VpcId": vpc}]
    (acl,) = (await ec2("DescribeNetworkAcls"))["NetworkAcls"]
    assert {a["SubnetId"] for a in acl["Associations"]} == set(subnets)
    (options,) = (await ec2("DescribeDhcpOptions"))["DhcpOptions"]
    assert options["DhcpOptionsId"] == shown["DhcpOptionsId"]
    attribute = await ec2("DescribeVpcAttribute", VpcId=vpc, Attribute="enableDnsHostnames")
    assert attribute == {"VpcId": vpc, "EnableDnsHostnames": {"Value": True}}
    assert len(vpc) == len("vpc-0123456789abcdef0") and group.startswith("sg-")


async def test_each_account_and_region_has_its_own_default_vpc_made_once(ec2: Ec2) -> None:
    here = (await ec2.default())[0]
    there = (await ec2("DescribeVpcs", region="eu-central-1"))["Vpcs"][0]["VpcId"]
    theirs = (await ec2("DescribeVpcs", account="111111111111"))["Vpcs"][0]["VpcId"]
    assert len({here, there, theirs}) == 3
    assert (await ec2.default())[0] == here
    (options,) = (await ec2("DescribeDhcpOptions", region="eu-central-1"))["DhcpOptions"]
    assert options["DhcpConfigurations"][0]["Values"] == [{"Value": "eu-central-1.compute.internal"}]
    await ec2.refused("InvalidVpcID.NotFound", "DescribeVpcs", VpcIds=[there])


async def test_a_deleted_default_vpc_stays_away_until_it_is_asked_for(ec2: Ec2) -> None:
    vpc, subnets, _ = await ec2.default()
    await ec2.refused("DefaultVpcAlreadyExists", "CreateDefaultVpc")
    assert "dependencies" in await ec2.refused("DependencyViolation", "DeleteVpc", VpcId=vpc)
    (gateway,) = (await ec2("DescribeInternetGateways"))["InternetGateways"]
    for subnet in subnets:
        await ec2("DeleteSubnet", SubnetId=subnet)
    await ec2.refused("DependencyViolation", "DeleteInternetGateway", InternetGatewayId=gateway["InternetGatewayId"])
    await ec2("DetachInternetGateway", InternetGatewayId=gateway["InternetGatewayId"], VpcId=vpc)
    await ec2("DeleteVpc", VpcId=vpc)
    assert (await ec2("DescribeVpcs"))["Vpcs"] == []
    assert (await ec2("DescribeRouteTables"))["RouteTables"] == []
    await ec2.refused("VPCIdNotSpecified", "CreateSecurityGroup", GroupName="a", Description="b")
    await ec2.refused("DefaultVpcDoesNotExist", "CreateDefaultSubnet", AvailabilityZone="us-east-1a")
    assert (await ec2("CreateDefaultVpc"))["Vpc"]["IsDefault"]


async def test_a_default_subnet_takes_the_first_free_block(ec2: Ec2) -> None:
    _, subnets, _ = await ec2.default()
    await ec2.refused(
        "DefaultSubnetAlreadyExistsInAvailabilityZone", "CreateDefaultSubnet", AvailabilityZone="us-east-1b"
    )
    await ec2("DeleteSubnet", SubnetId=subnets[1])
    made = (await ec2("CreateDefaultSubnet", AvailabilityZoneId="use1-az2"))["Subnet"]
    assert (made["CidrBlock"], made["AvailabilityZone"], made["DefaultForAz"]) == ("172.31.16.0/20", "us-east-1b", True)


async def test_a_vpc_is_made_with_what_belongs_to_it(ec2: Ec2) -> None:
    tags = [{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "mine"}]}]
    made = (await ec2("CreateVpc", CidrBlock="10.1.2.3/16", TagSpecifications=tags))["Vpc"]
    assert (made["CidrBlock"], made["State"], made["IsDefault"]) == ("10.1.0.0/16", "pending", False)
    assert made["Tags"] == [{"Key": "Name", "Value": "mine"}] and ec2.authorized == ["ec2:CreateTags"]
    here = filters(vpc_id=made["VpcId"])
    (group,) = (await ec2("DescribeSecurityGroups", Filters=here))["SecurityGroups"]
    assert group["GroupName"] == "default"
    assert group["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"] == group["GroupId"]
    (table,) = (await ec2("DescribeRouteTables", Filters=here))["RouteTables"]
    assert [r["GatewayId"] for r in table["Routes"]] == ["local"]
    await ec2("DeleteVpc", VpcId=made["VpcId"])
    await ec2.refused("InvalidVpcID.NotFound", "DeleteVpc", VpcId=made["VpcId"])


async def test_vpcs_are_refused_as_aws_refuses_them(ec2: Ec2) -> None:
    assert (
        await ec2.refused("InvalidVpc.Range", "CreateVpc", CidrBlock="10.0.0.0/15")
        == "The CIDR '10.0.0.0/15' is invalid."
    )
    for block in ("10.0.0.0/29", "127.0.0.0/16", "169.254.0.0/24", "239.1.0.0/16", "0.0.0.0/16"):
        await ec2.refused("InvalidVpc.Range", "CreateVpc", CidrBlock=block)
    await ec2.refused("InvalidParameterValue", "CreateVpc", CidrBlock="10.0.0.0")
    await ec2.refused("MissingParameter", "CreateVpc")
    await ec2.refused("NotImplementedException", "CreateVpc", CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=True)
    await ec2.refused("NotImplementedException", "CreateVpc", CidrBlock="10.0.0.0/16", InstanceTenancy="dedicated")
    wrong = [{"ResourceType": "subnet", "Tags": [{"Key": "a", "Value": "b"}]}]
    await ec2.refused("InvalidParameterValue", "CreateVpc", CidrBlock="10.0.0.0/16", TagSpecifications=wrong)
    message = await ec2.refused("InvalidVpcID.NotFound", "DescribeVpcs", VpcIds=["vpc-1"])
    assert message == "The vpc ID 'vpc-1' does not exist"
    await ec2.refused("InvalidVpcID.Malformed", "DescribeVpcs", VpcIds=["subnet-1"])
    for number in range(99):
        await ec2("CreateVpc", CidrBlock=f"10.{number}.0.0/16", AmazonProvidedIpv6CidrBlock=False)
    await ec2.refused("VpcLimitExceeded", "CreateVpc", CidrBlock="10.200.0.0/16")


async def test_tags_need_leave_to_tag(ec2: Ec2) -> None:
    await ec2.default()
    ec2.denied.add("ec2:CreateTags")
    tags = [{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "mine"}]}]
    await ec2.refused("UnauthorizedOperation", "CreateVpc", CidrBlock="10.0.0.0/16", TagSpecifications=tags)


async def test_subnets_are_refused_as_aws_refuses_them(ec2: Ec2) -> None:
    vpc, _, _ = await ec2.default()
    message = await ec2.refused("InvalidSubnet.Conflict", "CreateSubnet", VpcId=vpc, CidrBlock="172.31.0.0/24")
    assert message == "The CIDR '172.31.0.0/24' conflicts with another subnet"
    await ec2.refused("InvalidSubnet.Range", "CreateSubnet", VpcId=vpc, CidrBlock="10.0.0.0/24")
    await ec2.refused("InvalidSubnet.Range", "CreateSubnet", VpcId=vpc, CidrBlock="172.31.128.0/29")
    await ec2.refused("InvalidParameterValue", "CreateSubnet", VpcId=vpc, CidrBlock="here")
    await ec2.refused(
        "InvalidParameterValue", "CreateSubnet", VpcId=vpc, CidrBlock="172.31.128.0/24", AvailabilityZone="us-east-1z"
    )
    await ec2.refused("InvalidVpcID.NotFound", "CreateSubnet", VpcId="vpc-0", CidrBlock="172.31.128.0/24")
    made = (await ec2("CreateSubnet", VpcId=vpc, CidrBlock="172.31.128.0/28", AvailabilityZone="us-east-1c"))["Subnet"]
    assert (made["AvailableIpAddressCount"], made["MapPublicIpOnLaunch"]) == (11, False)
    await ec2("ModifySubnetAttribute", SubnetId=made["SubnetId"], MapPublicIpOnLaunch={"Value": True})
    found = await ec2("DescribeSubnets", Filters=filters(map_public_ip_on_launch="true", default_for_az="false"))
    assert [s["SubnetId"] for s in found["Subnets"]] == [made["SubnetId"]]
    await ec2.refused(
        "NotImplementedException", "ModifySubnetAttribute", SubnetId=made["SubnetId"], EnableDns64={"Value": True}
    )
    await ec2("DeleteSubnet", SubnetId=made["SubnetId"])
    await ec2.refused("InvalidSubnetID.NotFound", "DeleteSubnet", SubnetId=made["SubnetId"])


async def test_routes_lead_to_the_vpcs_own_gateway(ec2: Ec2) -> None:
    vpc = (await ec2("CreateVpc", CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
    table = (await ec2("CreateRouteTable", VpcId=vpc, ClientToken="t"))["RouteTable"]["RouteTableId"]
    again = await ec2("CreateRouteTable", VpcId=vpc, ClientToken="t")
    assert again["RouteTable"]["RouteTableId"] == table
    default = (await ec2.default())[0]
    await ec2.refused("IdempotentParameterMismatch", "CreateRouteTable", VpcId=default, ClientToken="t")
    gateway = (await ec2("CreateInternetGateway"))["InternetGateway"]["InternetGatewayId"]
    route = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway}
    await ec2.refused("InvalidParameterValue", "CreateRoute", **route)
    await ec2("AttachInternetGateway", InternetGatewayId=gateway, VpcId=vpc)
    await ec2.refused("Resource.AlreadyAssociated", "AttachInternetGateway", InternetGatewayId=gateway, VpcId=vpc)
    assert await ec2("CreateRoute", **route) == {"Return": True}
    await ec2("CreateRoute", **route)
    await ec2.refused("InvalidParameterValue", "CreateRoute", **{**route, "DestinationCidrBlock": "10.0.1.0/24"})
    await ec2.refused("NotImplementedException", "CreateRoute", **{**route, "NatGatewayId": "nat-1"})
    await ec2("DetachInternetGateway", InternetGatewayId=gateway, VpcId=vpc)
    found = (await ec2("DescribeRouteTables", RouteTableIds=[table]))["RouteTables"][0]["Routes"]
    assert [r["State"] for r in found] == ["active", "blackhole"]
    await ec2("DeleteRoute", RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    await ec2.refused("InvalidRoute.NotFound", "DeleteRoute", RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    await ec2("DeleteInternetGateway", InternetGatewayId=gateway)
    await ec2("DeleteRouteTable", RouteTableId=table)


async def test_route_tables_are_associated_with_subnets(ec2: Ec2) -> None:
    vpc, subnets, _ = await ec2.default()
    (main,) = (await ec2("DescribeRouteTables"))["RouteTables"]
    table = (await ec2("CreateRouteTable", VpcId=vpc))["RouteTable"]["RouteTableId"]
    association = (await ec2("AssociateRouteTable", RouteTableId=table, SubnetId=subnets[0]))["AssociationId"]
    again = (await ec2("AssociateRouteTable", RouteTableId=table, SubnetId=subnets[0]))["AssociationId"]
    assert again == association
    await ec2.refused(
        "Resource.AlreadyAssociated", "AssociateRouteTable", RouteTableId=main["RouteTableId"], SubnetId=subnets[0]
    )
    await ec2.refused("DependencyViolation", "DeleteRouteTable", RouteTableId=table)
    await ec2.refused("DependencyViolation", "DeleteRouteTable", RouteTableId=main["RouteTableId"])
    moved = await ec2("ReplaceRouteTableAssociation", AssociationId=association, RouteTableId=main["RouteTableId"])
    await ec2.refused("InvalidAssociationID.NotFound", "DisassociateRouteTable", AssociationId=association)
    await ec2("DisassociateRouteTable", AssociationId=moved["NewAssociationId"])
    own = main["Associations"][0]["RouteTableAssociationId"]
    await ec2.refused("InvalidParameterValue", "DisassociateRouteTable", AssociationId=own)
    await ec2("ReplaceRouteTableAssociation", AssociationId=own, RouteTableId=table)
    found = await ec2("DescribeRouteTables", Filters=[{"Name": "association.main", "Values": ["true"]}])
    assert [t["RouteTableId"] for t in found["RouteTables"]] == [table]


async def test_pages_and_filters(ec2: Ec2) -> None:
    vpc, subnets, _ = await ec2.default()
    for number in range(4):
        await ec2("CreateSubnet", VpcId=vpc, CidrBlock=f"172.31.{128 + number}.0/24")
    first = await ec2("DescribeSubnets", MaxResults=5)
    rest = await ec2("DescribeSubnets", MaxResults=5, NextToken=first["NextToken"])
    ids = [s["SubnetId"] for page in (first, rest) for s in page["Subnets"]]
    assert len(ids) == len(set(ids)) == 7 and not rest.get("NextToken")
    await ec2.refused("InvalidNextToken", "DescribeSubnets", MaxResults=5, NextToken="forged")
    await ec2.refused("InvalidNextToken", "DescribeVpcs", MaxResults=5, NextToken=first["NextToken"])
    await ec2.refused("InvalidParameterCombination", "DescribeSubnets", MaxResults=5, SubnetIds=subnets)
    small = await ec2("DescribeSubnets", Filters=[{"Name": "cidr-block", "Values": ["172.31.12?.0/24", "172.31.13*"]}])
    assert len(small["Subnets"]) == 4
    none = await ec2("DescribeSubnets", Filters=[*filters(vpc_id=vpc), *filters(availability_zone="us-east-1x")])
    assert none["Subnets"] == []
    message = await ec2.refused("InvalidParameterValue", "DescribeSubnets", Filters=filters(colour="red"))
    assert message == "The filter 'colour' is invalid"


@pytest.mark.parametrize(("operation", "member", "code"), [
    ("DescribeVpcs", "VpcIds", "InvalidVpcID"),
    ("DescribeSubnets", "SubnetIds", "InvalidSubnetID"),
    ("DescribeSecurityGroups", "GroupIds", "InvalidGroupId"),
    ("DescribeSecurityGroupRules", "SecurityGroupRuleIds", "InvalidSecurityGroupRuleId"),
    ("DescribeInternetGateways", "InternetGatewayIds", "InvalidInternetGatewayId"),
    ("DescribeRouteTables", "RouteTableIds", "InvalidRouteTableId"),
    ("DescribeNetworkAcls", "NetworkAclIds", "InvalidNetworkAclId"),
    ("DescribeDhcpOptions", "DhcpOptionsIds", "InvalidDhcpOptionsId"),
    ("DescribeNetworkInterfaces", "NetworkInterfaceIds", "InvalidNetworkInterfaceId"),
])  # fmt: skip
async def test_malformed_ids_have_the_codes_that_aws_documents(
    ec2: Ec2, operation: str, member: str, code: str
) -> None:
    message = await ec2.refused(f"{code}.Malformed", operation, **{member: ["what"]})
    assert message.startswith('Invalid id: "what" (expecting "')


async def test_places(ec2: Ec2) -> None:
    zones = (await ec2("DescribeAvailabilityZones", region="ap-southeast-2"))["AvailabilityZones"]
    assert [(z["ZoneName"], z["ZoneId"]) for z in zones] == [
        ("ap-southeast-2a", "apse2-az1"),
        ("ap-southeast-2b", "apse2-az2"),
        ("ap-southeast-2c", "apse2-az3"),
    ]
    await ec2.refused("InvalidParameterValue", "DescribeAvailabilityZones", ZoneNames=["us-east-1q"])
    named = await ec2("DescribeRegions", RegionNames=["eu-central-1"])
    assert [r["RegionName"] for r in named["Regions"]] == ["eu-central-1"]
    assert len((await ec2("DescribeRegions"))["Regions"]) == 17
    vpc, _, _ = await ec2.default()
    found = await ec2("DescribeAccountAttributes", AttributeNames=["default-vpc"])
    assert found["AccountAttributes"][0]["AttributeValues"] == [{"AttributeValue": vpc}]


@pytest.mark.parametrize("absent", ABSENT, ids=lambda a: a.operation)
async def test_what_there_is_none_of_is_an_empty_list(ec2: Ec2, absent: Any) -> None:
    """And every id that is asked for does not exist."""
    assert await ec2(absent.operation) == absent.empty
    for member in absent.ids.split():
        message = await ec2.refused(absent.code, absent.operation, **{member: ["x-1"]})
        assert "'x-1' does not exist" in message


@pytest.mark.parametrize(
    "operation", ["DescribeClassicLinkInstances", "DescribeVpcClassicLink", "DescribeVpcClassicLinkDnsSupport"]
)
async def test_ec2_classic_was_never_here(ec2: Ec2, operation: str) -> None:
    await ec2.refused("UnsupportedOperation", operation)


async def test_nothing_makes_what_there_is_none_of(ec2: Ec2) -> None:
    made = {"RunInstances", "AllocateAddress", "CreateNatGateway", "CreateVpcEndpoint", "CreateVpcPeeringConnection"}
    made |= {
        "CreateNetworkAcl",
        "CreateNetworkAclEntry",
        "ReplaceNetworkAclAssociation",
        "CreateEgressOnlyInternetGateway",
    }
    assert made.isdisjoint(ec2.service.operations)
    await ec2.refused("InvalidAddress.NotFound", "DescribeAddresses", PublicIps=["192.0.2.1"])


async def test_instances_are_the_machines_that_run_tasks(ec2: Ec2) -> None:
    on, off = nodes.NodeStatus(connected=True, cpu=2048, zone="b"), nodes.NodeStatus()
    for name, status in (("one", on), ("two", off)):
        await ec2.store.transact(
            lambda tx, name=name, status=status: tx.create(
                nodes.NODE, account="", region="", name=name, arn="", spec=nodes.NodeSpec(), status=status
            )
        )
    ids = {name: nodes.ec2_instance(name) for name in ("one", "two")}
    found = {i["InstanceId"]: i for r in (await ec2("DescribeInstances"))["Reservations"] for i in r["Instances"]}
    assert found.keys() == set(ids.values())
    one = found[ids["one"]]
    assert (one["State"]["Name"], one["Placement"]["AvailabilityZone"]) == ("running", "us-east-1b")
    running = filters(instance_state_name="running")
    (only,) = (await ec2("DescribeInstances", Filters=running))["Reservations"]
    assert only["Instances"] == [one]
    (status,) = (await ec2("DescribeInstanceStatus"))["InstanceStatuses"]
    assert (status["InstanceId"], status["InstanceStatus"]["Status"]) == (ids["one"], "ok")
    every = (await ec2("DescribeInstanceStatus", IncludeAllInstances=True))["InstanceStatuses"]
    assert {s["InstanceId"]: s["SystemStatus"]["Status"] for s in every}[ids["two"]] == "not-applicable"
    await ec2.refused("InvalidInstanceID.NotFound", "DescribeInstances", InstanceIds=["i-0"])
    await ec2.refused("InvalidInstanceID.Malformed", "DescribeInstanceStatus", InstanceIds=["x"])


async def test_a_failing_disk_changes_nothing(ec2: Ec2) -> None:
    await ec2.default()

    def fault() -> None:
        raise ApiError("Unavailable", "the disk is full")

    ec2.store.fault = fault
    with pytest.raises(ApiError):
        await ec2("CreateVpc", CidrBlock="10.0.0.0/16")
    ec2.store.fault = None
    assert len((await ec2("DescribeVpcs"))["Vpcs"]) == 1
