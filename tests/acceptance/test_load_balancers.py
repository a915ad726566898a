"""Load balancers as clients find them: from creation to deletion, groups, rules, kill -9, down and up again.

Targets are servers of this test on ports of this machine, registered by instance: nothing here needs a container.
"""

from __future__ import annotations

import http.client
import http.server
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port

from .conftest import HAVRE, Instance, Starter, clear, eventually, kill, start, stop

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
SOON = {"Delay": 1, "MaxAttempts": 120}


class Server(http.server.ThreadingHTTPServer):
    """Tells its name."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        self.name, self.requests = name, 0
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A proxy that was killed says no goodbye."""


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        body = self.server.name.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return


@dataclass
class Balancer:
    """One load balancer with one listener and one target group of this machine's ports."""

    instance: Instance
    arn: str
    name: str
    group: str
    listener: str
    security: str
    port: int
    machine: str

    @cached_property
    def elb(self) -> Any:
        return self.instance.client("elbv2")

    def ask(self, path: str = "/", address: str = "127.0.0.1", timeout: float = 30) -> tuple[int, str]:
        """By its name. Raises OSError, HTTPException when nothing answers."""
        connection = http.client.HTTPConnection(address, self.port, timeout=timeout)
        try:
            connection.request("GET", path, headers={"Host": f"{self.name}:{self.port}"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def status(self, address: str = "127.0.0.1", within: float = 30) -> int:
        """0 when nothing answers."""
        try:
            return self.ask(address=address, timeout=within)[0]
        except (OSError, http.client.HTTPException):
            return 0

    def answers(self, address: str = "127.0.0.1", within: float = 30) -> bool:
        return self.status(address, within) == 200

    def register(self, *servers: Server, group: str = "") -> None:
        wanted = [{"Id": self.machine, "Port": server.port} for server in servers]
        arn = group or self.group
        self.elb.register_targets(TargetGroupArn=arn, Targets=wanted)
        self.elb.get_waiter("target_in_service").wait(TargetGroupArn=arn, Targets=wanted, WaiterConfig=SOON)

    def state(self) -> dict[str, str]:
        (shown,) = self.elb.describe_load_balancers(LoadBalancerArns=[self.arn])["LoadBalancers"]
        state: dict[str, str] = shown["State"]
        return state


def balancer(instance: Instance, name: str) -> Balancer:
    elb, ec2 = instance.client("elbv2"), instance.client("ec2")
    subnets = ec2.describe_subnets()["Subnets"]
    vpc, port = subnets[0]["VpcId"], free_port()
    security = ec2.create_security_group(GroupName=name, Description="-", VpcId=vpc)["GroupId"]
    anyone = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "127.0.0.0/8"}]}
    ec2.authorize_security_group_ingress(GroupId=security, IpPermissions=[anyone])
    made = elb.create_load_balancer(Name=name, Subnets=[s["SubnetId"] for s in subnets[:2]], SecurityGroups=[security])[
        "LoadBalancers"
    ][0]
    group = target_group(elb, name, vpc)
    action = {"Type": "forward", "TargetGroupArn": group}
    arn = made["LoadBalancerArn"]
    listener = elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=port, DefaultActions=[action])
    elb.get_waiter("load_balancer_available").wait(LoadBalancerArns=[arn], WaiterConfig=SOON)
    machine = ec2.describe_instances()["Reservations"][0]["Instances"][0]["InstanceId"]
    listener_arn = listener["Listeners"][0]["ListenerArn"]
    return Balancer(instance, arn, made["DNSName"], group, listener_arn, security, port, machine)


def target_group(elb: Any, name: str, vpc: str) -> str:
    made = elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc, TargetType="instance")
    arn: str = made["TargetGroups"][0]["TargetGroupArn"]
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}]
    elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=delay)
    return arn


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    made = [Server(name) for name in ("one", "two")]
    yield made
    for each in made:
        each.shutdown()
        each.server_close()


def proxies(instance: Instance) -> list[int]:
    config = str(instance.state / "haproxy" / "haproxy.cfg").encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and config in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def healthy(instance: Instance) -> bool:
    try:
        return bool(instance.get("/_havre/health"))
    except OSError:
        return False


def own_address(instance: Instance, lb: Balancer) -> str:
    text = (instance.state / "haproxy" / "haproxy.cfg").read_text()
    binds = [line.split()[1] for line in text.splitlines() if line.startswith("  bind 127.")]
    return next(b.rpartition(":")[0] for b in binds if b.endswith(f":{lb.port}") and not b.startswith("127.0.0.1:"))


