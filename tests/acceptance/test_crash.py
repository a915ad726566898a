"""kill -9 of any process at any moment: containers run on, nothing acknowledged is lost, nothing runs twice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.images import busybox_image, own

from .conftest import HAVRE, Instance, Starter, eventually, kill, push, start, stop

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(600)]
IMAGE = own("havre-test-sleeper")


@pytest.fixture(scope="module", autouse=True)
def image() -> Iterator[None]:
    """An image that sleeps, made of busybox; nothing is pulled."""
    sleep = "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"
    with busybox_image(IMAGE, sleep):
        yield


def _service(instance: Instance, count: int) -> Any:
    ecs = instance.client("ecs")
    ecs.create_cluster(clusterName="c")
    container = {"name": "main", "image": push(instance, IMAGE, "sleeper"), "memory": 32, "cpu": 16, "essential": True}
    ecs.register_task_definition(family="sleeper", networkMode="bridge", containerDefinitions=[container])
    ecs.create_service(cluster="c", serviceName="s", taskDefinition="sleeper", desiredCount=count, launchType="EC2")
    eventually(lambda: _running(ecs) == count)
    return ecs


def _running(ecs: Any) -> int:
    return int(ecs.describe_services(cluster="c", services=["s"])["services"][0]["runningCount"])


def _containers(instance: Instance) -> dict[str, str]:
    """Container id → name, of the running containers of tasks (not of sandboxes)."""
    mine = ["--filter", f"label=havre.instance={instance.name}"]
    shown = ["--format", '{{.ID}} {{.Names}} {{.Label "havre.container"}}']
    command = ["docker", "ps", "--no-trunc", *mine, *shown]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 3}


@pytest.mark.parametrize("role", ["server", "node", "all"])
def test_killed_processes_leave_containers_alone(havre: Starter, role: str) -> None:
    instance = havre()
    _service(instance, 3)
    before = _containers(instance)
    assert len(before) == 3
    name = instance.name
    pids = dict(instance.run_file["pids"])
    if role == "all":
        for pid in (instance.process.pid, *pids.values()):
            kill(pid)
        instance.process.wait()
        instance = start(instance.state, port=instance.port)
    else:
        kill(pids[role])
    assert name == instance.name

    def back() -> bool:
        with contextlib.suppress(Exception):
            return _running(instance.client("ecs")) == 3 and not _node_missing(instance)
        return False

    eventually(back)
    time.sleep(2)  # long enough for a double start to show
    assert _containers(instance) == before
    if role == "all":
        assert stop(instance) == 0
        assert instance.containers() == []


def _node_missing(instance: Instance) -> bool:
    ecs = instance.client("ecs")
    arns = ecs.list_container_instances(cluster="c")["containerInstanceArns"]
    found = ecs.describe_container_instances(cluster="c", containerInstances=arns)["containerInstances"]
    return not all(each["agentConnected"] for each in found)


def test_a_killed_container_is_replaced_and_stop_leaves_nothing(havre: Starter) -> None:
    instance = havre()
    ecs = _service(instance, 2)
    before = _containers(instance)
    victim = next(iter(before))
    subprocess.run(["docker", "kill", victim], check=True, capture_output=True)

    def replaced() -> bool:
        now = _containers(instance)
        return len(now) == 2 and victim not in now and _running(ecs) == 2

    eventually(replaced)
    stopped = ecs.list_tasks(cluster="c", desiredStatus="STOPPED")["taskArns"]
    task = ecs.describe_tasks(cluster="c", tasks=stopped)["tasks"][0]
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["stoppedReason"] == "Essential container in task exited"
    assert task["containers"][0]["exitCode"] == 137
    name = instance.name
    assert stop(instance) == 0
    left = subprocess.run(
        ["docker", "ps", "-aq", "--filter", f"label=havre.instance={name}"], capture_output=True, check=True
    )
    assert left.stdout == b""


def test_tasks_kept_over_down_are_found_again(havre: Starter) -> None:
    instance = havre()
    _service(instance, 2)
    before = _containers(instance)
    assert stop(instance, signal.SIGUSR1) == 0
    again = start(instance.state, port=instance.port)
    eventually(lambda: _running(again.client("ecs")) == 2)
    assert _containers(again) == before
    assert stop(again, signal.SIGUSR1) == 0
    assert _containers(again) == before
    subprocess.run([HAVRE, "down", "--state", str(again.state)], check=True, timeout=300)
    assert again.containers() == []


@pytest.mark.parametrize("role", ["node", "server", "supervisor"])
def test_down_clears_up_though_a_process_is_killed_under_it(havre: Starter, role: str) -> None:
    instance = havre()
    _service(instance, 3)
    pids = {**instance.run_file["pids"], "supervisor": instance.process.pid}
    down = subprocess.Popen([HAVRE, "down", "--state", str(instance.state)])
    eventually(lambda: "stopping" in instance.log())
    kill(pids[role])
    instance.process.wait(300)
    assert down.wait(300) == 0
    assert instance.containers() == []


@pytest.mark.parametrize("first", ["node", "supervisor"])
def test_told_all_at_once_to_end_it_leaves_nothing(havre: Starter, first: str) -> None:
    """As systemd does by default, and whoever ends a control group."""
    instance = havre()
    _service(instance, 2)
    pids = {**instance.run_file["pids"], "supervisor": instance.process.pid}
    for role in sorted(pids, key=lambda role: role != first):
        os.kill(pids[role], signal.SIGTERM)
    assert instance.process.wait(300) == 0
    assert instance.containers() == []
    assert not (instance.state / "run.json").exists()
