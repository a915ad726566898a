"""EC2 as boto3 sees it: errors in EC2's shape, DryRun, pages, filters, and every operation that is not built."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from tests.running_gateway import ACCOUNT, ROOT, Running
from tests.unit.services.ec2.ec2_harness import model

from havre.control import nodes
from havre.services import ec2


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    found = Running(besides=[ec2.service()], kinds=nodes.KINDS)
    yield found
    found.close()


@pytest.fixture
def client(running: Running) -> Any:
    return running.client("ec2")


def refused(call: Any, **request: Any) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as told:
        call(**request)
    answer = told.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_each_operation_that_is_not_built_is_named(running: Running) -> None:
    """All of them, in EC2's own shape, before anything of the request is looked at."""
    version = model().api_version
    missing = sorted(set(model().operation_names) - ec2.service().operations.keys())
    assert {"RunInstances", "CreateNatGateway", "AllocateAddress", "CreateVpcEndpoint"} < set(missing)
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=90)
    signer = SigV4Auth(Credentials(ROOT.access_key, ROOT.secret), "ec2", "us-east-1")
    for name in missing:
        asked = AWSRequest("POST", running.url + "/", data=urlencode({"Action": name, "Version": version}))
        asked.headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
        signer.add_auth(asked)
        connection.request("POST", "/", asked.data, dict(asked.headers.items()))
        answer = connection.getresponse()
        root = ElementTree.fromstring(answer.read())
        assert (answer.status, root.tag, root.findtext("Errors/Error/Code")) == (
            501,
            "Response",
            "NotImplementedException",
        )
        assert root.findtext("Errors/Error/Message") == f"Havre does not implement ec2 {name}"
        assert root.findtext("RequestID")
    connection.close()


def test_what_is_not_built_of_an_operation_is_named(client: Any) -> None:
    code, message, status = refused(client.create_vpc, CidrBlock="10.0.0.0/16", Ipv4IpamPoolId="ipam-pool-1")
    assert (code, status) == ("NotImplementedException", 501)
    assert message == "Havre does not implement ec2 the parameter Ipv4IpamPoolId of CreateVpc"


def test_errors_are_spelled_as_ec2_spells_them(client: Any) -> None:
    assert refused(client.describe_vpcs, VpcIds=["vpc-0"]) == (
        "InvalidVpcID.NotFound",
        "The vpc ID 'vpc-0' does not exist",
        400,
    )
    assert refused(client.delete_subnet, SubnetId="subnet-0")[0] == "InvalidSubnetID.NotFound"
    assert (
        refused(client.describe_subnets, Filters=[{"Name": "colour", "Values": ["red"]}])[0] == "InvalidParameterValue"
    )


