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

from havre.cli.options import KEPT, UpOptions, running
from havre.cli.processes import STOP_TIMEOUT, lives
from havre.cli.up import LEFT, retire


def down(state: Path, *, keep: bool) -> int:
    """0 when nothing runs any more (also when nothing ran before)."""
    instance = running(str(state)) or (None if keep else running(str(state), KEPT))
    if instance is None:
        print(f"no Havre runs with the state directory {state}")
        return 0
    supervisor = instance["supervisor"]
    if lives(supervisor):
        os.kill(supervisor[0], signal.SIGUSR1 if keep else signal.SIGTERM)
        if not _wait(lambda: lives(supervisor), 2 * STOP_TIMEOUT + 5):
            print("havre down: it does not stop; its log says why", file=sys.stderr)
            return 1
        cleared = keep or running(str(state)) is None or _clear(state, instance, keep=False)
    else:
        cleared = _clear(state, instance, keep=keep)
    if not cleared:
        print(f"havre down: {LEFT}; havre down tries again", file=sys.stderr)
        return 1
    print("Havre is down" + (", tasks run on" if keep else ""))
    return 0


def _clear(state: Path, instance: dict[str, Any], *, keep: bool) -> bool:
    """The supervisor was killed: end its children, then remove what the node made. False when something is left."""
    for process in instance.get("processes", {}).values():
        if lives(process):
            os.kill(process[0], signal.SIGTERM)
            if not _wait(lambda process=process: lives(process), 15):
                os.kill(process[0], signal.SIGKILL)
    if not keep:
        options = UpOptions.from_json(instance)
        try:
            subprocess.run(
                [sys.executable, "-c", "from havre.apps.node import clean; clean()"],
                env={**os.environ, "HAVRE_CONFIG": json.dumps(options.to_json())},
                check=True,
                timeout=STOP_TIMEOUT,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return False
    retire(str(state), keep=keep)
    return True


def _wait(alive: object, seconds: float) -> bool:
    assert callable(alive)
    deadline = time.monotonic() + seconds
    while alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
