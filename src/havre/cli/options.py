"""What ``havre up`` is told, and where an installation keeps its things."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

DEFAULT_PORT = 4566
DEFAULT_REGION = "us-east-1"
DEFAULT_ACCOUNT = "000000000000"


def default_state() -> Path:
    """``$HAVRE_STATE``, or /var/lib/havre for root, or the user's data directory."""
    if chosen := os.environ.get("HAVRE_STATE"):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/var/lib/havre")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "havre"


@dataclass(frozen=True)
class UpOptions:
    """The options of ``havre up``. ``state`` is absolute."""

    state: Path
    port: int = DEFAULT_PORT
    host: str = "127.0.0.1"
    region: str = DEFAULT_REGION
    account: str = DEFAULT_ACCOUNT
    auth: str = "strict"
    detach: bool = False

    @property
    def instance(self) -> str:
        """Unique on this machine, stable over restarts, fit for names of networks and rules: 8 letters and digits."""
        return "h" + hashlib.sha256(str(self.state).encode()).hexdigest()[:7]

    @property
    def endpoint(self) -> str:
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{host}:{self.port}"

    def check(self) -> str:
        """What is wrong with these options, in words; "" when nothing is."""
        if not 1 <= self.port <= 65535:
            return f"--port {self.port}: a port is a number from 1 to 65535"
        if self.auth not in ("strict", "open"):
            return f"--auth {self.auth}: choose strict or open"
        if self.auth == "open" and not is_loopback(self.host):
            return f"--auth open accepts any credentials, so it is refused on {self.host}: listen on a loopback address"
        if not (len(self.account) == 12 and self.account.isascii() and self.account.isdigit()):
            return f"--account {self.account}: an account has twelve digits"
        return ""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "state": str(self.state), "instance": self.instance, "endpoint": self.endpoint}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> UpOptions:
        known = {k: v for k, v in data.items() if k in cls.__dataclass_fields__}
        return cls(**{**known, "state": Path(data["state"])})


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def parse_up(arguments: list[str]) -> UpOptions:
    """The quick way to the options: argparse costs a tenth of what Typer does, and ``up`` is what must start fast."""
    parser = argparse.ArgumentParser("havre up", add_help=False, allow_abbrev=False)
    parser.add_argument("--state", type=Path, default=None)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--region", default=DEFAULT_REGION)
    parser.add_argument("--account", default=DEFAULT_ACCOUNT)
    parser.add_argument("--auth", default="strict")
    parser.add_argument("--detach", "-d", action="store_true")
    parsed = parser.parse_args(arguments)
    return UpOptions(**{**vars(parsed), "state": (parsed.state or default_state()).absolute()})


def running(state: Path) -> dict[str, Any] | None:
    """What the supervisor wrote about the instance of this state directory; None where there is nothing."""
    try:
        data = json.loads((state / "run.json").read_text())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None