def test_a_dry_run_is_decided_and_changes_nothing(running: Running, client: Any) -> None:
    before = len(client.describe_vpcs()["Vpcs"])
    code, message, status = refused(client.create_vpc, CidrBlock="10.0.0.0/16", DryRun=True)
    assert (code, status) == ("DryRunOperation", 412)
    assert message == "Request would have succeeded, but DryRun flag is set."
    assert len(client.describe_vpcs()["Vpcs"]) == before
    iam = running.client("iam")
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    reader = running.client("ec2", key)
    code, message, status = refused(reader.create_vpc, CidrBlock="10.0.0.0/16", DryRun=True)
    assert (code, status) == ("UnauthorizedOperation", 403)
    assert "ec2:CreateVpc" in message
    policy = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "ec2:CreateTags", "Resource": "*"}]}"""
    iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=policy)
    assert refused(reader.create_vpc, CidrBlock="10.0.0.0/16", DryRun=True)[0] == "DryRunOperation"
    tags = [{"ResourceType": "vpc", "Tags": [{"Key": "a", "Value": "b"}]}]
    assert refused(reader.create_vpc, CidrBlock="10.0.0.0/16", TagSpecifications=tags)[0] == "UnauthorizedOperation"
    assert len(client.describe_vpcs()["Vpcs"]) == before


def test_policies_name_single_resources(running: Running, client: Any) -> None:
    allowed, other = (
        client.create_security_group(GroupName=n, Description="d")["GroupId"] for n in ("policy-a", "policy-b")
    )
    iam = running.client("iam")
    iam.create_user(UserName="keeper")
    policy = f"""{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Action": "ec2:*SecurityGroup*",
        "Resource": "arn:aws:ec2:us-east-1:*:security-group/{allowed}"}}]}}"""
    iam.put_user_policy(UserName="keeper", PolicyName="p", PolicyDocument=policy)
    keeper = running.client("ec2", iam.create_access_key(UserName="keeper")["AccessKey"])
    rule = dict(IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="0.0.0.0/0")
    keeper.authorize_security_group_ingress(GroupId=allowed, **rule)
    assert refused(keeper.authorize_security_group_ingress, GroupId=other, **rule)[0] == "UnauthorizedOperation"
    assert refused(keeper.delete_security_group, GroupId=other)[0] == "UnauthorizedOperation"
    keeper.delete_security_group(GroupId=allowed)
    client.delete_security_group(GroupId=other)


def test_a_denied_resource_is_denied_by_whatever_it_is_called(running: Running, client: Any) -> None:
    """A group by its name, a route table and a subnet by their association, the default VPC by leaving it out."""
    iam = running.client("iam")
    group = client.create_security_group(GroupName="kept", Description="d")["GroupId"]
    vpc = client.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["VpcId"]
    subnets = client.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    table = client.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    association = client.associate_route_table(RouteTableId=table, SubnetId=subnets[0]["SubnetId"])["AssociationId"]
    rule = dict(IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="0.0.0.0/0")

    def who(name: str, denied: str) -> Any:
        iam.create_user(UserName=name)
        arn = f"arn:aws:ec2:us-east-1:{ACCOUNT}:{denied}"
        policy = [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": "*", "Resource": arn},
        ]
        document = json.dumps({"Version": "2012-10-17", "Statement": policy})
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
        return running.client("ec2", iam.create_access_key(UserName=name)["AccessKey"])

    user = who("no-group", f"security-group/{group}")
    for call, more in (
        (user.authorize_security_group_ingress, rule),
        (user.authorize_security_group_egress, {"IpPermissions": [{"IpProtocol": "-1"}], "GroupId": group}),
        (user.revoke_security_group_ingress, rule),
        (user.delete_security_group, {}),
    ):
        assert (
            refused(call, **({} if "GroupId" in more else {"GroupName": "kept"}), **more)[0] == "UnauthorizedOperation"
        )
    for number, denied in enumerate((f"route-table/{table}", f"subnet/{subnets[0]['SubnetId']}")):
        user = who(f"no-way-{number}", denied)
        assert refused(user.disassociate_route_table, AssociationId=association)[0] == "UnauthorizedOperation"
    user = who("no-vpc", f"vpc/{vpc}")
    assert refused(user.create_security_group, GroupName="new", Description="d")[0] == "UnauthorizedOperation"
    client.disassociate_route_table(AssociationId=association)
    client.delete_route_table(RouteTableId=table)
    client.delete_security_group(GroupId=group)


def test_policies_may_ask_for_tags_and_vpcs(running: Running, client: Any) -> None:
    iam = running.client("iam")
    vpc = client.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]

    def group(team: str, **more: str) -> str:
        made = client.create_security_group(GroupName=f"of-{team}", Description="d", **more)["GroupId"]
        client.create_tags(Resources=[made], Tags=[{"Key": "team", "Value": team}])
        return str(made)

    mine, theirs, there = group("a"), group("b"), group("a", VpcId=vpc)
    arn = f"arn:aws:ec2:us-east-1:{ACCOUNT}:vpc/{vpc}"
    tagged = {"StringEquals": {"ec2:ResourceTag/team": "a"}}
    policy = [
        {
            "Effect": "Allow",
            "Action": ["ec2:DeleteSecurityGroup", "ec2:CreateTags"],
            "Resource": "*",
            "Condition": tagged,
        },
        {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"ArnEquals": {"ec2:Vpc": arn}}},
    ]
    iam.create_user(UserName="of-team-a")
    document = json.dumps({"Version": "2012-10-17", "Statement": policy})
    iam.put_user_policy(UserName="of-team-a", PolicyName="p", PolicyDocument=document)
    user = running.client("ec2", iam.create_access_key(UserName="of-team-a")["AccessKey"])
    for denied in (theirs, there):
        assert refused(user.delete_security_group, GroupId=denied)[0] == "UnauthorizedOperation"
    for several in ([mine, theirs], [mine, there]):
        code = refused(user.create_tags, Resources=several, Tags=[{"Key": "seen", "Value": "yes"}])[0]
        assert code == "UnauthorizedOperation", "each resource is decided by its own tags and VPC"
    user.create_tags(Resources=[mine], Tags=[{"Key": "seen", "Value": "yes"}])
    user.delete_security_group(GroupId=mine)
    for left in (theirs, there):
        client.delete_security_group(GroupId=left)
    client.delete_vpc(VpcId=vpc)


def test_pages_and_waiters_work_as_boto3_has_them(client: Any) -> None:
    vpc = client.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    client.get_waiter("vpc_available").wait(VpcIds=[vpc])
    made = {client.create_subnet(VpcId=vpc, CidrBlock=f"10.7.{n}.0/24")["Subnet"]["SubnetId"] for n in range(12)}
    client.get_waiter("subnet_available").wait(SubnetIds=list(made))
    pages = client.get_paginator("describe_subnets").paginate(
        Filters=[{"Name": "vpc-id", "Values": [vpc]}], PaginationConfig={"PageSize": 5}
    )
    sizes = [[s["SubnetId"] for s in page["Subnets"]] for page in pages]
    assert [len(page) for page in sizes] == [5, 5, 2] and {id for page in sizes for id in page} == made
    code, message, _ = refused(client.describe_subnets, MaxResults=1001)
    assert code == "InvalidParameterValue" and "1001" in message
    for id in made:
        client.delete_subnet(SubnetId=id)
    client.delete_vpc(VpcId=vpc)


def test_a_template_of_terraform_applies_and_is_destroyed(client: Any) -> None:
    """The calls, in their order, of aws_vpc, aws_subnet, aws_internet_gateway, aws_route_table, aws_security_group."""
    vpc = client.create_vpc(CidrBlock="10.8.0.0/16", InstanceTenancy="default")["Vpc"]["VpcId"]
    client.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    for attribute in ("enableDnsHostnames", "enableDnsSupport", "enableNetworkAddressUsageMetrics"):
        client.describe_vpc_attribute(VpcId=vpc, Attribute=attribute)
    here = {"Name": "vpc-id", "Values": [vpc]}
    assert client.describe_network_acls(Filters=[{"Name": "default", "Values": ["true"]}, here])["NetworkAcls"]
    assert client.describe_route_tables(Filters=[{"Name": "association.main", "Values": ["true"]}, here])["RouteTables"]
    assert client.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["default"]}, here])[
        "SecurityGroups"
    ]
    subnet = client.create_subnet(VpcId=vpc, CidrBlock="10.8.1.0/24", AvailabilityZone="us-east-1a")["Subnet"][
        "SubnetId"
    ]
    client.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    gateway = client.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    client.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = client.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    client.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    association = client.associate_route_table(RouteTableId=table, SubnetId=subnet)["AssociationId"]
    group = client.create_security_group(GroupName="tf", Description="Managed by Terraform", VpcId=vpc)["GroupId"]
    anywhere = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    client.revoke_security_group_egress(GroupId=group, IpPermissions=anywhere)
    six = [{"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}]
    assert (
        refused(client.revoke_security_group_egress, GroupId=group, IpPermissions=six)[0]
        == "InvalidPermission.NotFound"
    )
    client.authorize_security_group_egress(GroupId=group, IpPermissions=anywhere)
    assert refused(client.delete_vpc, VpcId=vpc) == (
        "DependencyViolation",
        f"The vpc '{vpc}' has dependencies and cannot be deleted.",
        400,
    )
    client.disassociate_route_table(AssociationId=association)
    client.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    client.delete_route_table(RouteTableId=table)
    client.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    client.delete_internet_gateway(InternetGatewayId=gateway)
    client.delete_security_group(GroupId=group)
    client.delete_subnet(SubnetId=subnet)
    client.delete_vpc(VpcId=vpc)
    assert refused(client.describe_vpcs, VpcIds=[vpc])[0] == "InvalidVpcID.NotFound"
