"""``havre demo``: the main job from end to end, with the AWS CLI and docker, every step checked."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Any

from havre.cli import doctor
from havre.cli.demo_functions import Functions
from havre.cli.environment import variables
from havre.cli.journey import Failed, Journey, Load, fetch, table
from havre.cli.options import DEFAULT_PORT, UpOptions, running

EXAMPLE = Path("examples/hello")
CLUSTER, SERVICE = "demo", "hello"


def run(state: Path, port: int, *, engine: str, down_after: bool) -> int:
    """0 when every step was checked."""
    journey = Journey()
    try:
        _prepare()
        _Demo(journey, state, port or _free_port(state), engine).play()
    except Failed as failure:
        print(f"\nFAILED: {failure}", file=sys.stderr)
        if (log := state / "havre.log").exists():
            print(f"the log is {log}; havre status --state {state} shows what runs", file=sys.stderr)
        return 1
    finally:
        if down_after:
            journey.run("havre", "down", "--state", str(state))
    took = time.monotonic() - journey.began
    print(f"\n{journey.checks} checks passed in {took:.0f} s")
    return 0


def _prepare() -> None:
    if os.geteuid() != 0:
        raise Failed("networks, load balancers and functions are made by root alone: sudo make demo")
    if not EXAMPLE.is_dir():
        raise Failed(f"{EXAMPLE} is not here: run the demo from a checkout of Havre")
    if not (EXAMPLE / "busybox").exists():
        busybox = shutil.which("busybox") or "/bin/busybox"
        if not Path(busybox).exists():
            raise Failed("busybox is missing: apt-get install busybox-static")
        shutil.copy(busybox, EXAMPLE / "busybox")
    if not doctor.start_engine():
        raise Failed("no Docker Engine answers, and none could be started: havre doctor says more")


def _free_port(state: Path) -> int:
    if already := running(str(state)):
        return int(already["port"])
    for port in range(DEFAULT_PORT, DEFAULT_PORT + 100):
        if _is_free(port):
            return port
    raise Failed("no port from 4566 on is free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class _Demo:
    def __init__(self, journey: Journey, state: Path, port: int, engine: str) -> None:
        self.j, self.state, self.port, self.engine = journey, state, port, engine
        self.uri = self.balancer_arn = self.dns = self.group_arn = self.service_arn = ""
        self.address, self.url = "127.0.0.1", ""
        self.functions = Functions(journey, state, port)

    def play(self) -> None:
        self.start()
        self.push()
        self.balancer()
        self.service()
        self.update()
        self.break_it()
        self.kill_one()
        self.look_back()
        self.functions.play()
        self.end()

    def start(self) -> None:
        j = self.j
        j.title("Start Havre")
        if running(str(self.state)):
            j.run("havre", "down", "--state", str(self.state))
        shutil.rmtree(self.state, ignore_errors=True)
        engine = ("--engine", self.engine) if self.engine else ()
        print(j.run("havre", "up", "--detach", "--state", str(self.state), "--port", str(self.port), *engine), end="")
        j.run("havre", "env", "--state", str(self.state), shown=f'eval "$(havre env --state {self.state})"')
        j.env.update(variables(self.state) or {})
        j.env.pop("AWS_SESSION_TOKEN", None)
        who = j.aws("sts", "get-caller-identity")
        j.check(who["Arn"].endswith(":root"), f"we are {who['Arn']}")

    def push(self) -> None:
        j = self.j
        j.title("Push three versions of an image")
        repository = j.aws("ecr", "create-repository", "--repository-name", "hello")["repository"]
        self.uri = repository["repositoryUri"]
        registry = self.uri.split("/")[0]
        password = j.run("aws", "ecr", "get-login-password", shown="aws ecr get-login-password \\")
        login = ("docker", "login", "--username", "AWS", "--password-stdin", registry)
        j.run(*login, stdin=password, shown=f"    | docker login --username AWS --password-stdin {registry}")
        for version, fault in (("v1", ""), ("v2", ""), ("v3", "crash")):
            extra = () if version == "v1" else ("--build-arg", f"VERSION={version}", "--build-arg", f"FAULT={fault}")
            j.run("docker", "build", "-q", "-t", f"{self.uri}:{version}", *extra, str(EXAMPLE))
            j.run("docker", "push", "-q", f"{self.uri}:{version}")
        images = j.aws("ecr", "describe-images", "--repository-name", "hello")["imageDetails"]
        tags = sorted(tag for image in images for tag in image["imageTags"])
        j.check(tags == ["v1", "v2", "v3"], "the registry holds v1, v2 and v3")

    def balancer(self) -> None:
        j = self.j
        j.title("A load balancer")
        vpc = j.aws("ec2", "describe-vpcs", "--filters", "Name=is-default,Values=true")["Vpcs"][0]["VpcId"]
        found = j.aws("ec2", "describe-subnets", "--filters", f"Name=vpc-id,Values={vpc}")["Subnets"]
        self.subnets = sorted(subnet["SubnetId"] for subnet in found)
        web = ("--group-name", "web", "--description", "the world to port 80", "--vpc-id", vpc)
        self.web = j.aws("ec2", "create-security-group", *web)["GroupId"]
        rule = ("--group-id", self.web, "--protocol", "tcp", "--port", "80", "--cidr", "0.0.0.0/0")
        j.aws("ec2", "authorize-security-group-ingress", *rule)
        tasks = ("--group-name", "tasks", "--description", "the balancer to port 80", "--vpc-id", vpc)
        self.tasks = j.aws("ec2", "create-security-group", *tasks)["GroupId"]
        rule = ("--group-id", self.tasks, "--protocol", "tcp", "--port", "80", "--source-group", self.web)
        j.aws("ec2", "authorize-security-group-ingress", *rule)
        made = ("--name", "hello", "--subnets", *self.subnets, "--security-groups", self.web)
        created = j.aws("elbv2", "create-load-balancer", *made)["LoadBalancers"][0]
        self.balancer_arn, self.dns = created["LoadBalancerArn"], created["DNSName"]
        target = ("--name", "hello", "--protocol", "HTTP", "--port", "80", "--vpc-id", vpc, "--target-type", "ip")
        health = ("--health-check-interval-seconds", "5", "--health-check-timeout-seconds", "2")
        self.group_arn = j.aws("elbv2", "create-target-group", *target, *health)["TargetGroups"][0]["TargetGroupArn"]
        delay = ("--attributes", "Key=deregistration_delay.timeout_seconds,Value=3")
        j.aws("elbv2", "modify-target-group-attributes", "--target-group-arn", self.group_arn, *delay)
        action = f"Type=forward,TargetGroupArn={self.group_arn}"
        self.port_80 = _is_free(80)  # at the last moment: other instances may be about to have it
        listener = ("--load-balancer-arn", self.balancer_arn, "--protocol", "HTTP", "--port", "80")
        j.aws("elbv2", "create-listener", *listener, "--default-actions", action)
        j.run("aws", "elbv2", "wait", "load-balancer-available", "--load-balancer-arns", self.balancer_arn)
        j.check(True, f"the load balancer {self.dns} is active")
        self._choose_address()

    def _choose_address(self) -> None:
        """The balancer's name leads to 127.0.0.1:80; where that was another program's, its own address is left."""
        self.url = f"http://{self.dns}/"
        if self.port_80:
            return
        status = json.loads(self.j.run("havre", "status", "--state", str(self.state), "--json"))
        self.url = next(row["or"] for row in status["tables"]["Load balancers"] if self.dns in row["URL"])
        self.address = self.url.removeprefix("http://").rstrip("/")
        print(f"      another program has 127.0.0.1:80, so we go to the balancer's own address, {self.address}")

    def service(self) -> None:
        j = self.j
        j.title("A service of three tasks")
        j.aws("logs", "create-log-group", "--log-group-name", "/ecs/hello")
        j.aws("ecs", "create-cluster", "--cluster-name", CLUSTER)
        for version in ("v1", "v2", "v3"):
            j.aws_json("ecs", "register-task-definition", self._definition(version))
        document: dict[str, Any] = {
            "cluster": CLUSTER,
            "serviceName": SERVICE,
            "taskDefinition": "hello:1",
            "desiredCount": 3,
            "launchType": "EC2",
            "deploymentConfiguration": {
                "minimumHealthyPercent": 100,
                "maximumPercent": 200,
                "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            },
            "loadBalancers": [{"targetGroupArn": self.group_arn, "containerName": "web", "containerPort": 80}],
            "networkConfiguration": {
                "awsvpcConfiguration": {"subnets": self.subnets, "securityGroups": [self.tasks]},
            },
        }
        self.service_arn = j.aws_json("ecs", "create-service", document)["service"]["serviceArn"]
        self._stable()
        names: set[str] = set()

        def all_three() -> bool:
            names.add(j.run("curl", "-sS", "--fail", self.url, shown=f"curl {self.url}").strip())
            return len(names) == 3

        j.until(all_three, "answers come from all three tasks", 30)

    def _definition(self, version: str) -> dict[str, Any]:
        options = {"awslogs-group": "/ecs/hello", "awslogs-region": "us-east-1", "awslogs-stream-prefix": version}
        container = {
            "name": "web",
            "image": f"{self.uri}:{version}",
            "essential": True,
            "memory": 64,
            "cpu": 64,
            "portMappings": [{"containerPort": 80}],
            "logConfiguration": {"logDriver": "awslogs", "options": options},
        }
        return {"family": "hello", "networkMode": "awsvpc", "containerDefinitions": [container]}

    def _stable(self) -> None:
        self.j.run("aws", "ecs", "wait", "services-stable", "--cluster", CLUSTER, "--services", SERVICE)

    def _describe(self) -> dict[str, Any]:
        answer = self.j.quiet("ecs", "describe-services", "--cluster", CLUSTER, "--services", SERVICE)
        service: dict[str, Any] = answer["services"][0]
        return service

    def _update(self, definition: str) -> None:
        where = ("--cluster", CLUSTER, "--service", SERVICE)
        self.j.aws("ecs", "update-service", *where, "--task-definition", definition)

    def update(self) -> None:
        j = self.j
        j.title("Roll out v2 under load")
        with Load(self.address, self.dns) as load:
            self._update("hello:2")
            self._stable()
            j.until(lambda: self._all_say("v2"), "all answers are v2's")
        j.check(not load.failures, f"not one of {load.count} requests failed {load.failures[:3] or ''}".rstrip())

    def _all_say(self, version: str) -> bool:
        answers = [fetch(self.address, self.dns) for _ in range(6)]
        return all(status == 200 and body.startswith(f"hello {version} ") for status, body in answers)

    def break_it(self) -> None:
        j = self.j
        j.title("v3 crashes: the circuit breaker rolls back by itself")
        with Load(self.address, self.dns, threads=2) as load:
            self._update("hello:3")
            j.until(
                lambda: self._describe()["taskDefinition"].endswith("hello:2"), "the service is back on hello:2", 240
            )
            self._stable()
        j.check(
            not load.failures, f"not one of {load.count} requests failed meanwhile {load.failures[:3] or ''}".rstrip()
        )
        for event in reversed(self._describe()["events"][:4]):
            print(f"      {event['message']}")

    def kill_one(self) -> None:
        j = self.j
        j.title("Kill a container: its task is replaced")
        where = ("--cluster", CLUSTER, "--service-name", SERVICE)
        before = set(j.aws("ecs", "list-tasks", *where)["taskArns"])
        victim = sorted(before)[0]
        described = j.aws("ecs", "describe-tasks", "--cluster", CLUSTER, "--tasks", victim)["tasks"][0]
        id = described["containers"][0]["runtimeId"]
        if self.engine == "oci":
            root = f"/run/havre-{UpOptions(str(self.state)).instance}/runtime"
            j.run("crun", "--root", root, "kill", id[:32], "KILL")
        else:
            j.run("docker", "kill", id)

        def replaced() -> bool:
            now = set(self.j.quiet("ecs", "list-tasks", *where)["taskArns"])
            return victim not in now and len(now) == 3

        j.until(replaced, "another task has taken its place")
        self._stable()

        def targets() -> bool:
            answer = self.j.quiet("elbv2", "describe-target-health", "--target-group-arn", self.group_arn)
            states = [t["TargetHealth"]["State"] for t in answer["TargetHealthDescriptions"]]
            return sorted(states) == ["healthy"] * 3

        j.until(targets, "the load balancer has three healthy targets again")

    def look_back(self) -> None:
        j = self.j
        j.title("Logs and the audit trail")
        group = ("--log-group-name", "/ecs/hello", "--query", "events[].message")
        lines = j.aws("logs", "filter-log-events", *group)
        j.check(any("hello v2 starts" in line for line in lines), f"{len(lines)} log lines, v2's start among them")
        lookup = ("--lookup-attributes", "AttributeKey=EventName,AttributeValue=UpdateService")
        events = j.aws("cloudtrail", "lookup-events", *lookup)["Events"]
        j.check(len(events) >= 2, f"the trail has {len(events)} UpdateService calls, by {events[0]['Username']}")

    def end(self) -> None:
        j = self.j
        j.title("What runs")
        print(j.run("havre", "status", "--state", str(self.state)), end="")
        print(j.run("havre", "explain", "--state", str(self.state), self.service_arn), end="")
        rows = [
            ("hello", self.url),
            ("orders", f"{self.functions.url}12"),
            ("AWS endpoint", j.env["AWS_ENDPOINT_URL"]),
            ("credentials", f'eval "$(havre env --state {self.state})"'),
            ("stop", f"havre down --state {self.state}"),
        ]
        print(f"\n{table(rows)}")
