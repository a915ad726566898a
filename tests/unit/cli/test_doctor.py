"""What is said of a machine's engine."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from havre.cli import doctor

Engine = Callable[[str], None]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Starts one whose containers run on the given kernel."""
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    listener = socket.socket(socket.AF_UNIX)

    def begin(kernel: str) -> None:
        listener.bind(str(path))
        listener.listen()
        body = json.dumps({"KernelVersion": kernel, "Padding": "x" * 100_000}).encode()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + body)

        threading.Thread(target=serve, daemon=True).start()

    yield begin
    listener.shutdown(socket.SHUT_RDWR) if path.exists() else None
    listener.close()


def test_an_engine_of_this_machine(engine: Engine) -> None:
    engine(os.uname().release)
    found = doctor._engine()
    assert found.ok


def test_an_engine_in_a_virtual_machine(engine: Engine) -> None:
    engine("6.10.14-linuxkit")
    found = doctor._engine()
    assert not found.ok and "6.10.14-linuxkit" in found.detail
    assert found.packages == ()


@pytest.mark.parametrize("there", [True, False])
def test_an_engine_that_is_there_is_not_installed_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name, path="": f"/usr/sbin/{name}" if there else None)
    found = doctor._engine()
    assert not found.ok
    assert found.packages == (() if there else ("docker.io",))
    assert ("/usr/sbin/dockerd is not running" in found.detail) is there


@pytest.mark.parametrize("there", [True, False])
def test_a_kernel_with_apparmor_wants_its_parser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    switch = tmp_path / "enabled"
    monkeypatch.setattr(doctor.shutil, "which", lambda name, path="": f"/sbin/{name}" if there else None)
    assert doctor._apparmor(switch).detail == "not in this kernel"
    switch.write_text("N\n")
    assert doctor._apparmor(switch).ok
    switch.write_text("Y\n")
    found = doctor._apparmor(switch)
    assert (found.ok, found.packages, found.required) == (there, ("apparmor",), False)


def test_another_system(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor.sys, "platform", "darwin")
    assert doctor.examine(fix=False, as_json=False) == 1
    assert "limactl" in capsys.readouterr().err


def groups(mount: Path, *directories: str, controllers: str = "") -> doctor.Finding:
    for name in directories:
        (mount / name).mkdir()
    if controllers:
        (mount / "cgroup.controllers").write_text(controllers)
    return doctor._control_groups(mount)


def test_control_groups_of_both_versions(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    first = groups(tmp_path / "1", "memory", "cpu", "pids", "freezer")
    second = groups(tmp_path / "2", controllers="cpuset cpu io memory pids\n")
    assert (first.ok, first.detail) == (True, "version 1")
    assert (second.ok, second.detail) == (True, "version 2")


def test_a_machine_without_control_groups(tmp_path: Path) -> None:
    found = groups(tmp_path)
    assert not found.ok and found.required
    assert found.detail == f"{tmp_path} lacks memory, cpu, pids, freezer"
    assert not groups(tmp_path, controllers="cpu pids").ok
    assert doctor._control_groups(tmp_path).detail == f"{tmp_path} lacks memory"


def test_control_groups_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    found = groups(tmp_path, controllers="cpu memory pids")
    assert not found.ok and "read-only" in found.detail
