"""VPC links: their interfaces, what nodes are told, and requests that go by them."""

from __future__ import annotations

import json
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Any

import pytest
from tests.running_gateway import code
from tests.unit.services.apigatewayv2.http_world import World

from havre.control.certificates.authority import Authority
from havre.control.nodes import BALANCER, NODE, NodeSpec, NodeStatus
from havre.control.runner import Runner
from havre.kernel.balancer import LINK, Balancer
from havre.services import apigatewayv2, ec2, elbv2
from havre.services.apigatewayv2.serving.integrations import Doors


class Linked:
    def __init__(self, doors: Path) -> None:
        self.doors = doors
        self.world = World([ec2.service(), elbv2.service()], Doors(doors, doors / "ca.pem"))
        self.api = self.world.api
        self.ec2, self.elb = self.world.running.client("ec2"), self.world.running.client("elbv2")
        deps, store = self.world.deps, self.world.running.store
        found = [*elbv2.reconcilers(deps), *apigatewayv2.reconcilers(deps)]
        self.runner = Runner(found, store, self.world.running.world)
        where: dict[str, Any] = {"account": "", "region": "", "name": "n", "arn": ""}
        node = NodeStatus(connected=True)
        self.wait(store.transact(lambda tx: tx.create(NODE, **where, spec=NodeSpec(), status=node)))
        described = self.ec2.describe_subnets()["Subnets"]
        self.vpc, self.subnets = described[0]["VpcId"], [each["SubnetId"] for each in described][:2]

    def wait(self, coming: Any) -> Any:
        return self.world.running.wait(coming)

    def settle(self) -> None:
        async def steps() -> None:
            for _ in range(1000):
                if not await self.runner.step():
                    return
            raise RuntimeError("does not settle")

        self.wait(steps())

    def group(self, name: str) -> str:
        return str(self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"])

    def link(self, **more: Any) -> str:
        return str(self.api.create_vpc_link(Name="inside", SubnetIds=self.subnets, **more)["VpcLinkId"])

    def listener(self) -> str:
        made = self.elb.create_load_balancer(Name="web", Subnets=self.subnets, Scheme="internal")
        said = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]
        arn = made["LoadBalancers"][0]["LoadBalancerArn"]
        listener = self.elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=8080, DefaultActions=said)
        return str(listener["Listeners"][0]["ListenerArn"])

    def integrate(self, link: str, listener: str, **more: Any) -> str:
        """The id of an API all of whose requests go there."""
        id = self.world.make()
        made = self.api.create_integration(**self.private(id, link, listener), **more)
        self.api.create_route(ApiId=id, RouteKey="$default", Target=f"integrations/{made['IntegrationId']}")
        for stage in ("$default", "dev"):
            self.api.create_stage(ApiId=id, StageName=stage, AutoDeploy=True)
        return id

    @staticmethod
    def private(api: str, link: str, listener: str) -> dict[str, Any]:
        kind = {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "ANY", "ConnectionType": "VPC_LINK"}
        return {"ApiId": api, **kind, "ConnectionId": link, "IntegrationUri": listener}

    def told(self) -> list[Balancer]:
        found = self.world.running.store.list(BALANCER)
        return [each.spec.balancer for each in found if each.spec.balancer.kind == LINK]

    def interfaces(self, group: str) -> list[Any]:
        found: list[Any] = self.ec2.describe_network_interfaces(Filters=[{"Name": "group-id", "Values": [group]}])[
            "NetworkInterfaces"
        ]
        return found


@pytest.fixture
def linked() -> Iterator[Linked]:
    with tempfile.TemporaryDirectory(prefix="links-") as made_here:
        far, near = Path(made_here) / ("x" * 88), Path(made_here) / "near"
        far.mkdir()
        near.symlink_to(far)
        made = Linked(far)
        made.doors = near  # paths of Unix sockets have 107 bytes at most
        yield made
        made.world.running.close()


