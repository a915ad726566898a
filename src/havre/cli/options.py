"""What ``havre up`` is told, and where an installation keeps its things.

This module and ``up`` import next to nothing: every ten milliseconds here are waited for at each start.
"""

from __future__ import annotations

import binascii
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_PORT = 4566
DEFAULT_REGION = "us-east-1"
DEFAULT_ACCOUNT = "000000000000"
KEPT = "kept.json"
"""The run file of an instance that was stopped with --keep: what it made runs on."""
ENGINES = ("docker", "oci")
LONGEST_STATE = 107 - len("/lines.sock.4194304")


def default_state() -> str:
    """``$HAVRE_STATE``, or /var/lib/havre for root, or the user's data directory."""
    if chosen := os.environ.get("HAVRE_STATE"):
        return chosen
    if os.geteuid() == 0:
        return "/var/lib/havre"
    return os.path.join(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"), "havre")  # noqa: PTH118,PTH111


class UpOptions:
    """The options of ``havre up``. ``state`` is absolute. ``engine`` "" is the one that the state remembers."""

    FIELDS = ("state", "port", "host", "region", "account", "auth", "detach", "engine", "tls")
    __slots__ = FIELDS

    def __init__(  # noqa: PLR0913  one for each option
        self,
        state: str,
        port: int = DEFAULT_PORT,
        host: str = "127.0.0.1",
        region: str = DEFAULT_REGION,
        account: str = DEFAULT_ACCOUNT,
        auth: str = "strict",
        detach: bool = False,
        engine: str = "",
        tls: bool = False,
    ) -> None:
        self.state, self.port, self.region = state, port, region
        self.host = "127.0.0.1" if host == "localhost" else host  # where the registry listens, too
        self.account, self.auth, self.detach = account, auth, detach
        self.engine, self.tls = engine, tls

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UpOptions) and all(getattr(self, f) == getattr(other, f) for f in self.FIELDS)

    __hash__ = None  # type: ignore[assignment]

    @property
    def instance(self) -> str:
        """Unique on this machine, stable over restarts, fit for names of networks and rules: 8 letters and digits."""
        return f"h{binascii.crc32(self.state.encode()) & 0xFFFFFFF:07x}"

    @property
    def endpoint(self) -> str:
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def told(self) -> str:
        """The endpoint for clients: with --tls its port speaks HTTPS, too."""
        return self.endpoint.replace("http:", "https:", 1) if self.tls else self.endpoint

    def check(self) -> str:
        """What is wrong with these options, in words; "" when nothing is."""
        if not 1 <= self.port <= 65535:
            return f"--port {self.port}: a port is a number from 1 to 65535"
        if self.auth not in ("strict", "open"):
            return f"--auth {self.auth}: choose strict or open"
        if self.engine not in ("", *ENGINES):
            return f"--engine {self.engine}: choose {' or '.join(ENGINES)}"
        if self.auth == "open" and not is_loopback(self.host):
            return f"--auth open accepts any credentials, so it is refused on {self.host}: listen on a loopback address"
        if not (len(self.account) == 12 and self.account.isascii() and self.account.isdigit()):
            return f"--account {self.account}: an account has twelve digits"
        if not _is_region(self.region):
            return f"--region {self.region}: a region has a name like {DEFAULT_REGION}, or no signature would fit it"
        if len(os.fsencode(self.state)) > LONGEST_STATE:
            return (
                f"--state {self.state}: longer than {LONGEST_STATE} bytes, which the paths of Unix sockets do not allow"
            )
        return ""

    def to_json(self) -> dict[str, Any]:
        plain = {field: getattr(self, field) for field in self.FIELDS}
        return {**plain, "instance": self.instance, "endpoint": self.endpoint}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> UpOptions:
        return cls(**{field: data[field] for field in cls.FIELDS if field in data})


def _is_region(name: str) -> bool:
    """As the gateway has it, without the time that importing ``re`` takes."""
    *words, number = name.split("-")
    letters = all(word.isascii() and word.isalpha() and word.islower() for word in words)
    return (
        len(words) > 1 and letters and len(words[0]) > 1 and number.isascii() and number.isdigit() and len(number) < 3
    )


def settle_engine(options: UpOptions) -> str:
    """What the state's tasks run on is what they ran on before, unless they are down. Why not, in words; "" when it is
    settled. Raises OSError."""
    path = f"{options.state}/engine"
    try:
        with open(path) as file:
            before = file.read().strip()
    except FileNotFoundError:
        before = ""
    there = any(os.path.exists(f"{options.state}/{name}") for name in ("run.json", KEPT))  # noqa: PTH110
    before = before or (ENGINES[0] if there else "")
    chosen = options.engine or before or ENGINES[0]
    if there and chosen != before:
        return (
            f"--engine {chosen}: what runs here runs on the {before} engine; havre down --state {options.state} first"
        )
    if chosen == "oci" and os.geteuid() != 0:
        return "--engine oci needs root: containers are made of namespaces, mounts and control groups"
    options.engine = chosen
    if chosen != before:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(chosen)
    return ""


def is_loopback(host: str) -> bool:
    parts = host.split(".")
    dotted = len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts)
    return host in ("localhost", "::1") or (dotted and parts[0] == "127")


def parse_up(arguments: list[str]) -> UpOptions | None:
    """The quick way to the options. None for anything unusual or wrong: Typer, slower, says what."""
    given: dict[str, Any] = {}
    rest = iter(arguments)
    for argument in rest:
        if argument in ("--detach", "-d", "--tls"):
            given["tls" if argument == "--tls" else "detach"] = True
            continue
        name, equals, value = argument.partition("=")
        field = name.removeprefix("--")
        if not name.startswith("--") or field not in UpOptions.FIELDS or field in ("detach", "tls"):
            return None
        given[field] = value if equals else next(rest, "")
        if not given[field] or given[field].startswith("-"):
            return None
    port = given.get("port", str(DEFAULT_PORT))
    if not port.isdecimal():
        return None
    given["port"] = int(port)
    given["state"] = os.path.abspath(given.get("state") or default_state())  # noqa: PTH100  pathlib is not imported here
    return UpOptions(**given)


def running(state: str, name: str = "run.json") -> dict[str, Any] | None:
    """What the supervisor wrote about the instance of this state directory; None where there is nothing."""
    try:
        with open(f"{state}/{name}") as file:
            data = json.load(file)
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None
