"""What is kept of a container on disk, in a directory of its own. A file is there whole or not at all.

``record.json`` (it was created) → ``run.json`` (it was started: by which processes) → its monitor's word, the exit code →
``end.json`` (how it ended, for good). Whoever finds the directory knows how far it came. Monitors do not try again, so they
tell exit codes in the machine's memory: a disk that is full must lose none.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import msgspec

from havre.engines.groups import Limits
from havre.kernel.workload import BoundPort, Container, Interface, Volume

T = TypeVar("T")


class Record(msgspec.Struct, frozen=True):
    """``image`` is the id of its image. ``sandbox`` is the pid of the one that it joins, 0 for none. ``limits`` hold all
    of its workload."""

    id: str
    name: str
    workload: str
    container: str
    spec: Container
    image: str
    network: str
    created: float
    labels: Mapping[str, str] = {}
    volumes: tuple[Volume, ...] = ()
    sandbox: int = 0
    interface: Interface | None = None
    region: str = ""
    pid_mode: str = ""
    ipc_mode: str = ""
    limits: Limits | None = None


class Process(msgspec.Struct, frozen=True):
    """``born`` is when it started in the kernel's ticks: with the pid it names one process for ever."""

    pid: int
    born: int


class Run(msgspec.Struct, frozen=True):
    """``monitor`` and ``first``: its monitor's process and its own. ``address`` is the one on the bridge."""

    monitor: Process
    first: Process
    started: float | None = None
    address: str = ""
    ports: tuple[BoundPort, ...] = ()


class End(msgspec.Struct, frozen=True):
    code: int
    finished: float
    oom_killed: bool = False
    error: str = ""


class Place:
    """The directory of a container. ``exits``: where monitors tell exit codes."""

    def __init__(self, path: Path, exits: Path) -> None:
        self.path = path
        self.bundle = path / "bundle"
        self.root = path / "bundle" / "rootfs"
        self.upper = path / "upper"
        self.work = path / "work"
        self.log = path / "log"
        self.exits = exits
        self.anonymous = path / "volumes"

    def settle(self, record: Record) -> None:
        """The record appears last. Raises OSError."""
        for each in (self.bundle, self.root, self.upper, self.work):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.upper.chmod(0o755)
        self.write("record", record)

    def write(self, name: str, value: msgspec.Struct) -> None:
        """Raises OSError."""
        fresh = self.path / f"{name}.new"
        fresh.write_bytes(msgspec.json.encode(value))
        fresh.rename(self.path / f"{name}.json")

    def read(self, name: str, kind: type[T]) -> T | None:
        """None when there is none that can be read."""
        try:
            return msgspec.json.decode((self.path / f"{name}.json").read_bytes(), type=kind)
        except (OSError, msgspec.DecodeError):
            return None

    def drop(self, name: str) -> None:
        with suppress(OSError):
            (self.path / f"{name}.json").unlink()

    def exit_code(self, id: str) -> tuple[int, float] | None:
        """(code, when), as its monitor wrote it down."""
        path = self.exits / id
        try:
            return int(path.read_text()), path.stat().st_mtime
        except (OSError, ValueError):
            return None

    def pid(self) -> int:
        """Of its first process, as its runtime wrote it down; 0 for none."""
        try:
            return int((self.bundle / "pid").read_text())
        except (OSError, ValueError):
            return 0

    def remove(self) -> None:
        """Nobody finds half of it. Blocks. Raises OSError."""
        gone = self.path.with_name(f".gone-{self.path.name}")
        shutil.rmtree(gone, ignore_errors=True)
        for told in self.exits.glob(f"{self.path.name}*"):
            told.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            self.path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def id_of(name: str) -> str:
    """Of the container with this name: 64 digits, as Docker's have. The same for the same name, so that what was made is
    found without looking for it."""
    return sha256(name.encode()).hexdigest()


def birth(pid: int) -> int:
    """When a process started, in ticks since the machine did; 0 for none, and for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def process(pid: int) -> Process:
    return Process(pid, birth(pid))


def lives(known: Process) -> bool:
    return known.pid > 0 and known.born != 0 and birth(known.pid) == known.born
