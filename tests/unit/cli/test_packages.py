"""What people are told to install, on their machines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from havre.cli import packages

SCRIPT = Path(__file__).parents[3] / "scripts" / "ensure-packages"


def test_debians_names_are_ubuntus() -> None:
    words = packages.advice(["docker.io", "libseccomp2"], "linux", "apt-get")
    assert words == "please install, as root:  apt-get install docker.io libseccomp2"


def test_fedoras_names() -> None:
    wanted = ["docker.io", "docker-cli", "libnftables1", "nftables", "iproute2", "haproxy"]
    words = packages.advice(wanted, "linux", "dnf")
    assert words.endswith("dnf install moby-engine nftables iproute haproxy")


def test_other_systems() -> None:
    assert "docker.io haproxy" in packages.advice(["docker.io", "haproxy"], "linux", "")
    assert "limactl" in packages.advice(["docker.io"], "darwin", "")


def test_without_sudo_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(packages.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setattr(packages.subprocess, "run", lambda *_, **__: pytest.fail("something was run"))
    assert "apt-get install haproxy" in packages.install(["haproxy"])


def test_nothing_is_removed_and_unknown_packages_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        ran.append(command)
        unknown = command[0] == "apt-cache" and command[-1] == "docker-cli"
        return subprocess.CompletedProcess(command, 100 if unknown else 0, b"Package: it\n")

    monkeypatch.setattr(packages.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(packages.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(packages.subprocess, "run", run)
    assert packages.install(["docker-cli", "docker.io"]) == ""
    assert ran[-1][0] == "sudo"
    assert "--no-remove" in ran[-1]
    assert "docker.io" in ran[-1] and "docker-cli" not in ran[-1]


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A machine that has what is put here, and tells what of apt-get was asked for."""
    for name in ("bash", "uname", "dirname", "env", "tee", "chmod", "rm"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}" if Path(f"/usr/bin/{name}").exists() else f"/bin/{name}")
    (tmp_path / "python3").symlink_to(sys.executable)
    _program(tmp_path, "id", "echo 0")
    return tmp_path


def _program(directory: Path, name: str, does: str = "") -> None:
    (directory / name).write_text(f"#!{directory / 'bash'}\n{does}\n")
    (directory / name).chmod(0o755)


def _ensure(programs: Path, *wanted: str) -> subprocess.CompletedProcess[str]:
    script = programs / "scripts" / "ensure-packages"
    script.parent.mkdir()
    script.write_text(SCRIPT.read_text().replace("PATH=$PATH:/usr/sbin:/sbin\n", ""))
    cli = programs / "src/havre/cli"
    cli.mkdir(parents=True)
    (cli / "packages.py").write_text(Path(packages.__file__).read_text())
    command = [str(programs / "bash"), str(script), *wanted]
    return subprocess.run(command, env={"PATH": str(programs)}, capture_output=True, text=True, check=False)


def test_the_script_on_a_system_without_dpkg(programs: Path) -> None:
    _program(programs, "dnf")
    for name in ("dockerd", "docker", "nft"):
        _program(programs, name)
    done = _ensure(programs, "docker.io", "nftables", "libnftables1", "haproxy", "iproute2")
    assert done.returncode == 1
    assert done.stderr.strip() == "please install, as root:  dnf install haproxy iproute"


def test_the_script_replaces_nobodys_engine(programs: Path) -> None:
    _program(programs, "dpkg-query", "exit 1")
    _program(programs, "apt-get", f'echo "$@" >> {programs}/asked')
    _program(programs, "apt-cache", "exit 100")
    for name in ("dockerd", "docker"):
        _program(programs, name)
    assert _ensure(programs, "docker.io", "haproxy").returncode == 0
    install = (programs / "asked").read_text().splitlines()[-1].split()
    assert install[0] == "install" and install[-1] == "haproxy"
    assert "docker.io" not in install and "--no-remove" in install


def test_the_script_brings_the_docker_command_where_it_is_a_package_of_its_own(programs: Path) -> None:
    _program(programs, "dpkg-query", "echo installed")
    _program(programs, "apt-get", f'echo "$@" >> {programs}/asked')
    _program(programs, "apt-cache")
    assert _ensure(programs, "docker.io").returncode == 0
    assert (programs / "asked").read_text().splitlines()[-1].split()[-1] == "docker-cli"
