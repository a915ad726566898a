"""The program as users run it: each test gets an instance of its own, or shares one that a module started."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from havre.cli.options import KEPT, UpOptions, running
from tests.ports import free_port

HAVRE = str(Path(sys.executable).with_name("havre"))
AWS = str(Path(HAVRE).with_name("aws"))
"""The AWS CLI of these tests: the machine may have another, or none."""


@dataclass
class Instance:
    """A running ``havre up``."""

    state: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        shown = subprocess.run(
            [HAVRE, "env", "--state", str(self.state), "--json"], capture_output=True, check=True, timeout=100
        )
        return {**os.environ, **json.loads(shown.stdout)}

    @cached_property
    def _keys(self) -> dict[str, str]:
        env = self.env
        return {
            "aws_access_key_id": env["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": env["AWS_SECRET_ACCESS_KEY"],
        }

    @property
    def run_file(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads((self.state / "run.json").read_text())
        return data

    @property
    def name(self) -> str:
        return UpOptions(str(self.state)).instance

    def client(self, service: str, **keys: Any) -> Any:
        import boto3
        from botocore.config import Config

        keys = {"region_name": "us-east-1", **({} if "aws_access_key_id" in keys else self._keys), **keys}
        config = Config(retries={"max_attempts": 1}, connect_timeout=30, read_timeout=60)
        return boto3.client(service, endpoint_url=self.endpoint, config=config, **keys)

    def get(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(f"{self.endpoint}{path}", method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read())

    def containers(self) -> list[str]:
        """Ids of the containers that this instance made, running or not."""
        filters = ["--filter", f"label=havre.instance={self.name}"]
        listed = subprocess.run(["docker", "ps", "-aq", "--no-trunc", *filters], capture_output=True, check=True)
        return listed.stdout.decode().split()

    def log(self) -> str:
        return (self.state / "test.log").read_text(errors="replace")


Starter = Callable[..., Instance]


def start(state: Path, *arguments: str, port: int = 0, before: Sequence[str] = ()) -> Instance:
    """``before`` is what the command is run by (``setpriv …``)."""
    port = port or free_port()
    command = [*before, HAVRE, "up", "--state", str(state), "--port", str(port), *arguments]
    state.mkdir(mode=0o700, exist_ok=True, parents=True)
    with open(state / "test.log", "ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    instance = Instance(state, port, process)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            instance.get("/_havre/health")
            return instance
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"havre up did not become healthy:\n{instance.log()[-4000:]}")


def stop(instance: Instance, number: int = signal.SIGTERM) -> int:
    if instance.process.poll() is None:
        instance.process.send_signal(number)
    return instance.process.wait(200)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def kill(pid: int) -> None:
    """With SIGKILL; what answers from now on is another process. One that has ended by itself is left alone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid))


def clear(state: Path) -> None:
    """Whatever a test left running of this state directory."""
    if running(str(state)) or running(str(state), KEPT):
        subprocess.run([HAVRE, "down", "--state", str(state)], capture_output=True, check=False, timeout=200)


@pytest.fixture
def havre(tmp_path: Path) -> Iterator[Starter]:
    """Starts instances; they are stopped and cleared up after the test."""
    started: list[Instance] = []

    def begin(*arguments: str, name: str = "state", port: int = 0) -> Instance:
        instance = start(tmp_path / name, *arguments, port=port)
        started.append(instance)
        return instance

    yield begin
    for instance in started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            stop(instance)
        clear(instance.state)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """One instance for all tests of a module."""
    state = tmp_path_factory.mktemp("havre") / "state"
    instance = start(state)
    yield instance
    stop(instance)
    clear(state)


def push(instance: Instance, image: str, repository: str) -> str:
    """Push a local image to a new repository of the instance; its URI with the tag ``1``. No copy stays on the engine."""
    ecr = instance.client("ecr")
    uri: str = ecr.create_repository(repositoryName=repository)["repository"]["repositoryUri"]
    subprocess.run(["docker", "tag", image, f"{uri}:1"], check=True)
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    password = base64.b64decode(token).decode().partition(":")[2]
    with tempfile.TemporaryDirectory() as config:  # two that log in at once lose one of their passwords
        docker = ["docker", "--config", config]
        login = [*docker, "login", "-u", "AWS", "--password-stdin", uri.split("/")[0]]
        subprocess.run(login, input=password.encode(), check=True, capture_output=True)
        subprocess.run([*docker, "push", "-q", f"{uri}:1"], check=True, capture_output=True)
    subprocess.run(["docker", "rmi", f"{uri}:1"], check=True, capture_output=True)
    return f"{uri}:1"


def eventually(seen: Callable[[], Any], timeout: float = 120) -> Any:
    """The first true answer; fails when none comes in time."""
    deadline = time.monotonic() + timeout
    while True:
        answer = seen()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {timeout} s: {seen}"
        time.sleep(0.1)
