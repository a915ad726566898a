"""Tasks on real containers: what they ask about themselves, what they write, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.container_bench import IMAGE, SLEEP
from tests.images import busybox_image

from .conftest import Instance, Starter, eventually, kill, start, stop

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(600)]
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
LINES = 150_000
CREDENTIALS = "${AWS_CONTAINER_CREDENTIALS_FULL_URI:-http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI}"
"""As SDKs find them; the full URI is told where another instance on this machine has port 80."""
Json = Mapping[str, Any]


@pytest.fixture(scope="module", autouse=True)
def image() -> Iterator[None]:
    with busybox_image(IMAGE, SLEEP):
        yield


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    state = tmp_path_factory.mktemp("tasks") / "state"
    made = start(state)
    yield made
    assert stop(made) == 0
    assert made.containers() == []


class Cluster:
    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.ecs = instance.client("ecs")
        self.ecs.create_cluster(clusterName="c")

    def run(self, family: str, mode: str, script: str, container: Json | None = None, **more: Any) -> str:
        spec = {"name": "main", "image": IMAGE, "memory": 128, "command": ["sh", "-c", script]}
        spec |= container or {}
        self.ecs.register_task_definition(family=family, networkMode=mode, containerDefinitions=[spec], **more)
        network = {}
        if mode == "awsvpc":
            subnet = self.instance.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
            network = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": [subnet]}}}
        answer = self.ecs.run_task(cluster="c", taskDefinition=family, launchType="EC2", **network)
        assert answer["failures"] == []
        return str(answer["tasks"][0]["taskArn"])

    def task(self, arn: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ecs.describe_tasks(cluster="c", tasks=[arn])["tasks"][0]
        return found

    def until(self, arn: str, *states: str) -> dict[str, Any]:
        """The task, once it is in one of these states; STOPPED, unless told."""

        def reached() -> Any:
            try:
                task = self.task(arn)
            except Exception:  # the server may be the one that was killed
                return None
            return task if task["lastStatus"] in (states or ("STOPPED",)) else None

        found: dict[str, Any] = eventually(reached)
        return found


@pytest.fixture(scope="module")
def cluster(instance: Instance) -> Cluster:
    return Cluster(instance)


@pytest.fixture(scope="module")
def role(instance: Instance) -> str:
    iam = instance.client("iam")
    made = iam.create_role(RoleName="task", AssumeRolePolicyDocument=json.dumps(TRUST))
    return str(made["Role"]["Arn"])


def _mounted(*paths: Path) -> tuple[list[Json], list[Json]]:
    names = [f"v{n}" for n in range(len(paths))]
    volumes = [{"name": n, "host": {"sourcePath": str(p)}} for n, p in zip(names, paths, strict=True)]
    mounts = [{"sourceVolume": n, "containerPath": str(p)} for n, p in zip(names, paths, strict=True)]
    return volumes, mounts


def _python() -> Sequence[Path]:
    """What this interpreter needs to run in a container that has nothing."""
    own = {Path(sys.prefix), Path(sys.base_prefix), Path("/usr"), Path("/lib"), Path("/lib64")}
    return sorted(p for p in own if p.exists() and not any(o in p.parents for o in own))


@pytest.mark.parametrize("mode", ["awsvpc", "bridge", "host"])
def test_a_task_uses_its_role_from_its_first_line_on(cluster: Cluster, role: str, mode: str, tmp_path: Path) -> None:
    """The first thing that the container does is to ask for its credentials; then boto3 signs a request with them."""
    tmp_path.chmod(0o777)
    volumes, mounts = _mounted(*_python(), tmp_path)
    script = (
        f"wget -q -O {tmp_path}/keys {CREDENTIALS}\n"
        f"wget -q -O {tmp_path}/container $ECS_CONTAINER_METADATA_URI_V4\n"
        f"wget -q -O {tmp_path}/task $ECS_CONTAINER_METADATA_URI_V4/task\n"
        f"wget -q -O {tmp_path}/stats $ECS_CONTAINER_METADATA_URI_V4/stats\n"
        f"PATH=/usr/bin:/bin {sys.executable} -c '"
        'import boto3, json; print(json.dumps(boto3.client("sts").get_caller_identity()["Arn"]))'
        f"' > {tmp_path}/who\n"
    )
    arn = cluster.run(f"role-{mode}", mode, script, {"mountPoints": mounts}, volumes=volumes, taskRoleArn=role)
    task = cluster.until(arn)
    assert task["containers"][0]["exitCode"] == 0, task
    said = {name: json.loads((tmp_path / name).read_text()) for name in ("keys", "container", "task", "stats", "who")}
    assert said["keys"]["RoleArn"] == role
    id = arn.rsplit("/", 1)[1]
    assert said["who"] == f"arn:aws:sts::000000000000:assumed-role/task/{id}"
    assert said["container"]["Networks"][0]["NetworkMode"] == mode
    assert said["task"]["TaskARN"] == arn
    assert said["task"]["Family"] == f"role-{mode}"
    assert said["stats"]["cpu_stats"] and said["stats"]["precpu_stats"]


def test_another_tasks_credentials_are_refused(cluster: Cluster, role: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    volumes, mounts = _mounted(tmp_path)
    modes = ("bridge", "awsvpc")
    more = {"container": {"mountPoints": mounts}, "volumes": volumes}
    owners = []
    for mode in modes:
        where = f"{tmp_path}/uri-{mode}"
        say = f"echo {CREDENTIALS} > {where}.new; mv {where}.new {where}"
        wait = "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"
        owners.append(cluster.run(f"owner-{mode}", mode, f"{say}; {wait}", taskRoleArn=role, **more))
        eventually(Path(where).exists)
    for asker in modes:
        ask = "timeout 3 wget -q -O - $(cat {0}/uri-{1}) >> {0}/stolen; echo $? >> {0}/codes-{2}"
        script = "\n".join(ask.format(tmp_path, mode, asker) for mode in modes)
        cluster.until(cluster.run(f"thief-{asker}", asker, script, **more))
        codes = (tmp_path / f"codes-{asker}").read_text().split()
        assert len(codes) == 2 and "0" not in codes
    assert (tmp_path / "stolen").read_text() == ""
    for arn in owners:
        cluster.ecs.stop_task(cluster="c", task=arn)


def _messages(instance: Instance, group: str, stream: str) -> list[str]:
    logs, found, token = instance.client("logs"), [], None
    while True:
        more = {"nextToken": token} if token else {}
        page = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, limit=10_000, **more)
        found += [e["message"] for e in page["events"]]
        if page["nextForwardToken"] == token:
            return found
        token = page["nextForwardToken"]


@pytest.mark.parametrize("killed", ["nobody", "server", "node"])
def test_no_line_is_lost(cluster: Cluster, instance: Instance, killed: str) -> None:
    """As fast as a shell can write, in the middle of it a kill -9."""
    options = {"awslogs-group": f"/{killed}", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"}
    options["awslogs-create-group"] = "true"
    script = f"seq 1 {LINES // 3}; sleep 1; seq {LINES // 3 + 1} {LINES}; exit 7"
    logging = {"logConfiguration": {"logDriver": "awslogs", "options": options}}
    arn = cluster.run(f"lines-{killed}", "bridge", script, logging)
    if killed != "nobody":
        cluster.until(arn, "RUNNING", "STOPPED")  # it may be over before it is seen to run
        time.sleep(1.1)
        kill(instance.run_file["pids"][killed])
    task = cluster.until(arn)
    assert task["containers"][0]["exitCode"] == 7
    found = _messages(instance, f"/{killed}", f"p/main/{arn.rsplit('/', 1)[1]}")
    assert list(dict.fromkeys(found)) == [str(n) for n in range(1, LINES + 1)]


def test_down_after_everything_was_killed_leaves_nothing(havre: Starter) -> None:
    instance = havre()
    cluster = Cluster(instance)
    arns = [cluster.run(f"sleep-{mode}", mode, "sleep 1000", {"stopTimeout": 2}) for mode in ("bridge", "awsvpc")]
    for arn in arns:
        cluster.until(arn, "RUNNING")
    assert instance.containers()
    name, pids = instance.name, instance.run_file["pids"]
    for pid in (instance.process.pid, *pids.values()):
        os.kill(pid, signal.SIGKILL)
    instance.process.wait()
    down = [str(Path(sys.executable).with_name("havre")), "down", "--state", str(instance.state)]
    subprocess.run(down, check=True, timeout=300, capture_output=True)
    listed = ["docker", "ps", "-aq", "--filter", f"label=havre.instance={name}"]
    assert subprocess.run(listed, check=True, capture_output=True).stdout == b""
    namespaces = Path("/run/netns")
    assert not namespaces.exists() or not [p for p in namespaces.iterdir() if name in p.name]
