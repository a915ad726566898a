"""Tasks: until a container's first line, until RUNNING, until a killed one is replaced, until fifty run.

Havre and ministack run as users run them, on the Docker Engine of this machine; ``docker run`` is the third peer. Containers
say their first line into a pipe that is mounted into all of them alike. Havre's image is pushed to its own registry and is
asked for at each start, as ECS does; ``docker run`` finds its image on the machine.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks import _peers
from benchmarks._harness import Promise, finish, rounds

IMAGE = "havre-bench/sh:1"
FIFTY, AT_A_TIME = 50, 4
PATIENCE = 120.0
SLEEP = "trap 'exit 0' TERM; sleep 100000 & wait"
LINE = f"echo x > /pipe/line; {SLEEP}"
NAME = "havre-bench-"


class Ground:
    """An image on this machine, and a pipe for first lines."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        build = directory / "image"
        build.mkdir()
        shutil.copy("/bin/busybox", build / "busybox")
        (build / "Dockerfile").write_text(
            'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\n'
            f'ENV PATH=/bin\nCMD ["/bin/sh", "-c", "{SLEEP}"]\n'
        )
        environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
        docker("build", "-q", "-t", IMAGE, str(build), env=environment)
        self.pipes = directory / "pipe"
        self.pipes.mkdir()
        os.mkfifo(self.pipes / "line")
        self._fd = os.open(self.pipes / "line", os.O_RDWR | os.O_NONBLOCK)
        self._n = 0

    def lines(self, begin: Callable[[], None], count: int = 1) -> float:
        """Seconds from before ``begin`` until this many containers have said their line."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 4096)
        began = time.perf_counter()
        begin()
        seen = 0
        while seen < count:
            if not select.select([self._fd], [], [], PATIENCE)[0]:
                raise TimeoutError("no line")
            seen += os.read(self._fd, 4096).count(b"\n")
        return time.perf_counter() - began

    def docker_run(self, count: int = 1, *more: str) -> list[str]:
        """Start so many with ``docker run -d``, a few at a time; their names."""
        names = [f"{NAME}{os.getpid()}-{self._n + i}" for i in range(count)]
        self._n += count
        mount = f"{self.pipes}:/pipe"
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            run = ("run", "-d", "-v", mount)
            list(pool.map(lambda name: docker(*run, "--name", name, *more, IMAGE, "sh", "-c", LINE), names))
        return names

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            docker("rm", "-f", name)


class Cloud:
    """An ECS endpoint with a cluster and task definitions."""

    def __init__(self, running: _peers.Running, ground: Ground, image: str) -> None:
        keys = {k: running.env[k.upper()] for k in ("aws_access_key_id", "aws_secret_access_key")}
        self._endpoint = running.endpoint
        self._credentials = Credentials(keys["aws_access_key_id"], keys["aws_secret_access_key"])
        self._make = lambda service: boto3.client(
            service, endpoint_url=running.endpoint, region_name="us-east-1", **keys
        )
        self.ecs, self.ec2 = self._make("ecs"), self._make("ec2")
        self.ecs.create_cluster(clusterName="bench")
        self._services = 0
        self._volumes = [{"name": "pipe", "host": {"sourcePath": str(ground.pipes)}}]
        self._container = {
            "image": image,
            "memory": 16,
            "cpu": 10,
            "command": ["sh", "-c", LINE],
            "mountPoints": [{"sourceVolume": "pipe", "containerPath": "/pipe"}],
        }

    def define(self, family: str, mode: str, count: int = 1) -> None:
        containers = [{**self._container, "name": f"c{n}"} for n in range(count)]
        self.ecs.register_task_definition(
            family=family, networkMode=mode, volumes=self._volumes, containerDefinitions=containers
        )

    def network(self) -> dict[str, Any]:
        subnet = self.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        return {"networkConfiguration": {"awsvpcConfiguration": {"subnets": [subnet]}}}

    def run(self, family: str, **more: Any) -> str:
        answer = self.ecs.run_task(cluster="bench", taskDefinition=family, launchType="EC2", **more)
        return str(answer["tasks"][0]["taskArn"])

    def stop(self, arn: str) -> None:
        self.ecs.stop_task(cluster="bench", task=arn)
        self.until(arn, "STOPPED")

    def until(self, arn: str, state: str) -> None:
        """Asked often, with one request signed once: a client that signs each time would be what is measured."""
        signed = self._signed(arn)
        place = urlsplit(signed.url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=PATIENCE)

        def reached() -> bool:
            connection.request("POST", "/", signed.body, dict(signed.headers.items()))
            tasks = json.loads(connection.getresponse().read())["tasks"]
            return not tasks or tasks[0]["lastStatus"] == state

        try:
            wait(reached, 0.01)
        finally:
            connection.close()

    def _signed(self, arn: str) -> AWSRequest:
        body = json.dumps({"cluster": "bench", "tasks": [arn]}).encode()
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.DescribeTasks",
        }
        request = AWSRequest("POST", f"{self._endpoint}/", headers, body)
        SigV4Auth(self._credentials, "ecs", "us-east-1").add_auth(request)
        return request

    def running(self) -> list[str]:
        arns = self.ecs.list_tasks(cluster="bench", desiredStatus="RUNNING")["taskArns"]
        found = self.ecs.describe_tasks(cluster="bench", tasks=arns)["tasks"] if arns else []
        return [t["taskArn"] for t in found if t["lastStatus"] == "RUNNING"]

    @contextlib.contextmanager
    def service(self, family: str, count: int) -> Iterator[str]:
        self._services += 1
        name = f"s{self._services}"
        self.ecs.create_service(
            cluster="bench", serviceName=name, taskDefinition=family, desiredCount=count, launchType="EC2"
        )
        try:
            yield name
        finally:
            self.ecs.update_service(cluster="bench", service=name, desiredCount=0)
            wait(lambda: not self.ecs.list_tasks(cluster="bench", desiredStatus="RUNNING")["taskArns"])
            self.ecs.delete_service(cluster="bench", service=name, force=True)
            wait(lambda: not self._ending())

    def _ending(self) -> list[str]:
        """Tasks that are to stop and have not yet."""
        arns = self.ecs.list_tasks(cluster="bench", desiredStatus="STOPPED")["taskArns"]
        found = self.ecs.describe_tasks(cluster="bench", tasks=arns)["tasks"] if arns else []
        return [t["taskArn"] for t in found if t["lastStatus"] != "STOPPED"]

    def count(self, service: str) -> int:
        return int(self.ecs.describe_services(cluster="bench", services=[service])["services"][0]["runningCount"])


def docker(*arguments: str, env: dict[str, str] | None = None) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True, env=env).stdout.strip()


def wait(reached: Callable[[], bool], every: float = 0.02) -> None:
    deadline = time.perf_counter() + PATIENCE
    while not reached():
        if time.perf_counter() > deadline:
            raise TimeoutError("not within its time")
        time.sleep(every)


def push(running: _peers.Running) -> str:
    """The image in Havre's own registry; its URI."""
    keys = {k: running.env[k.upper()] for k in ("aws_access_key_id", "aws_secret_access_key")}
    ecr = boto3.client("ecr", endpoint_url=running.endpoint, region_name="us-east-1", **keys)
    uri = ecr.create_repository(repositoryName="sh")["repository"]["repositoryUri"] + ":1"
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    password = base64.b64decode(token).decode().partition(":")[2]
    config = running.state / "docker"
    config.mkdir()
    auth = base64.b64encode(f"AWS:{password}".encode()).decode()
    (config / "config.json").write_text(json.dumps({"auths": {uri.partition("/")[0]: {"auth": auth}}}))
    docker("tag", IMAGE, uri)
    docker("--config", str(config), "push", "-q", uri)
    return str(uri)


