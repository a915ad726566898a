"""What the command line says when no instance answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ports import free_port

from havre.cli.client import NotRunning, ask


def leave(state: Path, supervisor: int) -> None:
    """What an instance leaves of itself in its state directory."""
    port = free_port()
    told = {"host": "127.0.0.1", "port": port, "endpoint": f"http://127.0.0.1:{port}", "supervisor": [supervisor, 1]}
    (state / "run.json").write_text(json.dumps(told))
    (state / "admin.token").write_text("token")


def test_one_that_never_ran(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match=f"havre up --state {tmp_path}"):
        ask(tmp_path, "status")


def test_one_that_was_killed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    leave(tmp_path, ended.pid)
    with pytest.raises(NotRunning, match=f"was killed; .* havre down --state {tmp_path} clears up"):
        ask(tmp_path, "status")
