"""What a task definition asks for is so inside its containers: each field is looked for where a program would meet it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import control_groups
from tests.contracts.container_bench import IMAGE, SLEEP
from tests.images import busybox_image, own

from .conftest import Instance, eventually

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(600)]
Json = Mapping[str, Any]
SHARED = own("havre-test-container-fields")
"""A volume that outlives its tasks."""


def app(script: str = SLEEP, name: str = "app", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": name,
        "image": IMAGE,
        "memory": 64,
        "command": ["sh", "-c", script],
        "stopTimeout": 2,
    }
    return {k: v for k, v in {**made, **more}.items() if v is not None}


def after(condition: str) -> dict[str, Any]:
    return {"dependsOn": [{"containerName": "other", "condition": condition}]}


class Task:
    def __init__(self, ecs: Any, arn: str) -> None:
        self.ecs = ecs
        self.arn = arn

    def seen(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ecs.describe_tasks(cluster="c", tasks=[self.arn], include=["TAGS"])["tasks"][0]
        return found

    def until(self, state: str) -> dict[str, Any]:
        def reached() -> Any:
            task = self.seen()
            assert task["lastStatus"] in (state, "PROVISIONING", "PENDING", "ACTIVATING") or state == "STOPPED", task
            return task if task["lastStatus"] == state else None

        found: dict[str, Any] = eventually(reached)
        return found

    def _id(self, name: str) -> str:
        return next(str(c["runtimeId"]) for c in self.until("RUNNING")["containers"] if c["name"] == name)

    def run(self, command: str, name: str = "app") -> str:
        done = subprocess.run(["docker", "exec", self._id(name), "sh", "-c", command], capture_output=True, text=True)
        return (done.stdout + done.stderr).strip()

    def docker(self, name: str = "app") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(subprocess.check_output(["docker", "inspect", self._id(name)]))[0]
        return found

    def groups(self) -> list[Path]:
        """The control groups around its containers."""
        found = control_groups.named(self.arn.rsplit("/", 1)[-1])
        return [p for p in found if "tasks" in p.parent.name or p.suffix == ".slice"]

    def limits(self) -> tuple[int, int]:
        """What holds all of them: millionths of a processor, and MiB."""
        told: dict[str, int] = {}
        for group in self.groups():
            for name in ("cpu.max", "memory.max", "cpu.cfs_quota_us", "memory.limit_in_bytes"):
                if (group / name).exists():
                    told[name.split(".")[0]] = int((group / name).read_text().split()[0])
        return told["cpu"] * 10, told["memory"] >> 20

    def ended(self) -> dict[str, tuple[int | None, str]]:
        return {c["name"]: (c.get("exitCode"), c.get("reason", "")) for c in self.until("STOPPED")["containers"]}


Runner = Callable[..., Task]


@pytest.fixture(scope="module", autouse=True)
def image() -> Iterator[None]:
    with busybox_image(IMAGE, SLEEP):
        yield


@pytest.fixture(scope="module")
def run(shared: Instance) -> Iterator[Runner]:
    ecs = shared.client("ecs")
    ecs.create_cluster(clusterName="c")
    subnet = shared.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    made: list[Task] = []

    def start(mode: str, *containers: Json, how: Json | None = None, **definition: Any) -> Task:
        request = {"launchType": "EC2", **(how or {})}
        if mode == "awsvpc":
            request["networkConfiguration"] = {"awsvpcConfiguration": {"subnets": [subnet]}}
        family = f"f{len(made)}"
        ecs.register_task_definition(
            family=family, networkMode=mode, containerDefinitions=list(containers), **definition
        )
        answer = ecs.run_task(cluster="c", taskDefinition=family, **request)
        assert answer["failures"] == []
        made.append(Task(ecs, answer["tasks"][0]["taskArn"]))
        return made[-1]

    yield start
    for task in made:
        ecs.stop_task(cluster="c", task=task.arn)
    for task in made:
        task.until("STOPPED")
    subprocess.run(["docker", "volume", "rm", SHARED], capture_output=True, check=False)


def test_the_process_is_as_it_was_asked_for(run: Runner) -> None:
    task = run(
        "bridge",
        app(
            entryPoint=["sh", "-c"],
            command=[f"echo $A > /run/said; {SLEEP}"],
            environment=[{"name": "A", "value": "1 = 'x'"}],
            hostname="named",
            user="1000:1001",
            workingDirectory="/work",
            readonlyRootFilesystem=True,
            interactive=True,
            pseudoTerminal=True,
            dnsServers=["192.0.2.53"],
            dnsSearchDomains=["example.test"],
            extraHosts=[{"hostname": "db", "ipAddress": "192.0.2.9"}],
            dockerLabels={"team": "sea", "com.amazonaws.ecs.cluster": "not this"},
            dockerSecurityOptions=["no-new-privileges"],
            ulimits=[{"name": "nofile", "softLimit": 100, "hardLimit": 200}],
            systemControls=[{"namespace": "net.core.somaxconn", "value": "77"}],
            linuxParameters={
                "capabilities": {"add": ["NET_ADMIN"], "drop": ["CHOWN"]},
                "devices": [{"hostPath": "/dev/null", "containerPath": "/dev/own", "permissions": ["read"]}],
                "initProcessEnabled": True,
                "sharedMemorySize": 32,
                "tmpfs": [{"containerPath": "/run", "size": 3, "mountOptions": ["mode=1777"]}],
            },
        ),
    )
    eventually(lambda: task.run("cat /run/said") == "1 = 'x'")
    assert task.run("hostname; pwd; id -u; id -g") == "named\n/work\n1000\n1001"
    assert "Read-only" in task.run("touch /file")
    assert task.run("cat /etc/resolv.conf").splitlines() == ["search example.test", "nameserver 192.0.2.53"]
    assert "192.0.2.9\tdb" in task.run("cat /etc/hosts")
    assert task.run("ulimit -Sn; ulimit -Hn; cat /proc/sys/net/core/somaxconn") == "100\n200\n77"
    assert task.run("grep NoNewPrivs /proc/1/status").endswith("1")
    assert "init" in task.run("cat /proc/1/cmdline") and task.run("ls /dev/own") == "/dev/own"
    assert task.run("df -m /dev/shm | tail -1").split()[1] == "32" and task.run("df -m /run").split()[8] == "3"
    inside = task.docker()
    assert (inside["HostConfig"]["CapAdd"], inside["HostConfig"]["CapDrop"]) == (["NET_ADMIN"], ["CHOWN"])
    assert inside["HostConfig"]["Devices"][0]["CgroupPermissions"] == "r"
    assert inside["Config"]["Tty"] and inside["Config"]["OpenStdin"]
    assert inside["Config"]["Labels"]["team"] == "sea"
    assert inside["Config"]["Labels"]["com.amazonaws.ecs.cluster"].endswith(":cluster/c")


def test_sizes_hold_where_they_are_given(run: Runner) -> None:
    own = app(cpu=256, memoryReservation=32, linuxParameters={"maxSwap": 64, "swappiness": 10})
    task = run("bridge", own, app(name="other", memory=None, cpu=0), cpu="512", memory="256")
    limits = task.docker()["HostConfig"]
    assert (limits["CpuShares"], limits["Memory"] >> 20, limits["MemoryReservation"] >> 20) == (256, 64, 32)
    assert (limits["MemorySwap"] >> 20, limits["MemorySwappiness"]) == (128, 10)
    other = task.docker("other")["HostConfig"]
    assert (other["NanoCpus"], other["Memory"], other["CgroupParent"]) == (0, 0, limits["CgroupParent"])
    assert task.limits() == (500_000, 256)


def test_a_tasks_memory_is_all_that_its_containers_have(run: Runner) -> None:
    """None has a limit of its own, and both together want more than there is."""
    holder = app(name="holder", memory=None, command=["sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=40; cat"])
    hungry = ["sh", "-c", "until [ -e /go ]; do sleep 0.1; done; exec dd if=/dev/zero of=/dev/null bs=40M count=1"]
    task = run("bridge", {**holder, "interactive": True}, app(memory=None, command=hungry), memory="64")
    eventually(lambda: task.run("wc -c < /dev/shm/x", "holder") == "41943040")
    task.run("touch /go")
    task.until("STOPPED")
    seen = task.seen()
    assert (seen["stopCode"], seen["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    told = {c["name"]: (c.get("exitCode"), c.get("reason", "")) for c in seen["containers"]}
    assert told["app"] == (137, "OutOfMemoryError: Container killed due to memory usage")
    assert "OutOfMemory" not in told["holder"][1] or told["holder"][0] == 137
    eventually(lambda: not task.groups())


def test_volumes_links_and_ports(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from the host")
    mounts = [("host", True), ("empty", False), ("own", False), (SHARED, False)]
    task = run(
        "bridge",
        app(
            portMappings=[{"containerPort": 80}, {"containerPort": 53, "protocol": "udp"}],
            mountPoints=[{"sourceVolume": v, "containerPath": f"/{v}", "readOnly": r} for v, r in mounts],
        ),
        app(name="other", volumesFrom=[{"sourceContainer": "app", "readOnly": True}], links=["app:alias"]),
        volumes=[
            {"name": "host", "host": {"sourcePath": str(tmp_path)}},
            {"name": "empty"},
            {
                "name": "own",
                "dockerVolumeConfiguration": {
                    "scope": "task",
                    "driver": "local",
                    "driverOpts": {"type": "tmpfs", "device": "tmpfs", "o": "size=2m"},
                    "labels": {"kept": "no"},
                },
            },
            {"name": SHARED, "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True}},
        ],
    )
    assert task.run("cat /host/file; touch /empty/seen") == "from the host"
    assert "Read-only" in task.run("touch /host/new") and task.run("df -m /own | tail -1").split()[1] == "2"
    assert "Read-only" in task.run("ls /empty; touch /empty/new", "other")
    assert task.run("ping -c 1 alias > /dev/null; echo $?; ls /empty", "other") == "0\nseen"
    bindings = next(c for c in task.seen()["containers"] if c["name"] == "app")["networkBindings"]
    assert {(b["containerPort"], b["protocol"]) for b in bindings} == {(53, "udp"), (80, "tcp")}
    assert task.run(f"echo kept > /{SHARED}/file") == ""
    told = json.loads(task.run("wget -qO- $ECS_CONTAINER_METADATA_URI_V4"))["Volumes"]
    found = {v["Destination"]: (v.get("DockerName", ""), v["Source"]) for v in told}
    assert (found["/host"], found[f"/{SHARED}"][0]) == (("", str(tmp_path)), SHARED)
    assert {"/host", "/empty", "/own", f"/{SHARED}"} == found.keys()
    task.ecs.stop_task(cluster="c", task=task.arn)
    task.until("STOPPED")
    left = ["docker", "volume", "ls", "-q", "--filter", "label=kept=no"]
    eventually(lambda: subprocess.check_output(left) == b"")
    assert SHARED.encode() in subprocess.check_output(["docker", "volume", "ls", "-q"])


def test_containers_share_what_they_are_told_to(run: Runner) -> None:
    control = {"systemControls": [{"namespace": "net.core.somaxconn", "value": "77"}]}
    bridge = run("bridge", app(**control), app(name="other"), pidMode="task", ipcMode="task")
    vpc = run("awsvpc", app(**control), app(name="other"), ipcMode="task")
    host = run("host", app(portMappings=[{"containerPort": 9}]), pidMode="host", ipcMode="host")
    none = run("none", app(hostname="alone"), ipcMode="none")
    for task in (bridge, vpc):
        assert task.run("readlink /proc/self/ns/ipc") == task.run("readlink /proc/self/ns/ipc", "other")
        assert task.run("cat /proc/sys/net/core/somaxconn") == "77"
    eventually(lambda: bridge.run("ps").count("trap") >= 2)
    assert vpc.run("readlink /proc/self/ns/net") == vpc.run("readlink /proc/self/ns/net", "other")
    eventually(lambda: vpc.run("ps").count("trap") == 1)
    for kind in ("net", "pid", "ipc"):
        assert host.run(f"readlink /proc/self/ns/{kind}") == str(Path(f"/proc/self/ns/{kind}").readlink())
    assert none.run("ip -o addr | grep -c inet; hostname").splitlines() == ["1", "alone"]


def test_fargate_tasks_have_their_size_and_an_interface(run: Runner) -> None:
    own = app(memory=None, user="1000", systemControls=[{"namespace": "net.core.somaxconn", "value": "55"}])
    more = {"requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512", "pidMode": "task"}
    task = run("awsvpc", own, app(name="other", cpu=64), how={"launchType": "FARGATE"}, **more)
    assert task.run("cat /proc/sys/net/core/somaxconn; id -u; echo $AWS_EXECUTION_ENV") == "55\n1000\nAWS_ECS_FARGATE"
    assert (task.docker()["HostConfig"]["Memory"], task.limits()) == (0, (250_000, 512))
    assert task.docker("other")["HostConfig"]["Memory"] >> 20 == 64
    eventually(lambda: task.run("ps", "other").count("trap") >= 2)


def test_overrides_tags_and_what_it_was_started_by(run: Runner) -> None:
    given = [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]
    changed = {"name": "app", "command": ["sh", "-c", "sleep 999"], "cpu": 20, "memory": 77, "memoryReservation": 55}
    task = run(
        "bridge",
        app(environment=given),
        how={
            "overrides": {"containerOverrides": [{**changed, "environment": [{"name": "A", "value": "2"}]}]},
            "tags": [{"key": "k", "value": "task"}],
            "enableECSManagedTags": True,
            "propagateTags": "TASK_DEFINITION",
            "group": "g",
            "startedBy": "me",
        },
        tags=[{"key": "k", "value": "definition"}, {"key": "d", "value": "1"}],
    )
    assert task.run("echo $A$B; cat /proc/1/cmdline | tr '\\0' ' '") == "21\nsleep 999"
    limits = task.docker()["HostConfig"]
    assert (limits["CpuShares"], limits["Memory"] >> 20, limits["MemoryReservation"] >> 20) == (20, 77, 55)
    seen = task.seen()
    assert {t["key"]: t["value"] for t in seen["tags"]} == {"k": "task", "d": "1", "aws:ecs:clusterName": "c"}
    assert (seen["group"], seen["startedBy"]) == ("g", "me")
    assert task.ecs.list_tasks(cluster="c", startedBy="me")["taskArns"] == [task.arn]


def test_containers_start_and_end_in_their_order(run: Runner) -> None:
    check = {"command": ["CMD-SHELL", "test -e /ok || ! touch /ok"], "interval": 5, "retries": 1}
    other = {"name": "other", "essential": False}
    complete = run("bridge", app("exit 4", **after("COMPLETE")), app("exit 3", **other))
    success = run("bridge", app("exit 5", **after("SUCCESS")), app("exit 0", **other))
    failed = run("bridge", app(**after("SUCCESS")), app("exit 9", **other))
    healthy = run("bridge", app("exit 6", **after("HEALTHY")), app(healthCheck=check, **other))
    ill = {"command": ["CMD", "false"], "interval": 5, "retries": 10}
    late = run("bridge", app(**after("HEALTHY")), app(healthCheck=ill, startTimeout=2, **other))
    ended = {"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}
    wait = "until test -e /v/ended; do sleep 0.1; done; sleep 1; exit 7"
    side = app("touch /v/ended; exit 8", **other, **ended)
    lasting = run("bridge", app(wait, **ended), side, volumes=[{"name": "v"}])
    assert complete.ended() == {"app": (4, ""), "other": (3, "")}
    assert success.ended() == {"app": (5, ""), "other": (0, "")}
    assert failed.ended()["app"][0] is None and "did not exit successfully" in failed.ended()["app"][1]
    assert late.ended()["app"][0] is None and "timed out after 2 seconds" in late.ended()["app"][1]
    assert lasting.ended() == {"app": (7, ""), "other": (8, "")}
    assert healthy.ended()["app"] == (6, "")


def test_other_log_drivers_are_dockers(run: Runner) -> None:
    options = {"max-size": "1m", "labels": "team"}
    task = run("bridge", app(logConfiguration={"logDriver": "json-file", "options": options}))
    wrong = run("bridge", app(logConfiguration={"logDriver": "json-file", "options": {"nope": "1"}}))
    assert task.docker()["HostConfig"]["LogConfig"] == {"Type": "json-file", "Config": options}
    assert "unknown log opt 'nope'" in wrong.until("STOPPED")["stoppedReason"]


def test_secrets_and_environment_files_are_in_the_environment(run: Runner, shared: Instance) -> None:
    role = json.dumps(
        {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    )
    iam = shared.client("iam")
    arn = iam.create_role(
        RoleName="reads-secrets", AssumeRolePolicyDocument=f'{{"Version":"2012-10-17","Statement":{role}}}'
    )["Role"]["Arn"]
    shared.client("ssm").put_parameter(Name="/db/host", Value="db.local", Type="SecureString")
    made = shared.client("secretsmanager").create_secret(Name="db", SecretString='{"password":"pa ss"}')["ARN"]
    secrets = [{"name": "HOST", "valueFrom": "/db/host"}, {"name": "PASSWORD", "valueFrom": f"{made}:password::"}]
    s3 = shared.client("s3")
    s3.create_bucket(Bucket="settings")
    s3.put_object(Bucket="settings", Key="web/app.env", Body=b"# of the file\nMORE=from a file\nOWN=no\n")
    files = [{"type": "s3", "value": "arn:aws:s3:::settings/web/app.env"}]
    told = hashlib.sha256(b"db.local pa ss from a file yes\n").hexdigest()
    script = f'echo "$HOST $PASSWORD $MORE $OWN" | sha256sum | grep -q "^{told}" && exit 9; exit 1'
    more = {"environment": [{"name": "OWN", "value": "yes"}], "environmentFiles": files}
    refused = run("bridge", app(script, secrets=secrets, **more), executionRoleArn=arn).until("STOPPED")
    assert "AccessDeniedException" in refused["stoppedReason"] and "runtimeId" not in refused["containers"][0]
    allow = {"Effect": "Allow", "Action": ["ssm:GetParameters", "secretsmanager:GetSecretValue"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName="reads-secrets", PolicyName="p", PolicyDocument=policy)
    unread = run("bridge", app(script, secrets=secrets, **more), executionRoleArn=arn).until("STOPPED")
    assert "failed to download env files" in unread["stoppedReason"] and "AccessDenied" in unread["stoppedReason"]
    allow = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::settings/web/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName="reads-secrets", PolicyName="files", PolicyDocument=policy)
    assert run("bridge", app(script, secrets=secrets, **more), executionRoleArn=arn).ended() == {"app": (9, "")}
    store = b"".join(path.read_bytes() for path in shared.state.glob("store.db*"))
    assert b"/db/host" in store and b"db.local" not in store and b"pa ss" not in store
    assert b"from a file" not in store
