"""The Docker Engine is started anew while tasks run, as ``systemctl restart docker`` and upgrades do: an engine of
the test's own, which nobody else uses."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images import busybox_image, own

from .conftest import Instance, Starter, eventually, push, stop

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(900)]
IMAGE = own("havre-test-restarts")
COUNTS = "trap 'exit 0' TERM; n=0; while :; do n=$((n+1)); echo line $n; sleep 0.5 & wait $!; done"


class Engine:
    """With a bridge of its own, which nobody uses: an engine that is to have none takes docker0 away from the machine's."""

    def __init__(self, directory: Path, name: str, *, live_restore: bool) -> None:
        self.directory = directory
        self.name = name
        self.socket = f"unix://{directory}/docker.sock"
        (directory / "daemon.json").write_text(json.dumps({"live-restore": live_restore}))
        self.process: subprocess.Popen[bytes] | None = None
        self.bridge = f"hvt{os.getpid()}"
        subprocess.run(["ip", "link", "add", self.bridge, "type", "bridge"], check=True)
        subprocess.run(["ip", "address", "add", "10.254.253.1/24", "dev", self.bridge], check=True)

    def start(self) -> None:
        d = self.directory
        command = ["dockerd", "-H", self.socket, "--data-root", f"{d}/data", "--exec-root", f"{d}/exec"]
        command += ["--pidfile", f"{d}/pid", "--config-file", f"{d}/daemon.json", "--bridge", self.bridge]
        command += ["--iptables=false", "--ip6tables=false"]
        command += ["--containerd-namespace", self.name, "--containerd-plugins-namespace", f"{self.name}-plugins"]

        def up() -> bool:
            """As systemd does: one that gave up (its containerd took too long on a busy machine) is started again."""
            if self.process is None or self.process.poll() is not None:
                with open(d / "log", "ab") as log:
                    self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            return self.answers()

        eventually(up)

    def answers(self) -> bool:
        return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0

    def end(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(120)
            self.process = None

    def clear(self) -> None:
        """What lived on behind its back ends with it."""
        if self.process is None:
            self.start()
        listed = subprocess.run(["docker", "ps", "-aq"], capture_output=True, check=True).stdout.decode().split()
        if listed:
            subprocess.run(["docker", "rm", "-f", *listed], capture_output=True, check=True)
        self.end()
        self._kill_shims()
        for mount in reversed(Path("/proc/mounts").read_text().splitlines()):
            if mount.split()[1].startswith(f"{self.directory}/"):
                subprocess.run(["umount", "-l", mount.split()[1]], check=False)

    def _kill_shims(self) -> None:
        """Of containers that were being made when the engine was killed, and that it knows nothing of since."""
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # others end meanwhile
                if f"-namespace\0{self.name}\0".encode() not in (process / "cmdline").read_bytes():
                    continue
                for children in process.glob("task/*/children"):
                    for child in children.read_text().split():
                        os.kill(int(child), signal.SIGKILL)
                os.kill(int(process.name), signal.SIGKILL)


@pytest.fixture(params=["live-restore", "plain"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(
        prefix="hve", ignore_cleanup_errors=True
    ) as short:  # its sockets' paths are bounded
        made = Engine(Path(short), f"havre-test-{os.getpid()}", live_restore=request.param == "live-restore")
        monkeypatch.setenv("DOCKER_HOST", made.socket)
        try:
            made.start()
            with busybox_image(IMAGE, COUNTS):
                yield made
        finally:
            try:
                made.clear()
            finally:
                subprocess.run(["ip", "link", "delete", made.bridge], check=False)


def _service(instance: Instance) -> Any:
    ecs = instance.client("ecs")
    subnet = instance.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    ecs.create_cluster(clusterName="c")
    instance.client("logs").create_log_group(logGroupName="restarts")
    options = {"awslogs-group": "restarts", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "s"}
    main = {"name": "main", "image": push(instance, IMAGE, "restarts"), "memory": 32, "cpu": 16, "essential": True}
    main["logConfiguration"] = {"logDriver": "awslogs", "options": options}
    ecs.register_task_definition(family="counts", networkMode="awsvpc", containerDefinitions=[main])
    network = {"awsvpcConfiguration": {"subnets": [subnet]}}
    wanted = {"taskDefinition": "counts", "desiredCount": 3, "launchType": "EC2", "networkConfiguration": network}
    ecs.create_service(cluster="c", serviceName="s", **wanted)
    eventually(lambda: len(_running(ecs)) == 3)
    return ecs


def _running(ecs: Any) -> set[str]:
    arns = ecs.list_tasks(cluster="c", serviceName="s")["taskArns"]
    found = ecs.describe_tasks(cluster="c", tasks=arns)["tasks"] if arns else []
    return {task["taskArn"] for task in found if task["lastStatus"] == "RUNNING"}


def _containers() -> dict[str, str]:
    """Id → task, of the tasks' containers that run (not of sandboxes)."""
    shown = ["--format", '{{.ID}} {{.Label "com.amazonaws.ecs.task-arn"}}']
    listed = subprocess.run(["docker", "ps", "--no-trunc", *shown], capture_output=True, text=True, check=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 2}


def _lines(instance: Instance) -> dict[str, int]:
    """Task id → the highest number that it has told."""
    logs = instance.client("logs")
    told: dict[str, int] = {}
    for stream in logs.describe_log_streams(logGroupName="restarts")["logStreams"]:
        name = stream["logStreamName"]
        events = logs.get_log_events(logGroupName="restarts", logStreamName=name, limit=1)["events"]
        told[name.rsplit("/", 1)[1]] = int(events[0]["message"].split()[1]) if events else 0
    return told


def _more_lines(instance: Instance, tasks: set[str]) -> None:
    """Each of them tells more than it had told."""
    before = _lines(instance)

    def more() -> bool:
        now = _lines(instance)
        return all(now.get(id := arn.rsplit("/", 1)[1], 0) > before.get(id, 0) for arn in tasks)

    eventually(more)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_services_come_back_when_the_engine_does(engine: Engine, havre: Starter, number: int) -> None:
    instance = havre()
    ecs = _service(instance)
    tasks, containers = _running(ecs), _containers()
    assert len(containers) == 3
    _more_lines(instance, tasks)
    engine.end(number)
    eventually(lambda: "Docker daemon" in str(_problems(instance)))
    if kept := (json.loads((engine.directory / "daemon.json").read_text())["live-restore"]):
        assert _running(ecs) == tasks  # nobody knows of any trouble of theirs
    engine.start()

    def whole() -> bool:
        with contextlib.suppress(subprocess.CalledProcessError):
            return not _problems(instance) and len(_running(ecs)) == 3 and set(_containers().values()) == _running(ecs)
        return False

    eventually(whole)
    time.sleep(2)  # long enough for a double start to show
    assert whole() and len(_containers()) == 3
    if kept:
        assert (_running(ecs), _containers()) == (tasks, containers)
    else:
        assert not tasks & _running(ecs)
        for task in ecs.describe_tasks(cluster="c", tasks=sorted(tasks))["tasks"]:
            assert task["lastStatus"] == "STOPPED" and task["stoppedReason"], task
            assert "exitCode" in task["containers"][0] or task["containers"][0]["reason"], task
    _more_lines(instance, _running(ecs))
    assert stop(instance) == 0
    assert instance.containers() == []


def _problems(instance: Instance) -> list[str]:
    found: list[str] = instance.get("/_havre/health")["problems"]
    return found
