"""``havre up --engine oci``: tasks on crun and conmon, from push to logs, whoever is killed. Docker is asked for nothing."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from havre.cli.journey import Load, fetch
from tests.contracts.oci_bench import push as push_layers
from tests.images import base, layer

from .conftest import HAVRE, Instance, alive, clear, eventually, kill, start, stop

pytestmark = [pytest.mark.root, pytest.mark.timeout(600), pytest.mark.xdist_group("port 80")]

SLEEP = "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"
SERVE = """#!/bin/sh
echo "$VERSION starts"
mkdir /www && echo "$VERSION" > /www/index.html
httpd -f -p 80 -h /www &
trap 'kill $!' TERM
wait $!
"""


@dataclass
class World:
    """An instance without Docker, with a cluster and images in a repository."""

    instance: Instance
    images: str

    @property
    def ecs(self) -> Any:
        return self.instance.client("ecs")

    @property
    def runtime(self) -> Path:
        return Path(f"/run/havre-{self.instance.name}/runtime")

    def run(self, script: str, network: str = "bridge", **fields: Any) -> str:
        """A task of one container; its ARN."""
        main = {"name": "main", "image": f"{self.images}:1", "command": ["sh", "-c", script], "memory": 64, **fields}
        family = "f" + str(abs(hash((script, network, str(fields)))))[:12]
        volumes = main.pop("volumes", [])
        self.ecs.register_task_definition(
            family=family, networkMode=network, containerDefinitions=[main], volumes=volumes
        )
        more: dict[str, Any] = {}
        if network == "awsvpc":
            subnet = self.instance.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
            more = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": [subnet]}}}
        return str(self.ecs.run_task(cluster="c", taskDefinition=family, **more)["tasks"][0]["taskArn"])

    def task(self, arn: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ecs.describe_tasks(cluster="c", tasks=[arn])["tasks"][0]
        return found

    def until(self, arn: str, state: str) -> dict[str, Any]:
        def seen() -> dict[str, Any] | None:
            try:
                found = self.task(arn)
            except BotoCoreError:  # the server is starting again
                return None
            return found if found["lastStatus"] == state else None

        found: dict[str, Any] = eventually(seen, 200)
        return found

    def lines(self, group: str) -> list[str]:
        logs = self.instance.client("logs")
        found: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = logs.filter_log_events(logGroupName=group, **token)
            found += [event["message"] for event in page["events"]]
            if "nextToken" not in page:
                return found
            token = {"nextToken": page["nextToken"]}

    def containers(self) -> dict[str, int]:
        """Runtime id (as the runtime has it) → pid, of what runs."""
        found = {}
        for path in self.runtime.glob("*/status"):
            pid = json.loads(path.read_text())["pid"]
            if alive(pid):
                found[path.parent.name] = pid
        return found


def log(group: str) -> dict[str, Any]:
    options = {"awslogs-group": group, "awslogs-region": "us-east-1", "awslogs-create-group": "true"}
    return {"logDriver": "awslogs", "options": {**options, "awslogs-stream-prefix": "p"}}


def _images(instance: Instance) -> str:
    ecr = instance.client("ecr")
    uri = str(ecr.create_repository(repositoryName="sh")["repository"]["repositoryUri"])
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    password = base64.b64decode(token).decode().partition(":")[2]
    server: Any = SimpleNamespace(address=uri.partition("/")[0], password=password)
    script = layer({"bin/serve": SERVE})
    push_layers(server, "1", [base()], Cmd=["/bin/sh", "-c", SLEEP])
    for version in ("v1", "v2"):
        env = ["PATH=/bin", f"VERSION={version}"]
        push_layers(server, version, [base(), script], Cmd=["/bin/sh", "/bin/serve"], Env=env)
    return uri


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Nobody answers where a Docker Engine would."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    state = tmp_path / "state"
    instance = start(state, "--engine", "oci")
    made = World(instance, _images(instance))
    made.ecs.create_cluster(clusterName="c")
    yield made
    stop(made.instance)
    clear(state)
    assert not left(instance)


def left(instance: Instance) -> list[str]:
    """What of it is left on this machine, but its state."""
    name = instance.name
    found = [at for at, _, _ in os.walk("/sys/fs/cgroup") if at.endswith(f"/havre-tasks-{name}")]
    found += [str(p) for root in ("/run", "/dev/shm") for p in Path(root).glob(f"*{name}*")]
    for command in (["ip", "netns", "list"], ["ip", "-o", "link"], ["nft", "list", "tables"]):
        shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        found += [line for line in shown if name in line]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found += [words] if str(instance.state) in words or name in words else []
    return found


def _balanced(world: World) -> tuple[dict[str, Any], str]:
    """A load balancer that everybody reaches on port 80, and the target group behind it."""
    elb, ec2 = world.instance.client("elbv2"), world.instance.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnets = [s["SubnetId"] for s in ec2.describe_subnets()["Subnets"]][:2]
    guard = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
    anyone = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=guard, IpPermissions=[anyone])
    made = elb.create_load_balancer(Name="web", Subnets=subnets, SecurityGroups=[guard])
    balancer: dict[str, Any] = made["LoadBalancers"][0]
    fast = {"HealthCheckIntervalSeconds": 5, "HealthyThresholdCount": 2, "HealthCheckTimeoutSeconds": 2}
    group = elb.create_target_group(Name="web", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="instance", **fast)
    pool = str(group["TargetGroups"][0]["TargetGroupArn"])
    forward = [{"Type": "forward", "TargetGroupArn": pool}]
    elb.create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=forward)
    soon = [{"Key": "deregistration_delay.timeout_seconds", "Value": "2"}]
    elb.modify_target_group_attributes(TargetGroupArn=pool, Attributes=soon)
    return balancer, pool


def test_a_service_behind_a_load_balancer_is_updated_and_its_containers_killed(world: World) -> None:
    """In bridge mode: the balancer sends to ports of this machine."""
    elb, ecs = world.instance.client("elbv2"), world.ecs
    balancer, pool = _balanced(world)
    for version in ("v1", "v2"):
        main = {
            "name": "main",
            "image": f"{world.images}:{version}",
            "memory": 64,
            "portMappings": [{"containerPort": 80, "hostPort": 0}],
            "logConfiguration": log("/web"),
        }
        ecs.register_task_definition(family="web", networkMode="bridge", containerDefinitions=[main])
    mapped = [{"targetGroupArn": pool, "containerName": "main", "containerPort": 80}]
    ecs.create_service(cluster="c", serviceName="web", taskDefinition="web:1", desiredCount=2, loadBalancers=mapped)

    def healthy() -> int:
        states = elb.describe_target_health(TargetGroupArn=pool)["TargetHealthDescriptions"]
        return sum(s["TargetHealth"]["State"] == "healthy" for s in states)

    def settled(definition: str) -> bool:
        seen = ecs.describe_services(cluster="c", services=["web"])["services"][0]
        only = [d["taskDefinition"].rsplit("/", 1)[-1] for d in seen["deployments"]]
        return only == [definition] and seen["runningCount"] == 2 and healthy() == 2

    eventually(lambda: settled("web:1"))
    status = json.loads(subprocess.check_output([HAVRE, "status", "--state", str(world.instance.state), "--json"]))
    address = status["tables"]["Load balancers"][0]["or"].removeprefix("http://").rstrip("/")
    assert fetch(address, balancer["DNSName"]) == (200, "v1")
    with Load(address, balancer["DNSName"]) as load:
        ecs.update_service(cluster="c", service="web", taskDefinition="web:2")
        eventually(lambda: settled("web:2"), 200)
    assert load.failures == []
    assert set(load.answers) == {"v1", "v2"}
    eventually(lambda: len(world.containers()) == 2)
    before = world.containers()
    os.kill(next(iter(before.values())), signal.SIGKILL)
    eventually(lambda: len(world.containers()) == 2 and world.containers() != before and settled("web:2"))
    assert {"v1 starts", "v2 starts"} == set(world.lines("/web"))
    gone = world.ecs.list_tasks(cluster="c", desiredStatus="STOPPED")["taskArns"]
    ended = ecs.describe_tasks(cluster="c", tasks=gone)["tasks"]
    assert 137 in {t["containers"][0].get("exitCode") for t in ended}
    assert "oci crun" in json.dumps(status["tables"]["Nodes"])


@pytest.mark.parametrize("network", ["bridge", "awsvpc", "host"])
def test_a_container_learns_of_itself(world: World, network: str) -> None:
    ask = "wget -q -O - $ECS_CONTAINER_METADATA_URI_V4"
    script = f"{ask}; echo; {ask}/stats | head -c 300"
    arn = world.run(script, network, logConfiguration=log("/meta"))
    ended = world.until(arn, "STOPPED")
    assert ended["containers"][0]["exitCode"] == 0, ended
    lines = world.lines("/meta")
    assert lines[0].startswith("{"), lines
    told = json.loads(lines[0])
    assert told["Name"] == "main"
    assert told["DockerId"] == ended["containers"][0]["runtimeId"]
    assert told["Labels"]["com.amazonaws.ecs.task-arn"] == arn
    assert '"memory_stats"' in lines[1] or '"cpu_stats"' in lines[1] or '"id"' in lines[1]


def test_why_a_task_did_not_run(world: World) -> None:
    cases = {
        "missing": (world.run("x", command=["no-such-program"]), "CannotStartContainerError", "not found in $PATH"),
        "hungry": (
            world.run("dd if=/dev/zero of=/dev/null bs=64M count=1", memory=16),
            "OutOfMemoryError",
            "memory usage",
        ),
        "image": (world.run("x", image=f"{world.images}:none"), "CannotPullContainerError", "MANIFEST_UNKNOWN"),
        "driver": (
            world.run("x", logConfiguration={"logDriver": "syslog"}),
            "CannotCreateContainerError",
            "log driver",
        ),
    }
    for arn, error, words in cases.values():
        ended = world.until(arn, "STOPPED")
        reason = ended["containers"][0].get("reason", "")
        assert error in reason, reason
        assert words in reason, reason
    nfs = {"name": "v", "dockerVolumeConfiguration": {"driver": "nfs", "scope": "task"}}
    mount = [{"sourceVolume": "v", "containerPath": "/v"}]
    ended = world.until(world.run("x", volumes=[nfs], mountPoints=mount), "STOPPED")
    assert "no volume driver 'nfs'" in ended["stoppedReason"]


@pytest.mark.parametrize("role", ["node", "server", "all"])
def test_killed_processes_leave_containers_and_their_lines_alone(world: World, role: str) -> None:
    count = 40_000
    script = f"i=0; while [ $i -lt {count} ]; do echo $i; i=$((i+1)); [ $((i % 4000)) = 0 ] && sleep 0.3; done; {SLEEP}"
    arn = world.run(script, logConfiguration=log("/lines"))
    world.until(arn, "RUNNING")
    before = world.containers()
    pids = dict(world.instance.run_file["pids"])
    time.sleep(0.5)
    if role == "all":
        for pid in (world.instance.process.pid, *pids.values()):
            kill(pid)
        world.instance.process.wait()
        world.instance = start(world.instance.state, port=world.instance.port)
    else:
        kill(pids[role])
    assert world.until(arn, "RUNNING")["taskArn"] == arn
    eventually(lambda: _numbers(world)[-1:] == [count - 1])
    found = _numbers(world)
    assert sorted(set(found)) == list(range(count))
    assert len(found) < count * 1.2
    assert world.containers() == before
    world.ecs.stop_task(cluster="c", task=arn)
    assert world.until(arn, "STOPPED")["containers"][0]["exitCode"] == 0


def _numbers(world: World) -> list[int]:
    try:
        return [int(line) for line in world.lines("/lines")]
    except BotoCoreError:  # the server is starting again
        return []


def test_kept_over_down_and_bound_to_its_engine(world: World) -> None:
    arn = world.run(SLEEP, portMappings=[{"containerPort": 80, "hostPort": 0}])
    task = world.until(arn, "RUNNING")
    before = world.containers()
    state = str(world.instance.state)
    assert stop(world.instance, signal.SIGUSR1) == 0
    assert world.containers() == before
    refused = subprocess.run(
        [HAVRE, "up", "--state", state, "--engine", "docker"], capture_output=True, text=True, check=False, timeout=60
    )
    assert refused.returncode == 1
    assert "runs on the oci engine" in refused.stderr
    world.instance = start(world.instance.state, port=world.instance.port)
    again = world.until(arn, "RUNNING")
    assert again["containers"][0]["runtimeId"] == task["containers"][0]["runtimeId"]
    assert again["containers"][0]["networkBindings"] == task["containers"][0]["networkBindings"]
    assert world.containers() == before
    kill(world.instance.process.pid)
    for pid in world.instance.run_file["pids"].values():
        kill(pid)
    world.instance.process.wait()
    subprocess.run([HAVRE, "down", "--state", state], check=True, timeout=300)
    assert world.containers() == {}
    assert not left(world.instance)
