"""Networks as tasks find them: addresses, security groups, names, load balancers, other VPCs, other instances, kill -9.

Everything is tried from inside real containers, on one instance that the tests of this module share.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contracts.network_bench import elsewhere, machine
from tests.images import busybox_image
from tests.ports import free_port

from .conftest import HAVRE, Instance, Starter, eventually, start
from .network_world import IMAGE, Cloud, Task

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(600)]


@pytest.fixture(scope="module", autouse=True)
def image() -> Iterator[None]:
    """Busybox with its tools; the registry that its name says is this machine, where there is none."""
    with busybox_image(IMAGE, "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"):
        yield


@pytest.fixture(scope="module")
def cloud(shared: Instance, image: None) -> Cloud:
    return Cloud(shared)


@dataclass
class Pair:
    """A server that lets in the group ``friends`` on port 80, a friend, and a stranger."""

    web: Task
    friend: Task
    stranger: Task
    servers: str
    friends: str


@pytest.fixture(scope="module")
def pair(cloud: Cloud) -> Pair:
    friends, strangers = cloud.group("friends"), cloud.group("strangers")
    servers = cloud.group("servers", port=80, of=friends)
    started = (
        cloud.start("serve", servers, name="web"),
        cloud.start("idle", friends),
        cloud.start("idle", strangers, subnet=cloud.subnets[1]),
    )
    return Pair(*(cloud.running(arn) for arn in started), servers, friends)


def test_a_task_has_an_address_of_its_own_that_its_containers_share(cloud: Cloud, pair: Pair) -> None:
    subnets = {s["SubnetId"]: s["CidrBlock"] for s in cloud.ec2.describe_subnets()["Subnets"]}
    tasks = (pair.web, pair.friend, pair.stranger)
    assert len({t.address for t in tasks}) == 3 and pair.stranger.subnet != pair.web.subnet
    for task in tasks:
        assert ipaddress.ip_address(task.address) in ipaddress.ip_network(subnets[task.subnet])
    for container in ("main", "side"):
        code, shown = pair.web.run("ip -4 -o addr show eth0", container)
        assert code == 0 and f" {pair.web.address}/20 " in shown
    assert pair.web.get("127.0.0.1", container="side") == "web", "containers of a task share its loopback too"
    (eni,) = cloud.ec2.describe_network_interfaces(NetworkInterfaceIds=[pair.web.eni])["NetworkInterfaces"]
    assert (eni["Status"], eni["PrivateIpAddress"]) == ("in-use", pair.web.address)
    assert [g["GroupId"] for g in eni["Groups"]] == [pair.servers]
    assert eni["MacAddress"] in pair.web.run("ip link show eth0")[1]


def test_security_groups_decide_and_changes_reach_running_tasks(cloud: Cloud, pair: Pair) -> None:
    web = pair.web.address
    assert pair.friend.get(web) == "web"
    assert pair.stranger.silent(web)
    cloud.allow(pair.servers, 80, cidr=f"{pair.stranger.address}/32")
    eventually(lambda: pair.stranger.get(web) == "web")
    cloud.revoke(pair.servers, 80, cidr=f"{pair.stranger.address}/32")
    cloud.revoke(pair.servers, 80, of=pair.friends)
    eventually(lambda: pair.stranger.silent(web) and pair.friend.silent(web))
    cloud.allow(pair.servers, 80, of=pair.friends)
    eventually(lambda: pair.friend.get(web) == "web")
    assert pair.stranger.silent(web)


def test_the_groups_of_a_running_task_can_be_changed(cloud: Cloud, pair: Pair) -> None:
    change, eni = cloud.ec2.modify_network_interface_attribute, pair.stranger.eni
    (shown,) = cloud.ec2.describe_network_interfaces(NetworkInterfaceIds=[eni])["NetworkInterfaces"]
    before = [g["GroupId"] for g in shown["Groups"]]
    change(NetworkInterfaceId=eni, Groups=[*before, pair.friends])
    eventually(lambda: pair.stranger.get(pair.web.address) == "web")
    change(NetworkInterfaceId=eni, Groups=before)
    eventually(lambda: pair.stranger.silent(pair.web.address))


def test_names_and_the_api_are_there(cloud: Cloud, pair: Pair) -> None:
    private = f"ip-{pair.web.address.replace('.', '-')}.ec2.internal"
    assert pair.friend.names(private) == {pair.web.address}
    assert pair.friend.names("nobody.ec2.internal") == set()
    endpoint = pair.friend.run("echo $AWS_ENDPOINT_URL")[1].strip()
    address, _, port = endpoint.removeprefix("http://").partition(":")
    assert '"status"' in pair.friend.get(address, int(port), "/_havre/health")
    assert pair.friend.silent("127.0.0.1", int(port), "/_havre/health"), "the host's loopback is not the task's"
    metadata = pair.web.run("echo ${ECS_CONTAINER_METADATA_URI_V4#http://169.254.170.2}")[1].strip()
    assert pair.web.address in pair.web.get("169.254.170.2", 80, metadata)
    assert pair.web.address not in pair.friend.get("169.254.170.2", 80, metadata)


def test_vpcs_with_the_same_addresses_are_apart(cloud: Cloud, pair: Pair) -> None:
    """A client with the friend's own block, in a VPC of the same block, does not reach what the friend reaches."""
    vpc = cloud.ec2.create_vpc(CidrBlock="172.31.0.0/16")["Vpc"]["VpcId"]
    twin = next(s for s in cloud.ec2.describe_subnets()["Subnets"] if s["SubnetId"] == pair.web.subnet)
    subnet = cloud.ec2.create_subnet(VpcId=vpc, CidrBlock=twin["CidrBlock"])["Subnet"]["SubnetId"]
    outsider = cloud.run("idle", cloud.group("outsiders", vpc=vpc), subnet=subnet)
    cloud.allow(pair.servers, 80, cidr="0.0.0.0/0")
    eventually(lambda: pair.stranger.get(pair.web.address) == "web")
    assert outsider.silent(pair.web.address)
    assert outsider.names("example.com") == set(), "this VPC has no way out"
    cloud.revoke(pair.servers, 80, cidr="0.0.0.0/0")
    cloud.stop(outsider)
    groups = {"Name": "vpc-id", "Values": [vpc]}
    eventually(lambda: not cloud.ec2.describe_network_interfaces(Filters=[groups])["NetworkInterfaces"])
    cloud.ec2.delete_subnet(SubnetId=subnet)
    for group in cloud.ec2.describe_security_groups(Filters=[groups])["SecurityGroups"]:
        if group["GroupName"] != "default":
            cloud.ec2.delete_security_group(GroupId=group["GroupId"])
    cloud.ec2.delete_vpc(VpcId=vpc)
    eventually(lambda: vpc.removeprefix("vpc-") not in _output("ip", "netns", "list"))


