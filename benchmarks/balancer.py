"""Load balancers: CPU a request against the same HAProxy configured by hand; requests that fail while tasks are swapped
or killed.

The peer does the same job as a person would write it: forwarded headers, a request id, health checks, another server for
requests that one did not answer. Havre runs as users run it. For the CPU, targets are processes that are registered by its
API; then they are the tasks of an ECS service, containers with an address of their own in the VPC. Rolling deployments
replace them all, wave by wave: each is deregistered, drains, and is killed (its image's stop signal is SIGKILL). In the
last scene `docker kill` ends tasks that are serving, and the service replaces them. Answers are short; one that is cut off
in its middle nobody could repeat.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3

from benchmarks import _peers
from benchmarks._harness import Promise, finish, rounds
from benchmarks._service import Service, image

TARGETS, TASKS, SWAPS, KILLS, REQUESTS = 4, 8, 40, 20, 100_000
SECONDS = 3
"""Of load a measurement."""
TICK = os.sysconf("SC_CLK_TCK")

TARGET = """\
global
  nbthread 1
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend target
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/plain string "hello from {port}"
"""
BY_HAND = """\
global
  nbthread {threads}
  stats socket unix@{directory}/admin.sock mode 600 level admin expose-fd listeners
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  option http-keep-alive
  option redispatch
  retries 3
frontend front
  bind 127.0.0.1:{port}
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Request-Id %[uuid]
  default_backend targets
backend targets
  balance roundrobin
  retry-on conn-failure empty-response junk-response
  http-request disable-l7-retry unless METH_GET or METH_HEAD or METH_OPTIONS
{servers}
"""


class Target:
    """A process that answers every request with 200."""

    def __init__(self, directory: Path) -> None:
        self.port = _peers.free_port()
        config = directory / f"target-{self.port}.cfg"
        config.write_text(TARGET.format(port=self.port))
        self.process = _haproxy(config)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def _haproxy(config: Path, alone: bool = False) -> subprocess.Popen[bytes]:
    """``alone``: in a session of its own, which the kernel schedules as fairly as Havre's proxy in its own."""
    command = ["haproxy", "-db", "-f", str(config)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=alone)


class Balancer:
    """An application load balancer of a Havre that runs, with one target group of this machine's ports."""

    def __init__(self, running: _peers.Running) -> None:
        keys = {
            "region_name": running.env["AWS_DEFAULT_REGION"],
            "aws_access_key_id": running.env["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": running.env["AWS_SECRET_ACCESS_KEY"],
        }
        self.elb: Any = boto3.client("elbv2", endpoint_url=running.endpoint, **keys)
        self._ec2: Any = boto3.client("ec2", endpoint_url=running.endpoint, **keys)
        ecs: Any = boto3.client("ecs", endpoint_url=running.endpoint, **keys)
        self.port = _peers.free_port()
        subnets = self._ec2.describe_subnets()["Subnets"]
        vpc = subnets[0]["VpcId"]
        self.instance = _instance(ecs)
        self.group = self.elb.create_target_group(
            Name="bench",
            Protocol="HTTP",
            Port=80,
            VpcId=vpc,
            TargetType="instance",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        self.elb.modify_target_group_attributes(
            TargetGroupArn=self.group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}]
        )
        self._listen([s["SubnetId"] for s in subnets[:2]], self._security_group(vpc))

    def _security_group(self, vpc: str) -> str:
        """One that lets everybody in."""
        group: str = self._ec2.create_security_group(GroupName="bench", Description="bench", VpcId=vpc)["GroupId"]
        anyone = {
            "IpProtocol": "tcp",
            "FromPort": self.port,
            "ToPort": self.port,
            "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
        }
        self._ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[anyone])
        return group

    def _listen(self, subnets: list[str], group: str) -> None:
        made = self.elb.create_load_balancer(Name="bench", Subnets=subnets, SecurityGroups=[group])
        self.elb.create_listener(
            LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"],
            Protocol="HTTP",
            Port=self.port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.group}],
        )

    def register(self, *targets: Target) -> None:
        """Returns when they are healthy."""
        self.elb.register_targets(TargetGroupArn=self.group, Targets=self._named(targets))
        self._until(targets, "healthy")

    def _named(self, targets: tuple[Target, ...]) -> list[dict[str, Any]]:
        return [{"Id": self.instance, "Port": target.port} for target in targets]

    def _until(self, targets: tuple[Target, ...], state: str) -> None:
        deadline = time.monotonic() + 30
        while True:
            asked = self.elb.describe_target_health(TargetGroupArn=self.group, Targets=self._named(targets))
            seen = [each["TargetHealth"] for each in asked["TargetHealthDescriptions"]]
            if all(health["State"] == state for health in seen):
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"targets are not {state}: {seen}")
            time.sleep(0.02)


