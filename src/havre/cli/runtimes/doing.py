"""Programs that building runs, and how it fails."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Say = Callable[[str], None]
_LINES = 15
_INSIDE = {"PATH": "/var/lang/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


class BuildError(Exception):
    """In words, for whoever typed the command."""


def run(command: Sequence[str], name: str, environment: Mapping[str, str] | None = None) -> bytes:
    """What it wrote to standard output. Raises BuildError with the end of what it complained of."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, env=environment)
    except OSError as error:
        raise BuildError(f"{name} does not start: {error}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        raise BuildError(f"{name} failed with {done.returncode}:\n" + "\n".join(said[-_LINES:]))
    return done.stdout


def run_inside(root: Path, command: Sequence[str], name: str) -> None:
    """With this root, and a /proc of its own that is gone afterwards. Raises BuildError."""
    own = ["unshare", "--mount", f"--propagation={_propagation()}", "--pid", "--fork", f"--root={root}", "--mount-proc"]
    run([*own, *command], name, _INSIDE)


def _propagation() -> str:
    """Nothing that is mounted there is seen outside; in a chroot whose root is no mount this cannot be asked for."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return "private" if any(line.split()[4] == "/" for line in mounts) else "unchanged"