def test_tasks_reach_what_lies_beyond_this_machine_and_nothing_of_it(cloud: Cloud, pair: Pair, tmp_path: Path) -> None:
    """A machine beyond it is played by a namespace with a web server; this one has a web server on all of its addresses."""
    (tmp_path / "index.html").write_text("beyond\n")
    serve = ["busybox", "httpd", "-f", "-h", str(tmp_path), "-p"]
    beyond, port = machine(), free_port()
    servers = [
        subprocess.Popen(["nsenter", f"--net=/proc/{beyond.pid}/ns/net", *serve, "80"]),
        subprocess.Popen([*serve, str(port)]),
    ]
    try:
        with elsewhere(beyond) as address:
            eventually(lambda: pair.friend.get(address) == "beyond")
            here = address.rpartition(".")[0] + ".1"
            eventually(lambda: _from_host(here, port, here) == "beyond")
            assert pair.friend.silent(here, port)
            table = cloud.ec2.create_route_table(VpcId=cloud.vpc)["RouteTable"]["RouteTableId"]
            association = cloud.ec2.associate_route_table(RouteTableId=table, SubnetId=pair.friend.subnet)
            eventually(lambda: pair.friend.silent(address))
            assert pair.stranger.get(address) == "beyond", "the other subnet still has its route"
            cloud.ec2.disassociate_route_table(AssociationId=association["AssociationId"])
            eventually(lambda: pair.friend.get(address) == "beyond")
    finally:
        for server in servers:
            server.kill()
            server.wait()
        beyond.close()


