"""ECS Exec as people use it: `aws ecs execute-command`, and what happens when somebody goes away. With each engine.

session-manager-plugin is not to be had here: what stands for it speaks its protocol (tests/session_client.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.contracts.container_bench import IMAGE, SLEEP
from tests.images import busybox_image
from tests.session_client import SessionClient

from .conftest import AWS, HAVRE, Instance, alive, clear, eventually, kill, start, stop
from .test_without_docker import _images as images_without_docker

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def policy(*actions: str) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]})


class World:
    def __init__(self, instance: Instance, image: str, engine: str) -> None:
        self.instance = instance
        self.image = image
        self.engine = engine
        self.ecs = instance.client("ecs")
        iam = instance.client("iam")
        for name, actions in {"talks": ("ssmmessages:*", "logs:*", "s3:PutObject"), "mute": ("logs:*",)}.items():
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(*actions))
        instance.client("logs").create_log_group(logGroupName="/sessions")
        instance.client("s3").create_bucket(Bucket="sessions")
        where = {"cloudWatchLogGroupName": "/sessions", "s3BucketName": "sessions", "s3KeyPrefix": "exec"}
        log = {"logging": "OVERRIDE", "logConfiguration": where}
        self.ecs.create_cluster(clusterName="c", configuration={"executeCommandConfiguration": log})

    def run(self, family: str, role: str = "talks", **fields: Any) -> str:
        """A running task; its ARN."""
        main = {"name": "main", "image": self.image, "command": ["sh", "-c", SLEEP], "memory": 64, **fields}
        self.ecs.register_task_definition(
            family=family, networkMode="bridge", taskRoleArn=role, containerDefinitions=[main]
        )
        made = self.ecs.run_task(cluster="c", taskDefinition=family, launchType="EC2", enableExecuteCommand=True)
        arn = str(made["tasks"][0]["taskArn"])
        eventually(lambda: self.task(arn)["lastStatus"] == "RUNNING")
        return arn

    def task(self, arn: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ecs.describe_tasks(cluster="c", tasks=[arn])["tasks"][0]
        return found

    def session(self, arn: str, command: str = "sh") -> dict[str, str]:
        answer = self.ecs.execute_command(cluster="c", task=arn, command=command, interactive=True)
        found: dict[str, str] = answer["session"]
        return found


@pytest.fixture(scope="module", params=[pytest.param("docker", marks=pytest.mark.docker), "oci"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    state = tmp_path_factory.mktemp("exec") / "state"
    with busybox_image(IMAGE, SLEEP) if request.param == "docker" else contextlib.nullcontext():
        instance = start(state, "--engine", request.param)
        image = IMAGE if request.param == "docker" else f"{images_without_docker(instance)}:1"
        yield World(instance, image, request.param)
        stop(instance)
        clear(state)


def test_type_read_resize_interrupt_and_exit(world: World) -> None:
    arn = world.run(
        "talk", user="1000", workingDirectory="/tmp", environment=[{"name": "GREETING", "value": "good day"}]
    )
    agent = world.task(arn)["containers"][0]["managedAgents"][0]
    assert (agent["name"], agent["lastStatus"]) == ("ExecuteCommandAgent", "RUNNING")
    session = world.session(arn)
    client = SessionClient(session, size=(100, 40))
    client.until("# ")
    client.type("stty size; id -u; pwd; echo $GREETING $TERM\r")
    client.until("40 100\r\n0\r\n/tmp\r\ngood day xterm-256color\r\n")
    client.resize(80, 24)
    client.type("sleep 0.5; stty size\r")
    client.until("24 80\r\n")
    client.type("(echo beg''un; exec sleep 1000)\r")
    client.until("begun\r\n")
    client.type("\x03")
    client.until("# ")
    client.type("echo gr\\üße\r")
    client.until("grüße\r\n")
    client.type("exit 3\r")
    assert client.end() == "" and not client.unanswered
    assert world.task(arn)["lastStatus"] == "RUNNING"
    stream = {"logGroupName": "/sessions", "logStreamName": session["sessionId"]}

    def kept() -> bool:
        with contextlib.suppress(ClientError):
            lines = world.instance.client("logs").get_log_events(**stream)["events"]
            return any(line["message"] == "grüße" for line in lines)
        return False

    eventually(kept)
    s3, key = world.instance.client("s3"), f"exec/{session['sessionId']}.log"
    eventually(lambda: s3.list_objects_v2(Bucket="sessions", Prefix=key)["KeyCount"])
    assert "grüße\n" in s3.get_object(Bucket="sessions", Key=key)["Body"].read().decode()


def test_much_output_arrives_whole(world: World) -> None:
    client = SessionClient(world.session(world.run("much"), "sh -c 'seq 1 200000; echo the-end'"))
    shown = client.until("the-end\r\n")
    assert shown == b"".join(b"%d\r\n" % n for n in range(1, 200_001)) + b"the-end\r\n"
    assert client.end() == ""


def test_the_command_line(world: World, tmp_path: Path) -> None:
    plugin = tmp_path / "session-manager-plugin"
    root = Path(__file__).parents[2]
    plugin.write_text(f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" -m tests.session_client "$@"\n')
    plugin.chmod(0o755)
    arn = world.run("line")
    words = ["--cluster", "c", "--task", arn, "--container", "main", "--interactive", "--command", "/bin/sh"]
    env = {**world.instance.env, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [AWS, "ecs", "execute-command", *words],
        input=b"echo $((6 * 7)) from the inside\nexit\n",
        capture_output=True,
        env=env,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert b"Starting session with SessionId: ecs-execute-command-" in done.stdout
    assert b"42 from the inside" in done.stdout


def test_the_command_line_of_our_own(world: World) -> None:
    arn, state = world.run("own"), ["--state", str(world.instance.state)]

    def run(*words: str, typed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [HAVRE, "ecs", "exec", *state, arn, *words]
        return subprocess.run(command, input=typed, capture_output=True, timeout=120)

    done = run("sh", "-c", "id -u; seq 1 20000; echo the-end")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [b"0", *(b"%d" % n for n in range(1, 20_001)), b"the-end"]
    assert b"42 from a file" in run(typed=b"echo $((6 * 7)) from a file\n").stdout
    absent = run("no-such-program")
    assert absent.returncode == 1 and b"executable file not found" in absent.stderr
    world.ecs.stop_task(cluster="c", task=arn)
    eventually(lambda: world.task(arn)["lastStatus"] == "STOPPED")
    assert b"execute command was not enabled" in run("sh").stderr


def test_a_program_that_is_not_there(world: World) -> None:
    client = SessionClient(world.session(world.run("absent"), "no-such-program -x"))
    said = client.end()
    assert "Unable to start command" in said and "executable file not found" in said


def test_a_session_ends_with_its_task(world: World) -> None:
    arn = world.run("ends")
    client = SessionClient(world.session(arn))
    client.until("# ")
    world.ecs.stop_task(cluster="c", task=arn)
    client.end()
    eventually(lambda: world.task(arn)["lastStatus"] == "STOPPED")
    with pytest.raises(ClientError) as refused:
        world.session(arn)
    assert refused.value.response["Error"]["Code"] == "InvalidParameterException"


def test_a_client_that_goes_away_leaves_nothing(world: World) -> None:
    client = SessionClient(world.session(world.run("leaves"), "sh -c 'echo pid; exec sleep 4321'"))
    client.until("pid")
    mine = eventually(lambda: _sleeping("4321"))
    client.close()
    eventually(lambda: not any(alive(pid) for pid in mine))


def _sleeping(seconds: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().split(b"\0")[:2] == [b"sleep", seconds.encode()]:
                found.append(int(path.parent.name))
    return found


def test_a_role_without_permissions_is_told_of(world: World) -> None:
    arn = world.run("mute", role="mute")
    with pytest.raises(ClientError) as refused:
        world.session(arn)
    assert refused.value.response["Error"]["Code"] == "TargetNotConnectedException"
    assert "ssmmessages:OpenDataChannel" in refused.value.response["Error"]["Message"]


def test_who_may_is_decided_by_cluster_task_and_container(world: World) -> None:
    iam, arn = world.instance.client("iam"), world.run("whose")
    iam.create_user(UserName="one")
    statement = {
        "Effect": "Allow",
        "Action": "ecs:ExecuteCommand",
        "Resource": "*",
        "Condition": {"StringEquals": {"ecs:container-name": "main"}},
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    iam.put_user_policy(UserName="one", PolicyName="p", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName="one")["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    ecs = world.instance.client("ecs", **keys)
    asked = {"cluster": "c", "task": arn, "command": "sh", "interactive": True}
    token = ecs.execute_command(**asked)["session"]["tokenValue"]
    statement["Condition"]["StringEquals"]["ecs:container-name"] = "other"  # type: ignore[index]
    iam.put_user_policy(UserName="one", PolicyName="p", PolicyDocument=json.dumps(document))
    with pytest.raises(ClientError) as refused:
        ecs.execute_command(**asked)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    trail = world.instance.client("cloudtrail")
    wanted = [{"AttributeKey": "EventName", "AttributeValue": "ExecuteCommand"}]

    def told() -> list[str]:
        return [e["CloudTrailEvent"] for e in trail.lookup_events(LookupAttributes=wanted)["Events"] if arn in str(e)]

    events = eventually(told)
    assert token not in str(events) and '"HIDDEN_DUE_TO_SECURITY_REASONS"' in str(events)


@pytest.mark.parametrize("who", ["server", "node"])
def test_who_was_killed_ends_sessions_and_no_task(world: World, who: str) -> None:
    arn = world.run(f"killed-{who}")
    seconds = {"server": "5432", "node": "6543"}[who]
    client = SessionClient(world.session(arn, f"sh -c 'echo pid; exec sleep {seconds}'"))
    client.until("pid")
    mine = eventually(lambda: _sleeping(seconds))
    kill(world.instance.run_file["pids"][who])
    while client.step():
        pass
    eventually(lambda: not any(alive(pid) for pid in mine))

    def again() -> SessionClient | None:
        try:
            fresh = SessionClient(world.session(arn))
            fresh.until("# ")
            return fresh
        except (AssertionError, BotoCoreError, ClientError, OSError):  # whoever was killed is starting
            time.sleep(0.2)
            return None

    after = eventually(again)
    after.type("exit\r")
    assert after.end() == ""
    assert world.task(arn)["lastStatus"] == "RUNNING"