def _instance(ecs: Any) -> str:
    """The EC2 instance id that this machine goes by."""
    ecs.create_cluster(clusterName="bench")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        arns = ecs.list_container_instances(cluster="bench")["containerInstanceArns"]
        if arns:
            found = ecs.describe_container_instances(cluster="bench", containerInstances=arns)["containerInstances"]
            return str(found[0]["ec2InstanceId"])
        time.sleep(0.05)
    raise RuntimeError("this machine did not become a container instance")


@contextlib.contextmanager
def targets(directory: Path) -> Iterator[list[Target]]:
    """Some, all of which are ended at the end, also those that were put into the list since."""
    started = [Target(directory) for _ in range(TARGETS)]
    try:
        yield started
    finally:
        for each in started:
            each.kill()


def _answers(port: int) -> None:
    """Returns when something listens there."""
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


@contextlib.contextmanager
def by_hand(directory: Path, behind: list[Target]) -> Iterator[tuple[int, int]]:
    """(port, pid) of HAProxy with these targets."""
    port = _peers.free_port()
    servers = "\n".join(f"  server s{t.port} 127.0.0.1:{t.port} check inter 5s" for t in behind)
    config = directory / "by-hand.cfg"
    threads = min(4, os.cpu_count() or 1)
    config.write_text(BY_HAND.format(port=port, servers=servers, directory=directory, threads=threads))
    process = _haproxy(config, alone=True)
    try:
        _answers(port)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def cpu(pid: int) -> float:
    """Seconds that a process has had, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def worker(running: _peers.Running) -> int:
    """The process of Havre's proxy that answers requests."""
    config = str(running.state / "haproxy" / "haproxy.cfg").encode()
    return max((pid for pid in running.tree() if config in _command(pid)), key=cpu)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def load(port: int, seconds: float) -> subprocess.Popen[str]:
    command = ["wrk", "-t", "1", "-c", "32", "-d", f"{seconds}s", "--timeout", "10s", f"http://127.0.0.1:{port}/"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def result(process: subprocess.Popen[str]) -> tuple[int, int]:
    """(requests answered, requests that failed)."""
    said, _ = process.communicate(timeout=300)
    answered = re.search(r"(\d+) requests in", said)
    assert answered is not None, said
    failed = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", said)))
    failed += sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", said)))
    return int(answered[1]), failed


def microseconds(port: int, pid: int) -> float:
    """CPU of the proxy a request."""
    before = cpu(pid)
    answered, failed = result(load(port, SECONDS))
    assert failed == 0, f"{failed} requests failed"
    return (cpu(pid) - before) / answered * 1e6


def during(service: Service, act: Callable[[], int], until: int) -> tuple[int, int]:
    """Under load, again and again, until it was done to so many targets and enough requests were answered: (requests
    answered, requests that failed). What the load did not outlast does not count."""
    answered = failed = done = 0
    while done < until or answered < REQUESTS:
        under_load = load(service.port, 30)
        while under_load.poll() is None:
            count = act()
            done += count if under_load.poll() is None else 0
        more, lost = result(under_load)
        answered, failed = answered + more, failed + lost
    print(f"  {done} targets, {answered} requests answered, {failed} failed", file=sys.stderr)
    return answered, failed


def kill(service: Service) -> int:
    service.kill()
    return 1


def tasks(swapped: Promise, killed: Promise) -> None:
    with image(), _peers.havre() as running:
        try:
            service = Service(running, TASKS)
            answered, failed = during(service, service.swap, SWAPS)
            swapped.add(failed, answered)
            answered, failed = during(service, lambda: kill(service), KILLS)
            killed.add(failed, answered)
        finally:
            down = [str(_peers.ROOT / ".venv/bin/havre"), "down", "--state", str(running.state)]
            subprocess.run(down, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    cost = Promise("CPU of the proxy a request", "us", "<= 1.1", "HAProxy configured by hand")
    swapped = Promise(f"failed requests while {SWAPS} tasks are swapped and killed", "requests", "<= 0", "all requests")
    killed = Promise(f"failed requests while {KILLS} serving tasks are killed", "requests", "<= 0", "all requests")
    with (
        tempfile.TemporaryDirectory(prefix="havre-bench-") as made,
        targets(directory := Path(made)) as live,
        _peers.havre() as running,
    ):
        balancer = Balancer(running)
        balancer.register(*live)
        with by_hand(directory, live) as (port, pid):
            cost.run(lambda: microseconds(balancer.port, worker(running)), lambda: microseconds(port, pid), rounds(7))
    tasks(swapped, killed)
    finish(cost, swapped, killed)


if __name__ == "__main__":
    sys.exit(main())
