"""Control groups of this machine. Others' are among them, and go while somebody looks."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def named(mark: str) -> list[Path]:
    """Those whose name has ``mark`` in it, in each hierarchy."""
    return [path for at, _, _ in os.walk(ROOT) if mark in (path := Path(at)).name]