def test_load_balancers_pass_by_their_groups(cloud: Cloud, pair: Pair) -> None:
    """The balancer is reached by whom its group lets in, and the targets by the balancer alone. On a port of the test's
    own: 127.0.0.1:80 may be another instance's."""
    elb, port = cloud.instance.client("elbv2"), free_port()
    front = cloud.group("front", port=port, cidr="0.0.0.0/0")
    back = cloud.run("serve", cloud.group("back", port=80, of=front), name="back")
    made = elb.create_load_balancer(Name="web", Subnets=cloud.subnets, SecurityGroups=[front])["LoadBalancers"][0]
    pool = elb.create_target_group(
        Name="web", Protocol="HTTP", Port=80, TargetType="ip", VpcId=cloud.vpc, HealthCheckIntervalSeconds=6
    )["TargetGroups"][0]["TargetGroupArn"]
    forward = [{"Type": "forward", "TargetGroupArn": pool}]
    listener = elb.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"], Protocol="HTTP", Port=port, DefaultActions=forward
    )["Listeners"][0]["ListenerArn"]
    elb.register_targets(TargetGroupArn=pool, Targets=[{"Id": back.address, "Port": 80}])
    name = made["DNSName"]
    addresses = eventually(lambda: pair.stranger.names(name))
    assert len(addresses) == 3
    inner = sorted(addresses)[0]
    eventually(lambda: pair.stranger.get(inner, port, host=name) == "back")
    assert eventually(lambda: _from_host(name, port)) == "back"
    assert pair.stranger.silent(back.address), "past the balancer nobody comes"
    outside = [cloud.without_vpc("bridge"), cloud.without_vpc("host")]
    for task in outside:
        for alias in (name, name.removesuffix(".localhost") + ".amazonaws.com"):
            (reached,) = eventually(lambda asked=alias, by=task: by.names(asked))
            assert eventually(lambda at=reached, by=task: by.get(at, port, host=name)) == "back"
        assert task.names("nobody.elb.localhost") == set()
    cloud.revoke(front, port, cidr="0.0.0.0/0")
    cloud.allow(front, port, of=pair.friends)
    eventually(lambda: pair.stranger.silent(inner, port, host=name) and _from_host(name, port) == "")
    assert all(task.silent(reached, port, host=name) for task in outside)
    eventually(lambda: pair.friend.get(inner, port, host=name) == "back")
    elb.delete_listener(ListenerArn=listener)
    elb.delete_load_balancer(LoadBalancerArn=made["LoadBalancerArn"])
    eventually(lambda: not pair.stranger.names(name))
    elb.delete_target_group(TargetGroupArn=pool)
    cloud.stop(back, *outside)


def _from_host(name: str, port: int, address: str = "127.0.0.1") -> str:
    """What a browser on this machine gets: names below .localhost are 127.0.0.1."""
    request = urllib.request.Request(f"http://{address}:{port}/", headers={"Host": name})
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:
            return str(answer.read().decode().strip())
    except OSError:
        return ""


def test_killed_node_processes_leave_networks_whole(cloud: Cloud, pair: Pair) -> None:
    node = cloud.instance.run_file["pids"]["node"]
    os.kill(node, signal.SIGKILL)
    assert pair.friend.get(pair.web.address) == "web" and pair.stranger.silent(pair.web.address)
    eventually(lambda: cloud.instance.run_file["pids"]["node"] != node)
    private = f"ip-{pair.web.address.replace('.', '-')}.ec2.internal"
    eventually(lambda: pair.friend.names(private) == {pair.web.address})
    assert pair.friend.get(pair.web.address) == "web" and pair.stranger.silent(pair.web.address)
    cloud.allow(pair.servers, 80, cidr=f"{pair.stranger.address}/32")
    eventually(lambda: pair.stranger.get(pair.web.address) == "web")
    cloud.revoke(pair.servers, 80, cidr=f"{pair.stranger.address}/32")