# --- what is measured
def first_line(ground: Ground, cloud: Cloud, family: str, containers: int, **more: Any) -> float:
    quiet()
    arns: list[str] = []
    took = ground.lines(lambda: arns.append(cloud.run(family, **more)), containers)
    cloud.stop(arns[0])
    return took


def docker_line(ground: Ground) -> float:
    quiet()
    names: list[str] = []
    took = ground.lines(lambda: names.extend(ground.docker_run()))
    ground.remove(names)
    return took


def quiet() -> None:
    """Until nothing of the round before is left: somebody's tidying up would be in the other's time."""
    wait(lambda: not docker("ps", "-q", "--filter", "volume=/pipe"))
    time.sleep(0.3)


def until_running(cloud: Cloud) -> float:
    quiet()
    began = time.perf_counter()
    arn = cloud.run("bridge")
    cloud.until(arn, "RUNNING")
    took = time.perf_counter() - began
    cloud.stop(arn)
    return took


def until_replaced(cloud: Cloud) -> float:
    """One task of a service, killed by its container."""
    quiet()
    with cloud.service("bridge", 1):
        wait(lambda: len(cloud.running()) == 1)
        old = cloud.running()[0]
        victim = docker("ps", "-q", "--filter", "volume=/pipe").split()[0]
        began = time.perf_counter()
        docker("kill", victim)
        wait(lambda: any(arn != old for arn in cloud.running()))
        return time.perf_counter() - began