def test_a_link_has_an_interface_in_each_subnet(linked: Linked) -> None:
    group = linked.group("link")
    made = linked.api.create_vpc_link(
        Name="inside", SubnetIds=linked.subnets, SecurityGroupIds=[group], Tags={"a": "b"}
    )
    assert (made["VpcLinkStatus"], made["VpcLinkVersion"], made["Tags"]) == ("PENDING", "V2", {"a": "b"})
    id = made["VpcLinkId"]
    linked.settle()
    found = linked.api.get_vpc_link(VpcLinkId=id)
    assert (found["VpcLinkStatus"], found["VpcLinkStatusMessage"]) == (
        "AVAILABLE",
        "VPC link is ready to route traffic",
    )
    assert {each["SubnetId"] for each in linked.interfaces(group)} == set(linked.subnets)
    assert linked.api.update_vpc_link(VpcLinkId=id, Name="new")["Name"] == "new"
    assert [each["VpcLinkId"] for each in linked.api.get_vpc_links()["Items"]] == [id]
    arn = f"arn:aws:apigateway:us-east-1::/vpclinks/{id}"
    linked.api.tag_resource(ResourceArn=arn, Tags={"c": "d"})
    assert linked.api.get_tags(ResourceArn=arn)["Tags"] == {"a": "b", "c": "d"}
    linked.api.delete_vpc_link(VpcLinkId=id)
    assert linked.api.get_vpc_link(VpcLinkId=id)["VpcLinkStatus"] == "DELETING"
    linked.settle()
    assert linked.interfaces(group) == []
    assert code(linked.api.get_vpc_link, VpcLinkId=id) == "NotFoundException"


def test_a_node_is_told_of_the_ways_that_integrations_need(linked: Linked) -> None:
    group = linked.group("link")
    id, listener = linked.link(SecurityGroupIds=[group]), linked.listener()
    linked.settle()
    assert linked.told() == []
    api = linked.integrate(id, listener)
    linked.settle()
    (way,) = linked.told()
    balancer = next(b for b in _balancers(linked) if b.kind != LINK)
    (there,), (pool,) = way.listeners, way.pools
    assert (there.id, there.protocol) == (f"vpclink-{id}-{listener.rpartition('/')[2]}", "TCP")
    assert {(t.address, t.port, t.vpc) for t in pool.targets} == {
        (address, 8080, linked.vpc) for _, address in balancer.addresses
    }
    assert {address for _, address in way.addresses} == {e["PrivateIpAddress"] for e in linked.interfaces(group)}
    assert way.security_groups == (group,) and not way.host_address and not way.dns_name
    linked.api.delete_api(ApiId=api)
    linked.settle()
    assert linked.told() == []


def _balancers(linked: Linked) -> list[Balancer]:
    return [each.spec.balancer for each in linked.world.running.store.list(BALANCER)]


