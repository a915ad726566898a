"""File systems of EFS: a task and a function share one, and nothing leads out of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.conftest import Instance, Starter, alive, eventually, kill, push
from tests.acceptance.lambda_world import World, document, need_runtime
from tests.images import busybox_image, own

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(600)]
IMAGE = own("havre-test-files")
CODE = """
import os

def handler(event, context):
    if "write" in event:
        with open("/mnt/shared/" + event["write"], "w") as file:
            file.write("from a function")
    with open("/mnt/shared/" + event["read"]) as file:
        return {"text": file.read(), "files": sorted(os.listdir("/mnt/shared"))}
"""


class Files:
    """An instance with one file system, reachable from everywhere in the default VPC."""

    def __init__(self, instance: Instance, image: str) -> None:
        self.world, self.image = World(instance), image
        self.instance = instance
        self.efs, self.ecs = self.world.client("efs"), self.world.client("ecs")
        self.id = self.make()
        self.subnets = self.world.client("ec2").describe_subnets()["Subnets"]
        for subnet in self.subnets:
            self.efs.create_mount_target(FileSystemId=self.id, SubnetId=subnet["SubnetId"])
        self.point = self.access_point("/app", 1234)
        self.ecs.create_cluster()

    def make(self) -> str:
        id: str = self.efs.create_file_system(CreationToken=f"token-{len(self.everything())}")["FileSystemId"]
        eventually(lambda: self.described(id)["LifeCycleState"] == "available")
        return id

    def everything(self) -> list[Any]:
        found: list[Any] = self.efs.describe_file_systems()["FileSystems"]
        return found

    def described(self, id: str) -> dict[str, Any]:
        return next(each for each in self.everything() if each["FileSystemId"] == id)

    def access_point(self, path: str, uid: int) -> dict[str, Any]:
        info = {"OwnerUid": uid, "OwnerGid": uid, "Permissions": "0750"}
        made: dict[str, Any] = self.efs.create_access_point(
            FileSystemId=self.id,
            PosixUser={"Uid": uid, "Gid": uid},
            RootDirectory={"Path": path, "CreationInfo": info},
        )
        return made

    @property
    def directory(self) -> Path:
        return self.instance.state / "files" / self.id

    def task(self, script: str, volume: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """A task of one container that has seen its end; ``volume`` more than which file system it is of."""
        mode, role = more.pop("networkMode", "awsvpc"), more.pop("role", None)
        family = f"f{abs(hash((script, str(volume), str(more), mode, role)))}"
        container = {
            "name": "main",
            "image": self.image,
            "memory": 64,
            "command": ["/bin/sh", "-c", script],
            "mountPoints": [{"sourceVolume": "shared", "containerPath": "/data"}],
            **more,
        }
        efs = {"fileSystemId": self.id, **(volume or {})}
        self.ecs.register_task_definition(
            family=family,
            networkMode=mode,
            containerDefinitions=[container],
            volumes=[{"name": "shared", "efsVolumeConfiguration": efs}],
            **({"taskRoleArn": role} if role else {}),
        )
        network = {"awsvpcConfiguration": {"subnets": [self.subnets[0]["SubnetId"]]}}
        given = {"networkConfiguration": network} if mode == "awsvpc" else {}
        arn = self.ecs.run_task(taskDefinition=family, **given)["tasks"][0]["taskArn"]

        def ended() -> Any:
            found = self.ecs.describe_tasks(tasks=[arn])["tasks"][0]
            return found if found["lastStatus"] == "STOPPED" else None

        told: dict[str, Any] = eventually(ended)
        return told

    def code(self, script: str, volume: dict[str, Any] | None = None, **more: Any) -> int:
        """The exit code."""
        told = self.task(script, volume, **more)
        assert "exitCode" in told["containers"][0], told.get("stoppedReason")
        return int(told["containers"][0]["exitCode"])

    def through(self, point: dict[str, Any], **authorization: str) -> dict[str, Any]:
        config = {"accessPointId": point["AccessPointId"], **authorization}
        return {"transitEncryption": "ENABLED", "authorizationConfig": config}


@pytest.fixture(scope="module", params=["docker", "oci"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    from tests.acceptance.conftest import clear, start, stop

    need_runtime()
    where = tmp_path_factory.mktemp("files")
    instance = start(where / "state", *(("--engine", "oci") if request.param == "oci" else ()))
    try:
        with busybox_image(IMAGE, "true"):
            made = Files(instance, push(instance, IMAGE, "box"))
        yield made
    finally:
        stop(instance)
        clear(instance.state)
        assert str(instance.state) not in Path("/proc/self/mountinfo").read_text()


def test_a_task_and_a_function_share_a_file(files: Files) -> None:
    through = files.through(files.point)
    assert files.code("echo -n 'from a task' > /data/task", through, user="1000:1000") == 0
    assert (files.directory / "app" / "task").stat().st_uid == 1234
    subnet = files.subnets[0]["SubnetId"]
    group = files.world.client("ec2").describe_security_groups()["SecurityGroups"][0]["GroupId"]
    files.world.function(
        "shares",
        CODE,
        VpcConfig={"SubnetIds": [subnet], "SecurityGroupIds": [group]},
        FileSystemConfigs=[{"Arn": files.point["AccessPointArn"], "LocalMountPath": "/mnt/shared"}],
    )
    answer, _ = files.world.invoke("shares", {"read": "task", "write": "function"})
    assert answer == {"text": "from a task", "files": ["function", "task"]}
    assert (files.directory / "app" / "function").stat().st_uid == 1234
    assert files.code("grep -q 'from a function' /data/function", through, networkMode="bridge") == 0
    told = files.world.client("lambda").get_function_configuration(FunctionName="shares")["FileSystemConfigs"]
    assert told == [{"Arn": files.point["AccessPointArn"], "LocalMountPath": "/mnt/shared"}]


def test_what_was_written_stays_when_the_tasks_are_gone(files: Files) -> None:
    assert files.code("mkdir /data/kept && echo 1 > /data/kept/file") == 0
    assert files.code("test $(cat /data/file) = 1", {"rootDirectory": "/kept"}) == 0
    assert (
        files.code(
            "touch /data/new", mountPoints=[{"sourceVolume": "shared", "containerPath": "/data", "readOnly": True}]
        )
        != 0
    )


def test_nothing_leads_out_of_a_file_system(files: Files) -> None:
    assert files.code("ln -s /etc /data/out; ln -s ../../.. /data/up; ln -s /proc/1/root /data/magic") == 0
    for root in ("/out", "/up", "/magic", "/up/files"):
        reason = files.task("true", {"rootDirectory": root})["stoppedReason"]
        assert "ResourceInitializationError" in reason and "leads out of the file system" in reason
    assert "No such file or directory" in files.task("true", {"rootDirectory": "/missing"})["stoppedReason"]
    with pytest.raises(ClientError, match="rootDirectory"):
        files.task("true", {"rootDirectory": "/kept/../.."})


def test_access_points_show_what_is_below_their_root(files: Files) -> None:
    point = files.access_point("/deep/inside", 2000)
    assert files.code('touch /data/here && test -z "$(ls /data | grep -v here)"', files.through(point)) == 0
    inside = files.directory / "deep" / "inside"
    assert (inside.stat().st_uid, inside.stat().st_mode & 0o777, inside.parent.stat().st_uid) == (2000, 0o750, 0)
    assert (inside / "here").exists()


def test_the_policy_of_a_file_system_and_the_roles_decide(files: Files) -> None:
    iam = files.world.client("iam")
    trust = document(
        {
            "Statement": {
                "Effect": "Allow",
                "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        }
    )
    role = iam.create_role(RoleName="mounts", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    through = files.through(files.point, iam="ENABLED")
    reason = files.task("true", through, role=role)["stoppedReason"]
    assert "access denied by server" in reason
    for actions, code in ((["Mount"], 1), (["Mount", "Write"], 0)):
        allow = {"Effect": "Allow", "Action": [f"elasticfilesystem:Client{a}" for a in actions], "Resource": "*"}
        iam.put_role_policy(RoleName="mounts", PolicyName="p", PolicyDocument=document({"Statement": allow}))
        assert files.code(f"touch /data/by-{code}", through, role=role) == code
    arn = files.described(files.id)["FileSystemArn"]
    only = {
        "Effect": "Allow",
        "Principal": {"AWS": role},
        "Action": ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"],
        "Resource": arn,
    }
    files.efs.put_file_system_policy(FileSystemId=files.id, Policy=document({"Statement": only}))
    try:
        assert "access denied by server" in files.task("true")["stoppedReason"]
        iam.delete_role_policy(RoleName="mounts", PolicyName="p")
        assert files.code("touch /data/by-policy", through, role=role) == 0
    finally:
        files.efs.delete_file_system_policy(FileSystemId=files.id)


def test_without_a_mount_target_nothing_is_reached(files: Files) -> None:
    lonely = files.make()
    reason = files.task("true", {"fileSystemId": lonely})["stoppedReason"]
    assert f'Failed to resolve "{lonely}.efs.us-east-1.amazonaws.com"' in reason
    files.efs.delete_file_system(FileSystemId=lonely)
    eventually(lambda: lonely not in [each["FileSystemId"] for each in files.everything()])
    assert not (files.instance.state / "files" / lonely).exists()
    with pytest.raises(ClientError, match="FileSystemInUse"):
        files.efs.delete_file_system(FileSystemId=files.id)


def test_files_survive_kill_9(havre: Starter) -> None:
    instance = havre()
    with busybox_image(IMAGE, "true"):
        files = Files(instance, push(instance, IMAGE, "box"))
    assert files.code("echo kept > /data/file") == 0
    run = instance.run_file
    for victim in (run["supervisor"][0], *run["pids"].values()):
        kill(victim)
        eventually(lambda pid=victim: not alive(pid))
    again = havre(port=instance.port)
    efs = again.client("efs")
    (found,) = efs.describe_file_systems()["FileSystems"]
    assert (found["FileSystemId"], found["NumberOfMountTargets"]) == (files.id, len(files.subnets))
    after = Files.__new__(Files)
    after.__dict__ |= {**files.__dict__, "instance": again, "ecs": again.client("ecs"), "efs": efs}
    assert after.code("grep -q kept /data/file") == 0
    assert json.dumps(found["Tags"]) == "[]"