def test_from_creation_to_deletion(shared: Instance, servers: list[Server]) -> None:
    assert proxies(shared) == []
    lb = balancer(shared, "whole")
    eventually(lambda: lb.status() == 503)
    lb.register(*servers)
    assert {lb.ask()[1] for _ in range(10)} == {"one", "two"}
    assert lb.ask(address=own_address(shared, lb))[0] == 200
    assert lb.state() == {"Code": "active"}

    leaving = [{"Id": lb.machine, "Port": servers[0].port}]
    lb.elb.deregister_targets(TargetGroupArn=lb.group, Targets=leaving)
    shown = lb.elb.describe_target_health(TargetGroupArn=lb.group, Targets=leaving)["TargetHealthDescriptions"]
    assert shown[0]["TargetHealth"]["Reason"] == "Target.DeregistrationInProgress"
    eventually(lambda: {lb.ask()[1] for _ in range(10)} == {"two"})
    waiter = lb.elb.get_waiter("target_deregistered")
    waiter.wait(TargetGroupArn=lb.group, Targets=leaving, WaiterConfig=SOON)

    lb.elb.delete_load_balancer(LoadBalancerArn=lb.arn)
    lb.elb.get_waiter("load_balancers_deleted").wait(LoadBalancerArns=[lb.arn], WaiterConfig=SOON)
    eventually(lambda: proxies(shared) == [] and not (shared.state / "haproxy").exists())
    ec2 = shared.client("ec2")
    eventually(lambda: ec2.describe_network_interfaces()["NetworkInterfaces"] == [])
    ec2.delete_security_group(GroupId=lb.security)
    lb.elb.delete_target_group(TargetGroupArn=lb.group)
    assert not lb.answers()


def test_rules_decide_and_change_without_a_failed_request(shared: Instance, servers: list[Server]) -> None:
    lb = balancer(shared, "rules")
    lb.register(servers[0])
    vpc = lb.elb.describe_target_groups(TargetGroupArns=[lb.group])["TargetGroups"][0]["VpcId"]
    other = target_group(lb.elb, "other", vpc)
    path = [{"Field": "path-pattern", "Values": ["/api/*"]}]
    gone = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "410", "MessageBody": "gone"}}
    rule = lb.elb.create_rule(ListenerArn=lb.listener, Priority=10, Conditions=path, Actions=[gone])["Rules"][0]
    eventually(lambda: lb.ask("/api/x") == (410, "gone"))
    assert lb.ask("/") == (200, "one")
    forward = {"Type": "forward", "TargetGroupArn": other}
    failed: list[Any] = []
    over = threading.Event()

    def load() -> None:
        while not over.is_set():
            try:
                answer = lb.ask("/")
            except (OSError, http.client.HTTPException) as error:
                failed.append(error)
            else:
                if answer != (200, "one"):
                    failed.append(answer)

    clients = [threading.Thread(target=load) for _ in range(3)]
    for each in clients:
        each.start()
    lb.elb.modify_rule(RuleArn=rule["RuleArn"], Actions=[forward])
    lb.register(servers[1], group=other)
    eventually(lambda: lb.ask("/api/x") == (200, "two"))
    lb.elb.delete_rule(RuleArn=rule["RuleArn"])
    eventually(lambda: lb.ask("/api/x") == (200, "one"))
    over.set()
    for each in clients:
        each.join()
    assert failed == []
    lb.elb.delete_load_balancer(LoadBalancerArn=lb.arn)


def test_groups_decide_who_reaches_it(shared: Instance, servers: list[Server]) -> None:
    """By its own address and by its name; what its groups do not let in is not even refused."""
    lb, ec2 = balancer(shared, "guarded"), shared.client("ec2")
    lb.register(servers[0])
    own = own_address(shared, lb)
    assert lb.answers() and lb.answers(own)
    rules = ec2.describe_security_groups(GroupIds=[lb.security])["SecurityGroups"][0]["IpPermissions"]
    ec2.revoke_security_group_ingress(GroupId=lb.security, IpPermissions=rules)
    eventually(lambda: not lb.answers(within=0.5) and not lb.answers(own, 0.5))
    for address in ("127.0.0.1", own):
        with pytest.raises(TimeoutError):
            lb.ask(address=address, timeout=0.5)
    ec2.authorize_security_group_ingress(GroupId=lb.security, IpPermissions=rules)
    eventually(lambda: lb.answers(within=2) and lb.answers(own, 2))
    lb.elb.delete_load_balancer(LoadBalancerArn=lb.arn)


def test_kill_9_of_each_process(shared: Instance, servers: list[Server]) -> None:
    lb = balancer(shared, "killed")
    lb.register(*servers)
    for pid in proxies(shared):
        kill(pid)
    eventually(lb.answers)
    for process in ("node", "server"):
        before = shared.run_file["pids"][process]
        kill(before)
        deadline = time.monotonic() + 120
        while shared.run_file["pids"].get(process) in (before, None):
            assert lb.ask()[0] == 200, "requests go on while a process of Havre is away"
            assert time.monotonic() < deadline
        eventually(lambda: healthy(shared))
    late = Server("late")
    lb.register(late)
    eventually(lambda: "late" in {lb.ask()[1] for _ in range(10)})
    assert lb.state() == {"Code": "active"}
    late.shutdown()
    late.server_close()
    lb.elb.delete_load_balancer(LoadBalancerArn=lb.arn)


def test_down_takes_the_proxy_along_and_keep_leaves_it(havre: Starter, servers: list[Server], tmp_path: Path) -> None:
    instance = havre()
    lb = balancer(instance, "kept")
    lb.register(*servers)
    kept = proxies(instance)
    subprocess.run([HAVRE, "down", "--keep", "--state", str(instance.state)], check=True, capture_output=True)
    assert lb.answers() and proxies(instance) == kept
    again = start(instance.state, port=instance.port)
    try:
        assert lb.answers()
        eventually(lambda: lb.state() == {"Code": "active"})
        assert set(kept) & set(proxies(again)), "the proxy that was left is taken over"
    finally:
        stop(again)
        clear(instance.state)
    assert proxies(instance) == [] and not lb.answers()