def test_instances_side_by_side_do_not_meet(cloud: Cloud, pair: Pair, havre: Starter) -> None:
    """Both have a default VPC of the same block; the end of one is not the other's."""
    other = Cloud(havre(name="other"))
    open = other.group("open", port=80, cidr="0.0.0.0/0")
    theirs = other.run("serve", open, name="theirs", subnet=other.subnets[0])
    mine = other.run("idle", open, subnet=other.subnets[0])
    assert mine.get(theirs.address) == "theirs"
    assert mine.get(pair.web.address, within=1) != "web" and pair.friend.get(theirs.address, within=1) != "theirs"
    _down(other.instance)
    assert _left(other.instance.name) == []
    assert pair.friend.get(pair.web.address) == "web"


def test_without_the_right_to_make_networks_it_is_said_and_bridges_work(tmp_path: Path) -> None:
    """As in a container, or as an ordinary user who may use Docker."""
    bound = ["setpriv", "--bounding-set", "-sys_admin,-net_admin", "--inh-caps", "-sys_admin,-net_admin"]
    instance = start(tmp_path / "state", before=bound)
    try:
        cloud = Cloud(instance)
        shown = subprocess.run(
            [HAVRE, "status", "--state", str(instance.state)], capture_output=True, text=True, check=False
        )
        assert "VPC networks cannot be made here" in shown.stdout
        refused = cloud.ecs.run_task(
            cluster="c",
            taskDefinition="idle",
            networkConfiguration={"awsvpcConfiguration": {"subnets": cloud.subnets[:1]}},
        )
        assert [f["reason"] for f in refused["failures"]] == ["ATTRIBUTE"] and not refused["tasks"]
        container = {"name": "main", "image": IMAGE, "memory": 32, "cpu": 16, "essential": True}
        cloud.ecs.register_task_definition(family="bridge", networkMode="bridge", containerDefinitions=[container])
        arn = cloud.ecs.run_task(cluster="c", taskDefinition="bridge")["tasks"][0]["taskArn"]
        tasks = eventually(lambda: cloud.ecs.describe_tasks(cluster="c", tasks=[arn])["tasks"])
        eventually(lambda: cloud.ecs.describe_tasks(cluster="c", tasks=[arn])["tasks"][0]["lastStatus"] == "RUNNING")
        assert tasks[0]["launchType"] == "EC2"
    finally:
        _down(instance)
    assert _left(instance.name) == []


def test_the_end_leaves_nothing(cloud: Cloud, pair: Pair) -> None:
    """The last test of this module: namespaces, links, rules, containers, processes, all of them are gone."""
    name = cloud.instance.name
    assert _left(name), "what is looked for exists while it runs"
    _down(cloud.instance)
    assert _left(name) == []


def _down(instance: Instance) -> None:
    subprocess.run([HAVRE, "down", "--state", str(instance.state)], check=True, capture_output=True, timeout=300)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _left(name: str) -> list[str]:
    """What this machine has that bears the instance's name, in any of the ways in which things are named after it."""
    from havre.engines.host_network.host import Host

    marks = (name, Host(name).prefix)
    found = _output("docker", "ps", "-aq", "--filter", f"label=havre.instance={name}").split()
    for command in (
        ("ip", "netns", "list"),
        ("ip", "-o", "link"),
        ("nft", "list", "tables"),
        ("iptables", "-S"),
        ("iptables", "-t", "nat", "-S"),
    ):
        found += [line for line in _output(*command).splitlines() if any(mark in line for mark in marks)]
    return found
