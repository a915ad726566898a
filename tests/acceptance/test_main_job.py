"""The main job, as ``make demo`` runs it: every command of the AWS CLI and docker, every step checked."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.ports import free_port

from .conftest import HAVRE, clear

pytestmark = [
    pytest.mark.docker,
    pytest.mark.root,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("port 80"),  # it looks whether that is free before it begins
]
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("engine", ["docker", "oci"])
def test_the_demo_passes_and_leaves_nothing(tmp_path: Path, engine: str) -> None:
    state = tmp_path / "demo"
    try:
        demo = subprocess.run(
            [HAVRE, "demo", "--state", str(state), "--port", str(free_port()), "--engine", engine, "--down"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
    finally:
        clear(state)
    assert demo.returncode == 0, f"{demo.stdout[-6000:]}\n{demo.stderr[-4000:]}\n{_log(state)}"
    assert "checks passed" in demo.stdout
    assert not _left(state)


def _log(state: Path) -> str:
    try:
        return (state / "havre.log").read_text()[-6000:]
    except OSError:
        return ""


def _processes(word: str) -> list[str]:
    """Command lines of the processes that name it."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in lines if word in line]


def _left(state: Path) -> list[str]:
    """Containers, networks, rules, processes, control groups and files in memory that carry this instance's name."""
    from havre.cli.options import UpOptions

    name = UpOptions(str(state)).instance
    commands = (
        ["docker", "ps", "-aq", "--filter", f"label=havre.instance={name}"],
        ["docker", "volume", "ls", "-q", "--filter", f"label=havre.instance={name}"],
        ["ip", "netns", "list"],
        ["ip", "-o", "link"],
        ["nft", "list", "tables"],
    )
    found = _processes(str(state)) + _processes(name)
    found += [str(p) for root in ("/run", "/dev/shm") for p in Path(root).glob(f"*{name}*")]
    found += [at for at, _, _ in os.walk("/sys/fs/cgroup") if at.endswith(f"/havre-tasks-{name}")]
    for number, command in enumerate(commands):
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        found += [line for line in lines if number < 2 or name in line]
    return found
