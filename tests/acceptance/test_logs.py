"""Containers' lines, from what a container writes to what CloudWatch Logs gives back: all of them, whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.images import busybox_image, own

from .conftest import AWS, HAVRE, Instance, Starter, eventually, push

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(600)]
IMAGE = own("havre-test-lines")
GROUP = "/lines"
COUNT, MANY = 60_000, 200_000


def writing(count: int) -> str:
    return f"awk 'BEGIN {{ for (i = 1; i <= {count}; i++) print \"line \" i }}'"


@pytest.fixture(scope="module", autouse=True)
def image() -> Iterator[None]:
    with busybox_image(IMAGE, writing(COUNT)):
        yield


def _run(instance: Instance, group: str = GROUP, **container: Any) -> str:
    """A task whose container writes; gives its ARN."""
    ecs, logs = instance.client("ecs"), instance.client("logs")
    ecs.create_cluster(clusterName="c")
    if group == GROUP:
        logs.create_log_group(logGroupName=GROUP)
    options = {"awslogs-group": group, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"}
    main = {
        "name": "main",
        "image": push(instance, IMAGE, "lines"),
        "memory": 64,
        "logConfiguration": {"logDriver": "awslogs", "options": {**options, **container.pop("options", {})}},
        **container,
    }
    ecs.register_task_definition(family="lines", networkMode="bridge", containerDefinitions=[main])
    return str(ecs.run_task(cluster="c", taskDefinition="lines")["tasks"][0]["taskArn"])


def _ended(instance: Instance, task: str) -> dict[str, Any]:
    ecs = instance.client("ecs")

    def seen() -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = ecs.describe_tasks(cluster="c", tasks=[task])["tasks"][0]
        except BotoCoreError:  # the server is starting again
            return None
        return found if found["lastStatus"] == "STOPPED" else None

    found: dict[str, Any] = eventually(seen, 200)
    return found


def _lines(instance: Instance, task: str, group: str = GROUP) -> list[str]:
    """What the log stream of the task holds, from the beginning."""
    logs, name = instance.client("logs"), f"p/main/{task.rsplit('/', 1)[-1]}"
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        asked = {"logGroupName": group, "logStreamName": name, "startFromHead": True, **token}
        page = logs.get_log_events(**asked)
        if not page["events"]:
            return found
        found += [event["message"] for event in page["events"]]
        token = {"nextToken": page["nextForwardToken"]}


def test_every_line_is_there_once_and_in_order(havre: Starter) -> None:
    """When a task is STOPPED, its last line can be read."""
    instance = havre()
    task = _run(instance)
    assert _ended(instance, task)["containers"][0]["exitCode"] == 0
    assert _lines(instance, task) == [f"line {n}" for n in range(1, COUNT + 1)], "each once, in order"
    pages = instance.client("logs").get_paginator("filter_log_events")
    found = [e["message"] for p in pages.paginate(logGroupName=GROUP, filterPattern="%e 1.345$%") for e in p["events"]]
    assert found == [f"line 1{n}345" for n in range(10)]
    asked = ["logs", "filter-log-events", "--log-group-name", GROUP, "--filter-pattern", '"line 59999"']
    command = [AWS, *asked, "--query", "events[].message", "--output", "text"]
    shown = subprocess.run(command, env=instance.env, capture_output=True, check=True)
    assert shown.stdout == b"line 59999\n"


@pytest.mark.parametrize("role", ["server", "node"])
def test_no_line_is_lost_when_a_process_is_killed(havre: Starter, role: str) -> None:
    """In the middle of the lines, twice. What was not acknowledged is sent again, so a few may be there twice."""
    instance = havre()
    task = _run(instance, command=["sh", "-c", writing(MANY)])
    for _ in range(2):
        before = eventually(lambda: _stored(instance))
        eventually(lambda before=before: (_stored(instance) or 0) > before)  # type: ignore[misc]
        os.kill(instance.run_file["pids"][role], signal.SIGKILL)
    assert _ended(instance, task)["containers"][0]["exitCode"] == 0
    found = _lines(instance, task)
    missing = {f"line {n}" for n in range(1, MANY + 1)} - set(found)
    assert not missing, f"{len(missing)} lines are missing, of {len(found)} the last is {found[-1]}"
    assert len(found) < MANY * 1.2


def _stored(instance: Instance) -> int | None:
    """Bytes that the group has; None while the server starts again."""
    try:
        (group,) = instance.client("logs").describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]
    except (BotoCoreError, ClientError):
        return None
    return int(group["storedBytes"])


def test_a_group_is_made_where_the_container_asks_for_it(havre: Starter) -> None:
    instance = havre()
    task = _run(
        instance, "/made", options={"awslogs-create-group": "true"}, command=["sh", "-c", "echo hello; echo; echo €"]
    )
    _ended(instance, task)
    assert _lines(instance, task, "/made") == ["hello", "€"]


def test_a_task_without_its_log_group_does_not_start(havre: Starter) -> None:
    instance = havre()
    task = _ended(instance, _run(instance, "/none"))
    assert task["stopCode"] == "TaskFailedToStart"
    assert "ResourceNotFoundException: The specified log group does not exist." in task["stoppedReason"]


def test_down_takes_tasks_whose_lines_nobody_takes(havre: Starter) -> None:
    """Docker lets go of no container while its log driver waits: of tasks that were kept, or whose Havre was killed."""
    instance = havre()
    _run(instance, command=["/bin/sh", "-c", "while :; do echo again; done"])
    logs = instance.client("logs")
    eventually(lambda: logs.filter_log_events(logGroupName=GROUP, limit=1)["events"])
    subprocess.run([HAVRE, "down", "--keep", "--state", str(instance.state)], check=True, capture_output=True)
    mine = ["docker", "ps", "-aq", "--filter", f"label=havre.instance={instance.name}"]
    assert subprocess.run(mine, capture_output=True, check=True).stdout.split()
    done = subprocess.run(
        [HAVRE, "down", "--state", str(instance.state)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "Havre is down\n"), done.stderr
    assert subprocess.run(mine, capture_output=True, check=True).stdout == b""
