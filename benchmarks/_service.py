"""A load-balanced ECS service under measurement: its image, its tasks, their swap and their sudden end."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3

from benchmarks import _peers
from havre.cli.options import UpOptions

IMAGE = "havre-bench/target:1"
SERVER = "/usr/sbin/haproxy"
PATIENCE = 120.0
CONFIG = """\
global
  nbthread 1
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend target
  bind :80
  http-request return status 200 content-type text/plain string "hello"
"""
DOCKERFILE = f"""\
FROM scratch
COPY root /
STOPSIGNAL SIGKILL
CMD ["{SERVER}", "-db", "-f", "/target.cfg"]
"""
"""A task that is stopped is killed: it must have drained by then."""


@contextlib.contextmanager
def image() -> Iterator[str]:
    """Of this machine's HAProxy, which answers every request with 200, and what it is linked with."""
    linked = subprocess.run(["ldd", SERVER], capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory(prefix="havre-bench-") as made:
        root = Path(made) / "root"
        for path in (SERVER, *re.findall(r"(/\S+) \(0x", linked)):
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        (root / "target.cfg").write_text(CONFIG)
        (Path(made) / "Dockerfile").write_text(DOCKERFILE)
        _docker("build", "-q", "-t", IMAGE, made)
    try:
        yield IMAGE
    finally:
        _docker("rmi", "-f", IMAGE)


def _docker(*command: str, stdin: str = "") -> str:
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(
        ["docker", *command], input=stdin, check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout


class Service:
    """``count`` awsvpc tasks behind a load balancer on ``port``."""

    def __init__(self, running: _peers.Running, count: int) -> None:
        keys = {
            "region_name": running.env["AWS_DEFAULT_REGION"],
            "aws_access_key_id": running.env["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": running.env["AWS_SECRET_ACCESS_KEY"],
        }

        def client(service: str) -> Any:
            return boto3.client(service, endpoint_url=running.endpoint, **keys)

        self._ecs, self._elb, self._ec2, self._ecr = (client(s) for s in ("ecs", "elbv2", "ec2", "ecr"))
        self._count = count
        self._instance = UpOptions(str(running.state)).instance
        self._killed: set[str] = set()
        self.port = _peers.free_port()
        self._image = self._push()
        self._balance()
        self._ecs.create_cluster(clusterName="bench")
        network = {"subnets": self._subnets, "securityGroups": [self._security]}
        self._ecs.create_service(
            cluster="bench",
            serviceName="target",
            taskDefinition=self._define(),
            desiredCount=count,
            networkConfiguration={"awsvpcConfiguration": network},
            loadBalancers=[{"targetGroupArn": self._group, "containerName": "target", "containerPort": 80}],
            healthCheckGracePeriodSeconds=60,
        )
        self._settle()

    def _push(self) -> str:
        uri: str = self._ecr.create_repository(repositoryName="bench/target")["repository"]["repositoryUri"]
        token = self._ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        password = base64.b64decode(token).decode().partition(":")[2]
        _docker("login", "-u", "AWS", "--password-stdin", uri.split("/")[0], stdin=password)
        _docker("tag", IMAGE, uri)
        _docker("push", "-q", uri)
        _docker("rmi", uri)
        return uri

    def _balance(self) -> None:
        """A load balancer that lets everybody in, and a target group that drains for a second."""
        self._subnets = [s["SubnetId"] for s in self._ec2.describe_subnets()["Subnets"]]
        vpc = self._ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        made = self._ec2.create_security_group(GroupName="bench", Description="bench", VpcId=vpc)
        self._security: str = made["GroupId"]
        everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        self._ec2.authorize_security_group_ingress(GroupId=self._security, IpPermissions=[everything])
        checks = {"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2}
        group = self._elb.create_target_group(
            Name="bench", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip", **checks
        )
        self._group: str = group["TargetGroups"][0]["TargetGroupArn"]
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "1"}
        self._elb.modify_target_group_attributes(TargetGroupArn=self._group, Attributes=[delay])
        balancer = self._elb.create_load_balancer(
            Name="bench", Subnets=self._subnets[:2], SecurityGroups=[self._security]
        )
        self._elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
            Protocol="HTTP",
            Port=self.port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self._group}],
        )

    def _define(self) -> str:
        container = {
            "name": "target",
            "image": self._image,
            "memory": 64,
            "cpu": 10,
            "portMappings": [{"containerPort": 80}],
        }
        made = self._ecs.register_task_definition(
            family="target", networkMode="awsvpc", containerDefinitions=[container]
        )
        arn: str = made["taskDefinition"]["taskDefinitionArn"]
        return arn

    def _settle(self) -> None:
        """Returns when one deployment is left, whose tasks are all there and healthy."""
        deadline = time.monotonic() + PATIENCE
        while True:
            (seen,) = self._ecs.describe_services(cluster="bench", services=["target"])["services"]
            asked = self._elb.describe_target_health(TargetGroupArn=self._group)["TargetHealthDescriptions"]
            health = [each["TargetHealth"]["State"] for each in asked]
            done = [d["rolloutState"] for d in seen["deployments"]] == ["COMPLETED"]
            if done and seen["runningCount"] == self._count and health == ["healthy"] * self._count:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"the service does not settle: {seen['deployments']}, {health}, {seen['events'][:3]}"
                )
            time.sleep(0.1)

    def swap(self) -> int:
        """A rolling deployment: every task is replaced, its target drained, the task killed. How many that were."""
        before = self.containers()
        self._ecs.update_service(cluster="bench", service="target", taskDefinition=self._define())
        self._settle()
        deadline = time.monotonic() + PATIENCE
        while set(before) & set(self.containers()):
            if time.monotonic() > deadline:
                raise RuntimeError("tasks that were replaced run on")
            time.sleep(0.1)
        return len(before)

    def kill(self) -> None:
        """One task's container, while it serves; returns when another task has taken its place."""
        victim = next(id for id in self.containers() if id not in self._killed)
        self._killed.add(victim)
        _docker("kill", victim)
        deadline = time.monotonic() + PATIENCE
        while victim in (running := self.containers()) or len(running) < self._count:
            if time.monotonic() > deadline:
                raise RuntimeError("a killed task is not replaced")
            time.sleep(0.1)
        self._settle()

    def containers(self) -> Sequence[str]:
        """The tasks' containers that run."""
        labels = (f"havre.instance={self._instance}", "havre.container=target")
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        return _docker("ps", "-q", "--no-trunc", *filters).split()
