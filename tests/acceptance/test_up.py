"""``havre up``, ``env``, ``status``, ``down``: an instance as people and other people's tests start it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from havre.cli.options import UpOptions
from tests.ports import free_port

from .conftest import HAVRE, Starter, alive, eventually, kill, start, stop


def _havre(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HAVRE, *arguments], capture_output=True, text=True, timeout=200, check=False)


def test_it_is_healthy_and_stops_on_sigterm(havre: Starter) -> None:
    instance = havre()
    assert instance.get("/_havre/health")["status"] == "ok"
    pids = instance.run_file["pids"]
    assert stop(instance) == 0
    assert not any(alive(pid) for pid in pids.values())
    assert not (instance.state / "run.json").exists()


def test_what_is_secret_is_private(havre: Starter) -> None:
    instance = havre()
    assert stat.S_IMODE(instance.state.stat().st_mode) == 0o700
    for path in instance.state.rglob("*"):
        if path.is_file() and path.name != "test.log":
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert "AWS_SECRET" not in instance.log()
    assert instance.env["AWS_SECRET_ACCESS_KEY"] not in instance.log()


def test_strict_is_the_default(havre: Starter) -> None:
    from botocore.exceptions import ClientError

    instance = havre()
    assert instance.client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
    right = instance.env["AWS_ACCESS_KEY_ID"]
    for key, secret, code in (
        (right, "wrong", "SignatureDoesNotMatch"),
        ("AKIAIOSFODNN7EXAMPLE", "x", "InvalidClientTokenId"),
    ):
        wrong = instance.client("sts", aws_access_key_id=key, aws_secret_access_key=secret)
        with pytest.raises(ClientError) as refused:
            wrong.get_caller_identity()
        assert refused.value.response["Error"]["Code"] == code
    with pytest.raises(urllib.error.HTTPError) as no_reset:
        instance.get("/_havre/reset", method="POST")
    assert no_reset.value.code in (403, 404)


def test_open_takes_any_credentials_and_resets(havre: Starter) -> None:
    instance = havre("--auth", "open")
    other = {"aws_access_key_id": "111122223333", "aws_secret_access_key": "x"}
    assert instance.client("sts", **other).get_caller_identity()["Account"] == "111122223333"
    anyone = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    ecs = instance.client("ecs", **anyone)
    ecs.create_cluster(clusterName="here")
    assert instance.client("sts", **anyone).get_caller_identity()["Account"] == "000000000000"
    assert instance.client("ecs", **other).list_clusters()["clusterArns"] == []
    instance.get("/_havre/reset", method="POST")
    assert ecs.list_clusters()["clusterArns"] == []


def test_open_is_refused_off_loopback(tmp_path: Path) -> None:
    refused = _havre("up", "--state", str(tmp_path / "s"), "--auth", "open", "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "loopback" in refused.stderr


@pytest.mark.parametrize("engine", ["docker", pytest.param("oci", marks=pytest.mark.root)])
def test_a_taken_port_is_said_and_nothing_is_left(havre: Starter, tmp_path: Path, engine: str) -> None:
    first = havre()
    state = tmp_path / "second"
    second = _havre("up", "--state", str(state), "--port", str(first.port), "--engine", engine)
    assert second.returncode == 1
    assert not (state / "run.json").exists() and not (state / "kept.json").exists()
    assert not list(Path("/run").glob(f"*{UpOptions(str(state)).instance}*"))
    assert str(first.port) in second.stderr
    assert first.get("/_havre/health")["status"] == "ok"


def test_two_instances_side_by_side(havre: Starter) -> None:
    one, other = havre(name="one"), havre(name="other")
    one.client("ecs").create_cluster(clusterName="mine")
    assert other.client("ecs").list_clusters()["clusterArns"] == []
    stop(one)
    assert other.get("/_havre/health")["status"] == "ok"


def test_a_second_up_of_the_same_state_is_refused(havre: Starter) -> None:
    instance = havre()
    second = _havre("up", "--state", str(instance.state), "--port", str(instance.port + 1))
    assert second.returncode == 1
    assert "already running" in second.stderr


def test_detach_env_status_down(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    port = str(free_port())
    try:
        up = _havre("up", "--detach", "--state", state, "--port", port)
        assert up.returncode == 0, up.stderr
        assert port in up.stdout
        env = _havre("env", "--state", state)
        assert f"AWS_ENDPOINT_URL=http://127.0.0.1:{port}" in env.stdout
        status = _havre("status", "--state", state, "--json")
        assert status.returncode == 0, status.stdout + status.stderr
        assert json.loads(status.stdout)["status"] == "ok"
    finally:
        down = _havre("down", "--state", state)
    assert down.returncode == 0
    assert _havre("status", "--state", state).returncode == 3
    assert _havre("down", "--state", state).returncode == 0


def test_what_people_type_wrongly_is_answered_in_words(havre: Starter, tmp_path: Path) -> None:
    state = str(havre().state)
    nothing = _havre("explain", "--state", state, "web")
    assert nothing.returncode == 1 and "'web' is no ARN" in nothing.stderr
    nobody = _havre("explain", "--state", state, "arn:aws:ecs:us-east-1:000000000000:service/c/web")
    assert nobody.returncode == 1 and "nothing here has the ARN" in nobody.stderr
    down = _havre("status", "--state", str(tmp_path / "none"), "--json")
    assert down.returncode == 3 and json.loads(down.stdout)["status"] == "down"
    assert _havre("--version").stdout.startswith("Havre ")


def test_without_an_engine_it_says_so_and_clears_up_once_there_is_one(tmp_path: Path) -> None:
    """The API works all the same. What cannot be removed is not said to be gone."""
    state, missing = tmp_path / "state", f"DOCKER_HOST=unix://{tmp_path}/missing.sock"
    once = start(state)  # something of this instance may be with an engine that has answered once
    eventually((state / "engine.met").exists)
    stop(once, signal.SIGUSR1)
    instance = start(state, before=("env", missing))
    try:
        eventually(lambda: f"no Docker Engine answers on {tmp_path}/missing.sock" in instance.log())
        words = "Cannot connect to the Docker daemon"
        status = eventually(lambda: (s := _havre("status", "--state", str(state))).returncode == 1 and s)
        assert words in status.stdout
        ecs = instance.client("ecs")
        ecs.create_cluster(clusterName="c")
        container = {"name": "app", "image": "app", "memory": 64}
        ecs.register_task_definition(family="app", containerDefinitions=[container])
        refused = ecs.run_task(cluster="c", taskDefinition="app")
        assert refused["tasks"] == [] and refused["failures"][0]["reason"] == "AGENT"
        assert words in refused["failures"][0]["detail"]
        service = ecs.create_service(cluster="c", serviceName="s", taskDefinition="app", desiredCount=1)["service"]
        explained = ["explain", "--state", str(state), service["serviceArn"]]
        eventually(lambda: words in _havre(*explained).stdout)
        ecs.delete_service(cluster="c", service="s", force=True)
    finally:
        left = subprocess.run(["env", missing, HAVRE, "down", "--state", str(state)], capture_output=True, check=False)
        cleared = _havre("down", "--state", str(state))
        instance.process.wait(200)
    assert left.returncode == 1 and b"not everything that it made could be removed" in left.stderr
    assert cleared.returncode == 0 and not (state / "run.json").exists()


def test_a_machine_that_never_had_an_engine_has_nothing_left_over(tmp_path: Path) -> None:
    """Queues, topics and tables need none."""
    state, missing = tmp_path / "state", f"DOCKER_HOST=unix://{tmp_path}/missing.sock"
    instance = start(state, before=("env", missing))
    eventually(lambda: f"no Docker Engine answers on {tmp_path}/missing.sock" in instance.log())
    down = subprocess.run(["env", missing, HAVRE, "down", "--state", str(state)], capture_output=True, check=False)
    instance.process.wait(200)
    assert (down.returncode, down.stderr) == (0, b"")
    assert not (state / "run.json").exists()


def test_tables_are_not_broken_into_lines_for_programs(havre: Starter) -> None:
    instance = havre()
    subnets = [s["SubnetId"] for s in instance.client("ec2").describe_subnets()["Subnets"]]
    elb = instance.client("elbv2")
    made = elb.create_load_balancer(Name="a-name-of-thirty-two-characters1", Subnets=subnets)["LoadBalancers"][0]
    answer = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}
    elb.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"], Protocol="HTTP", Port=free_port(), DefaultActions=[answer]
    )
    eventually(lambda: f"http://{made['DNSName']}" in _havre("status", "--state", str(instance.state)).stdout)


@pytest.mark.parametrize("role", ["server", "node"])
def test_a_killed_child_comes_back(havre: Starter, role: str) -> None:
    instance = havre()
    instance.client("ecs").create_cluster(clusterName="kept")
    before = instance.run_file["pids"][role]
    kill(before)

    def healthy() -> bool:
        try:
            return bool(instance.get("/_havre/health")["status"] == "ok")
        except OSError:
            return False

    eventually(healthy)
    arns = instance.client("ecs").list_clusters()["clusterArns"]
    assert any(arn.endswith("/kept") for arn in arns)


def test_a_server_that_is_killed_while_it_starts_is_started_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    command = [HAVRE, "up", "--state", str(state), "--port", str(free_port())]
    with (state / "test.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        run = eventually((state / "run.json").exists) and json.loads((state / "run.json").read_text())
        kill(run["pids"]["server"])  # it takes some hundred milliseconds until it is ready
        eventually(lambda: "Havre is up" in (state / "test.log").read_text())
        assert "starting it again" in (state / "test.log").read_text()
    finally:
        process.terminate()
        assert process.wait(200) == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(bytes(4096))


@pytest.mark.root
def test_a_full_disk_is_said_and_got_over_without_a_person(small_disk: Path) -> None:
    state, filler = small_disk / "state", small_disk / "filler"
    instance = start(state)
    try:
        _fill(filler)
        status = _havre("status", "--state", str(state))
        assert status.returncode == 1 and "is full" in status.stdout
        with pytest.raises(Exception, match="ServiceUnavailable"):
            instance.client("ecs").create_cluster(clusterName="none")
        for pid in instance.run_file["pids"].values():
            os.kill(pid, signal.SIGKILL)
        time.sleep(1)  # it starts them again, which cannot succeed now
        assert instance.process.poll() is None
        filler.unlink()
        eventually(lambda: _havre("status", "--state", str(state)).returncode == 0)
        assert instance.client("ecs").list_clusters()["clusterArns"] == []
        instance.client("ecs").create_cluster(clusterName="made")
        _fill(filler)
        for pid in (instance.process.pid, *instance.run_file["pids"].values()):
            os.kill(pid, signal.SIGKILL)
        instance.process.wait()
        again = _havre("up", "--state", str(state), "--port", str(instance.port), "--detach")
        if again.returncode:  # SQLite may have found the room that it needs
            assert f"the disk of {state} is full" in again.stderr
        filler.unlink()
        _havre("up", "--state", str(state), "--port", str(instance.port), "--detach")
        assert len(instance.client("ecs").list_clusters()["clusterArns"]) == 1
    finally:
        down = _havre("down", "--state", str(state))
        stop(instance)
    assert down.returncode == 0


def test_everything_killed_and_started_again(havre: Starter, tmp_path: Path) -> None:
    instance = havre()
    instance.client("ecs").create_cluster(clusterName="kept")
    pids = [instance.process.pid, *instance.run_file["pids"].values()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    instance.process.wait()
    time.sleep(0.1)
    again = start(instance.state, port=instance.port)
    try:
        assert any(arn.endswith("/kept") for arn in again.client("ecs").list_clusters()["clusterArns"])
    finally:
        stop(again)


def test_a_killed_supervisor_is_replaced(havre: Starter) -> None:
    instance = havre()
    strays = list(instance.run_file["pids"].values())
    instance.process.kill()
    instance.process.wait()
    again = start(instance.state, port=instance.port)
    try:
        eventually(lambda: not any(alive(pid) for pid in strays))  # until then the old server may answer
    finally:
        stop(again)