def test_what_no_link_can_be(linked: Linked) -> None:
    create = linked.api.create_vpc_link
    other = linked.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    there = linked.ec2.create_subnet(VpcId=other, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    stranger = linked.ec2.create_security_group(GroupName="g", Description="g", VpcId=other)["GroupId"]
    for wrong in (
        {"SubnetIds": []},
        {"SubnetIds": ["subnet-00000000000000000"]},
        {"SubnetIds": [linked.subnets[0], there]},
        {"SubnetIds": linked.subnets, "SecurityGroupIds": [stranger]},
        {"SubnetIds": linked.subnets, "SecurityGroupIds": ["sg-00000000000000000"]},
    ):
        assert code(create, Name="x", **wrong) == "BadRequestException", wrong
    assert linked.api.get_vpc_links()["Items"] == []


def test_what_no_private_integration_can_be(linked: Linked) -> None:
    id, listener, api = linked.link(), linked.listener(), linked.world.make()
    fine = linked.private(api, id, listener)
    create = linked.api.create_integration
    for wrong, said in (
        ({"ConnectionId": "nobody"}, "NotFoundException"),
        ({"ConnectionId": ""}, "BadRequestException"),
        ({"IntegrationUri": "http://10.0.0.1/"}, "BadRequestException"),
        ({"IntegrationUri": listener[:-4] + "0000"}, "BadRequestException"),
        ({"IntegrationUri": listener.replace("/app/", "/net/")}, "NotImplementedException"),
        ({"IntegrationType": "AWS_PROXY"}, "BadRequestException"),
        ({"ConnectionType": "INTERNET"}, "BadRequestException"),
    ):
        assert code(create, **{**fine, **wrong}) == said, wrong
    kept = create(**fine, TlsConfig={"ServerNameToVerify": "a.example.com"})
    assert kept["ConnectionId"] == id and kept["TlsConfig"] == {"ServerNameToVerify": "a.example.com"}


class Told(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        told = json.dumps({"path": self.path, "host": self.headers["host"], "body": body}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *said: Any) -> None:
        pass


def test_a_request_goes_by_a_link(linked: Linked) -> None:
    """The socket is the proxy's; here the test answers at it."""
    id, listener = linked.link(), linked.listener()
    api = linked.integrate(id, listener)
    assert linked.world.ask(api, "/early", "POST", b"x")[0] == 503
    linked.settle()
    name = linked.elb.describe_load_balancers()["LoadBalancers"][0]["DNSName"]
    assert linked.world.ask(api, "/nobody", "POST", b"x")[0] == 503
    with UnixStreamServer(str(linked.doors / f"vpclink-{id}-{listener.rpartition('/')[2]}.sock"), Told) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for path in ("/a/b?c=d", "/dev/a"):
            status, body, _ = linked.world.ask(api, path, "POST", b"hi")
            assert (status, json.loads(body)) == (201, {"path": path, "host": name, "body": "hi"})
        integration = linked.api.get_integrations(ApiId=api)["Items"][0]["IntegrationId"]
        linked.api.update_integration(
            ApiId=api,
            IntegrationId=integration,
            RequestParameters={"overwrite:path": "/else", "overwrite:header.host": "inner.example.com"},
        )
        _, body, _ = linked.world.ask(api, "/a", "POST", b"")
        assert (json.loads(body)["path"], json.loads(body)["host"]) == ("/else", "inner.example.com")
        server.shutdown()


@pytest.mark.parametrize(("name", "status"), [("a.example.com", 201), ("b.example.com", 503)])
def test_a_listener_shows_the_certificate_that_is_wanted(linked: Linked, name: str, status: int) -> None:
    """One of the installation's own authority, as ACM gives them."""
    issued = Authority(linked.doors, "test").issue(["a.example.com"], "EC_prime256v1", time.time())
    (linked.doors / "pair.pem").write_text(issued.bundle)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(linked.doors / "pair.pem")
    id, listener = linked.link(), linked.listener()
    api = linked.integrate(id, listener, TlsConfig={"ServerNameToVerify": name})
    linked.settle()
    with UnixStreamServer(str(linked.doors / f"vpclink-{id}-{listener.rpartition('/')[2]}.sock"), Told) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert linked.world.ask(api, "/", "POST", b"hi")[0] == status
        server.shutdown()


def test_links_in_openapi(linked: Linked) -> None:
    id, listener = linked.link(), linked.listener()
    integration = {
        "type": "http_proxy", "httpMethod": "ANY", "uri": listener, "connectionType": "VPC_LINK", "connectionId": id,
        "tlsConfig": {"serverNameToVerify": "a.example.com"}, "payloadFormatVersion": "1.0",
    }  # fmt: skip
    paths = {"/x": {"get": {"x-amazon-apigateway-integration": integration}}}
    document = {"openapi": "3.0.1", "info": {"title": "t", "version": "1"}, "paths": paths}
    made = linked.api.import_api(Body=json.dumps(document), FailOnWarnings=True)
    kept = linked.api.get_integrations(ApiId=made["ApiId"])["Items"][0]
    assert kept["ConnectionId"] == id and kept["TlsConfig"] == {"ServerNameToVerify": "a.example.com"}
    told = linked.api.export_api(ApiId=made["ApiId"], Specification="OAS30", OutputType="JSON")["body"].read()
    written = json.loads(told)["paths"]["/x"]["get"]["x-amazon-apigateway-integration"]
    assert written.items() >= integration.items()
