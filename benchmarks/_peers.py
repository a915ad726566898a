"""Starts Havre and the peers it is measured against, each in a state of its own on a port of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".venv-peers" / "bin"


@dataclass
class Running:
    """A server under measurement. ``took`` is the time in seconds from its start until it was healthy."""

    process: subprocess.Popen[bytes]
    port: int
    took: float
    env: Mapping[str, str] = field(default_factory=dict)
    state: Path = Path("/")

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def tree(self) -> list[int]:
        """The process and all that it started, transitively."""
        return [self.process.pid, *_descendants(self.process.pid)]

    def memory(self) -> float:
        """Resident MiB of the whole tree, pages that are shared counted once (PSS)."""
        return sum(_pss(pid) for pid in self.tree()) / 1024

    def rss(self) -> float:
        """Resident MiB of the whole tree, pages that are shared counted in each process."""
        return sum(_status(pid, "VmRSS") for pid in self.tree()) / 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def havre(*arguments: str, state: Path | None = None, port: int = 0) -> Iterator[Running]:
    """``havre up`` with an empty state, or a given one."""
    own = state is None
    state = state or Path(tempfile.mkdtemp(prefix="havre-bench-"))
    command = [str(ROOT / ".venv/bin/havre"), "up", "--state", str(state)]
    with _server(command, "/_havre/health", arguments, port=port, port_flag="--port") as running:
        running.state = state
        root = json.loads((state / "root-credentials.json").read_text())[0]
        running.env = {
            **os.environ,
            "AWS_ENDPOINT_URL": running.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": root["access_key"],
            "AWS_SECRET_ACCESS_KEY": root["secret"],
        }
        yield running
    if own:
        shutil.rmtree(state, ignore_errors=True)


@contextlib.contextmanager
def ministack(**env: str) -> Iterator[Running]:
    with _server([str(PEERS / "ministack")], "/_ministack/health", (), port_env="GATEWAY_PORT", env=env) as running:
        running.env = _any_credentials(running)
        yield running


@contextlib.contextmanager
def moto() -> Iterator[Running]:
    with _server([str(PEERS / "moto_server")], "/moto-api/", (), port_flag="-p") as running:
        running.env = _any_credentials(running)
        yield running


def _any_credentials(running: Running) -> dict[str, str]:
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    return {**os.environ, **keys, "AWS_ENDPOINT_URL": running.endpoint}


@contextlib.contextmanager
def _server(
    command: list[str],
    health: str,
    arguments: tuple[str, ...],
    *,
    port: int = 0,
    port_flag: str = "",
    port_env: str = "",
    env: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    port = port or free_port()
    command = [*command, *([port_flag, str(port)] if port_flag else []), *arguments]
    environment = {**os.environ, **(env or {}), **({port_env: str(port)} if port_env else {})}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # peers were compiled when they were installed
    began = time.perf_counter()
    log = tempfile.TemporaryFile()  # noqa: SIM115  closed with the server
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_healthy(process, port, health, log)
        yield Running(process, port, time.perf_counter() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


def _wait_healthy(process: subprocess.Popen[bytes], port: int, path: str, log: object) -> None:
    deadline = time.perf_counter() + 30
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            break
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.002)
        finally:
            connection.close()
    log.seek(0)  # type: ignore[attr-defined]
    sys.stderr.buffer.write(log.read()[-4000:])  # type: ignore[attr-defined]
    raise RuntimeError(f"{process.args} did not become healthy")


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *_descendants(child)]
    return found


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