def fifty(cloud: Cloud) -> float:
    quiet()
    began = time.perf_counter()
    with cloud.service("bridge", FIFTY) as service:
        wait(lambda: cloud.count(service) == FIFTY)
        return time.perf_counter() - began


def fifty_by_docker(ground: Ground) -> float:
    quiet()
    began = time.perf_counter()
    names = ground.docker_run(FIFTY)
    took = time.perf_counter() - began
    ground.remove(names)
    return took


Promised = tuple[str, str, str, str, Callable[[], float], Callable[[], float], int]
"""Key, name, target, peer, how ours and theirs are measured, rounds."""


def first_lines(ground: Ground, cloud: Cloud) -> list[Promised]:
    network = cloud.network()

    def by_docker() -> float:
        return docker_line(ground)

    def ours(family: str, lines: int, **more: Any) -> Callable[[], float]:
        return lambda: first_line(ground, cloud, family, lines, **more)

    line = "RunTask until the first line"
    three = "RunTask until the first lines of three containers, awsvpc"
    return [
        ("vpc", f"{line}, awsvpc", "<= 0.8", "docker run", ours("vpc", 1, **network), by_docker, 9),
        ("bridge", f"{line}, bridge", "<= 1.15", "docker run", ours("bridge", 1), by_docker, 9),
        ("three", three, "<= 1.3", "docker run of one", ours("three", 3, **network), by_docker, 9),
    ]


def states(ground: Ground, cloud: Cloud, other: Cloud) -> list[Promised]:
    running, replaced = "RunTask until RUNNING", "a killed task until its replacement is RUNNING"
    many, by_hand = "a service from 0 to 50 tasks, all RUNNING", "50 docker run -d, four at a time"
    return [
        ("running", running, "<= 1", "ministack", lambda: until_running(cloud), lambda: until_running(other), 7),
        ("replaced", replaced, "<= 1", "ministack", lambda: until_replaced(cloud), lambda: until_replaced(other), 5),
        ("fifty", many, "<= 1.1", by_hand, lambda: fifty(cloud), lambda: fifty_by_docker(ground), 3),
    ]


def without_docker(ground: Ground, cloud: Cloud, other: Cloud) -> list[Promised]:
    """The same promises of ``havre up --engine oci``; its keys begin with ``oci-``."""
    network = cloud.network()

    def by_docker() -> float:
        return docker_line(ground)

    def line(family: str, **more: Any) -> Callable[[], float]:
        return lambda: first_line(ground, cloud, family, 1, **more)

    name, engine = "RunTask until", "--engine oci"
    many, by_hand = f"a service from 0 to 50 tasks, all RUNNING, {engine}", "50 docker run -d, four at a time"
    return [
        (
            "oci-vpc",
            f"{name} the first line, awsvpc, {engine}",
            "<= 0.5",
            "docker run",
            line("vpc", **network),
            by_docker,
            9,
        ),
        (
            "oci-bridge",
            f"{name} the first line, bridge, {engine}",
            "<= 0.5",
            "docker run",
            line("bridge"),
            by_docker,
            9,
        ),
        (
            "oci-running",
            f"{name} RUNNING, {engine}",
            "<= 0.5",
            "ministack",
            lambda: until_running(cloud),
            lambda: until_running(other),
            7,
        ),
        ("oci-fifty", many, "<= 0.5", by_hand, lambda: fifty(cloud), lambda: fifty_by_docker(ground), 3),
    ]


def main() -> None:
    wanted = sys.argv[1:]
    promises: list[Promise] = []
    with tempfile.TemporaryDirectory(prefix="havre-bench-") as directory:
        ground = Ground(Path(directory))
        with _peers.havre() as up, _peers.havre("--engine", "oci") as bare, _peers.ministack() as peer:
            cloud, other = Cloud(up, ground, push(up)), Cloud(peer, ground, IMAGE)
            third = Cloud(bare, ground, push(bare))
            for each in (cloud, other, third):
                each.define("bridge", "bridge")
            for each in (cloud, third):
                each.define("vpc", "awsvpc")
            cloud.define("three", "awsvpc", 3)
            for key, name, target, against, ours, theirs, n in [
                *first_lines(ground, cloud),
                *states(ground, cloud, other),
                *without_docker(ground, third, other),
            ]:
                if not wanted or key in wanted:
                    promises.append(Promise(name, "s", target, against).run(ours, theirs, rounds(n)))
    finish(*promises)


if __name__ == "__main__":
    sys.exit(main())
