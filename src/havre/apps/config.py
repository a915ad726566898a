"""What the supervisor tells its children, and the secrets of an installation."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

from havre.control.operation import Site
from havre.kernel.world import World

TARGETS = "targets.sock"
"""In the state directory: where the server answers load balancers for functions."""
PROXY = "haproxy"
"""In the state directory: the node's proxy's own directory, where the server finds its ways into VPCs."""
FILES = "files"
"""In the state directory: a directory for each file system."""
_PORTS = "ports"


@dataclass(frozen=True)
class Config:
    """``ready`` is the descriptor on which the supervisor waits, -1 for none. ``engine``: docker or oci."""

    state: Path
    site: Site
    ready: int = -1
    engine: str = "docker"

    @classmethod
    def from_environment(cls) -> Config:
        data = json.loads(os.environ["HAVRE_CONFIG"])
        state = Path(data["state"])
        site = Site(
            host=data["host"],
            port=data["port"],
            region=data["region"],
            account=data["account"],
            auth=data["auth"],
            instance=data["instance"],
            tls=bool(data.get("tls")),
            former=_former(state, data["port"]),
        )
        return cls(state, site, int(os.environ.get("HAVRE_READY", "-1")), data.get("engine") or "docker")

    def tell(self, line: str) -> None:
        """Tell the supervisor that this process is ready, or why it cannot be; of one that it started again it does not
        wait to hear."""
        if self.ready >= 0:
            with contextlib.suppress(BrokenPipeError):
                os.write(self.ready, line.replace("\n", " ").encode() + b"\n")
            os.close(self.ready)


def _former(state: Path, port: int) -> frozenset[int]:
    """The ports at which this state has been served before; the present one is noted for those who come later."""
    path, found = state / _PORTS, frozenset[int]()
    with contextlib.suppress(OSError):
        if path.exists():
            found = frozenset(int(line) for line in path.read_text().split() if line.isdecimal())
        if port not in found:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as file:
                file.write(f"{port}\n")
    return found - {port}


def keep_for_good() -> None:
    """What a process has loaded stays until it ends: it is not looked through for garbage again. The supervisor starts its
    children without collector, for which a tenth of their start would go."""
    gc.freeze()
    gc.enable()


def system_world() -> World:
    return World(time.time, Random())


def token(path: Path) -> str:
    """A token that only who reads the state directory knows; made anew at each start."""
    made = secrets.token_urlsafe(24)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(made)
    return made
