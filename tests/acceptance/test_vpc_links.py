"""From an HTTP API to tasks that nobody reaches from outside: a VPC link, an internal load balancer, an ECS service."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.images import busybox_image, own

from .conftest import Instance, eventually

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(600), pytest.mark.xdist_group("port 80")]
IMAGE = own("localhost/havre-test-vpc-links")
SERVE = "mkdir -p /w/dev; echo inside > /w/index.html; echo staged > /w/dev/x; exec httpd -f -p 80 -h /w"


def _ask(instance: Instance, host: str, path: str) -> tuple[int, str]:
    request = urllib.request.Request(f"{instance.endpoint}{path}", headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode().strip()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Place:
    """A VPC's groups, and a service behind an internal load balancer there."""

    def __init__(self, instance: Instance) -> None:
        self.ec2, self.elb, self.ecs = (instance.client(each) for each in ("ec2", "elbv2", "ecs"))
        self.vpc = self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        here = [{"Name": "vpc-id", "Values": [self.vpc]}]
        self.subnets = [each["SubnetId"] for each in self.ec2.describe_subnets(Filters=here)["Subnets"]][:2]
        self.link, self.balancer, self.task = (self.group(name) for name in ("link", "balancer", "task"))
        self.allow(self.task, self.balancer)

    def group(self, name: str) -> str:
        return str(self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"])

    def allow(self, group: str, other: str) -> None:
        rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": other}]}
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])

    def listener(self) -> str:
        made = self.elb.create_load_balancer(
            Name="inner", Subnets=self.subnets, SecurityGroups=[self.balancer], Scheme="internal"
        )["LoadBalancers"][0]["LoadBalancerArn"]
        group = self.elb.create_target_group(
            Name="tasks",
            Protocol="HTTP",
            Port=80,
            VpcId=self.vpc,
            TargetType="ip",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        forward = [{"Type": "forward", "TargetGroupArn": group}]
        listener = self.elb.create_listener(LoadBalancerArn=made, Protocol="HTTP", Port=80, DefaultActions=forward)
        self.serve(group)
        return str(listener["Listeners"][0]["ListenerArn"])

    def serve(self, target_group: str) -> None:
        self.ecs.create_cluster(clusterName="c")
        main: dict[str, Any] = {"name": "main", "image": IMAGE, "memory": 32, "portMappings": [{"containerPort": 80}]}
        self.ecs.register_task_definition(family="web", networkMode="awsvpc", containerDefinitions=[main])
        network = {"awsvpcConfiguration": {"subnets": self.subnets, "securityGroups": [self.task]}}
        behind = [{"targetGroupArn": target_group, "containerName": "main", "containerPort": 80}]
        self.ecs.create_service(
            cluster="c", serviceName="web", taskDefinition="web", desiredCount=1, networkConfiguration=network,
            loadBalancers=behind,
        )  # fmt: skip
        health = self.elb.describe_target_health
        eventually(
            lambda: (
                [t["TargetHealth"]["State"] for t in health(TargetGroupArn=target_group)["TargetHealthDescriptions"]]
                == ["healthy"]
            )
        )


@pytest.fixture(scope="module", autouse=True)
def image() -> Iterator[None]:
    with busybox_image(IMAGE, SERVE):
        yield


def test_an_api_reaches_a_service_inside_a_vpc(shared: Instance) -> None:
    place = Place(shared)
    listener = place.listener()
    api = shared.client("apigatewayv2")
    link = api.create_vpc_link(Name="inside", SubnetIds=place.subnets, SecurityGroupIds=[place.link])["VpcLinkId"]
    eventually(lambda: api.get_vpc_link(VpcLinkId=link)["VpcLinkStatus"] == "AVAILABLE")
    made = api.create_api(Name="shop", ProtocolType="HTTP")
    id, host = made["ApiId"], made["ApiEndpoint"].split("/")[2]
    integration = api.create_integration(
        ApiId=id, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", ConnectionType="VPC_LINK", ConnectionId=link,
        IntegrationUri=listener, TimeoutInMillis=1000, PayloadFormatVersion="1.0",
    )["IntegrationId"]  # fmt: skip
    api.create_route(ApiId=id, RouteKey="$default", Target=f"integrations/{integration}")
    for stage in ("$default", "dev"):
        api.create_stage(ApiId=id, StageName=stage, AutoDeploy=True)
    refused = _ask(shared, host, "/")
    assert refused[0] == 503 and json.loads(refused[1]) == {"message": "Service Unavailable"}
    place.allow(place.balancer, place.link)
    assert eventually(lambda: _ask(shared, host, "/") == (200, "inside"), timeout=60)
    assert _ask(shared, host, "/dev/x") == (200, "staged")
    api.delete_vpc_link(VpcLinkId=link)
    eventually(lambda: _ask(shared, host, "/")[0] == 503)
    mine = [{"Name": "group-id", "Values": [place.link]}]
    eventually(lambda: place.ec2.describe_network_interfaces(Filters=mine)["NetworkInterfaces"] == [])
