"""``havre down``: stops an instance, or clears up after one that was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from havre.cli.options import UpOptions, running
from havre.cli.up import STOP_TIMEOUT, is_havre


def down(state: Path, *, keep: bool) -> int:
    """0 when nothing runs any more (also when nothing ran before)."""
    instance = running(str(state))
    if instance is None:
        print(f"no Havre runs with the state directory {state}")
        return 0
    supervisor = instance["supervisor"]
    if _is_supervisor(supervisor):
        os.kill(supervisor, signal.SIGUSR1 if keep else signal.SIGTERM)
        if not _wait(lambda: _is_supervisor(supervisor), 2 * STOP_TIMEOUT + 5):
            print("havre down: it does not stop; its log says why", file=sys.stderr)
            return 1
    else:
        _clear(state, instance, keep=keep)
    print("Havre is down" + (", tasks run on" if keep else ""))
    return 0


def _is_supervisor(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z" and b"up" in command.split(b"\0")


def _clear(state: Path, instance: dict[str, Any], *, keep: bool) -> None:
    """The supervisor was killed: end its children, then remove what the node made."""
    for pid in instance.get("pids", {}).values():
        if is_havre(pid, str(state)):
            os.kill(pid, signal.SIGTERM)
            if not _wait(lambda pid=pid: is_havre(pid, str(state)), 15):
                os.kill(pid, signal.SIGKILL)
    if not keep:
        options = UpOptions.from_json(instance)
        subprocess.run(
            [sys.executable, "-c", "from havre.apps.node import clean; clean()"],
            env={**os.environ, "HAVRE_CONFIG": json.dumps(options.to_json())},
            check=False,
            timeout=STOP_TIMEOUT,
        )
    (state / "run.json").unlink(missing_ok=True)


def _wait(alive: object, seconds: float) -> bool:
    assert callable(alive)
    deadline = time.monotonic() + seconds
    while alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
