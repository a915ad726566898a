"""What holds the namespaces that a task's containers share: a process of one page that waits (engines/docker/pause.py)."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from havre.engines.docker import pause
from havre.engines.docker.netns import write_sysctls
from havre.engines.host_network.netlink import Netlink
from havre.engines.oci.containers import programs
from havre.engines.oci.containers.groups import Groups
from havre.engines.oci.containers.records import Process, id_of, lives, process
from havre.engines.oci.containers.threads import NEW_IPC, NEW_NET, NEW_PID, NEW_UTS, leave
from havre.engines.ports import RunState
from havre.kernel.errors import Permanent

_NOBODY = 65534
_LOOPBACK = 1
GROUP = "pause"


class Held(msgspec.Struct, frozen=True):
    """A sandbox, on disk."""

    id: str
    name: str
    workload: str
    process: Process
    created: float

    def state(self) -> RunState:
        running = lives(self.process)
        return RunState(
            self.id,
            self.name,
            self.workload,
            "",
            "running" if running else "exited",
            pid=self.process.pid if running else 0,
            exit_code=None if running else 0,
            started=self.created,
            created=self.created,
        )


class Sandboxes:
    """Methods that make and remove block; they belong in threads of their own."""

    def __init__(self, directory: Path, groups: Groups, now: Callable[[], float]) -> None:
        self._now = now
        self._directory = directory
        self._groups = groups
        self.held: dict[str, Held] = {}
        """By workload."""
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def settle(self) -> None:
        """Raises OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._directory.glob("*.json"):
            with suppress(OSError, msgspec.DecodeError):
                held = msgspec.json.decode(path.read_bytes(), type=Held)
                self.held[held.workload] = held

    def all(self) -> list[Held]:
        """As it is now: threads make and remove while others look."""
        return list(self.held.copy().values())

    def shared_memory(self, workload: str) -> Path:
        """What containers of a task that share their IPC namespace have at /dev/shm."""
        return Path("/dev/shm", f"{self._groups.name}-{workload}")  # noqa: S108 (what it stands for)

    def make(self, workload: str, name: str, sysctls: Mapping[str, str], *, processes: bool) -> Held:
        """In a thread that ends behind it. ``processes``: whether it holds a namespace of processes too. Raises Permanent,
        OSError."""
        self._groups.settle_task(workload, None)
        leave(NEW_NET | NEW_IPC | NEW_UTS | (NEW_PID if processes else 0))
        netlink = Netlink()
        try:
            netlink.set_up(_LOOPBACK)
        finally:
            netlink.close()
        try:
            write_sysctls(dict(sysctls))
        except OSError as error:
            raise Permanent(f"the task's network namespace cannot be prepared: {error}") from None
        shm = self.shared_memory(workload)
        shm.mkdir(exist_ok=True)
        shm.chmod(0o1777)
        made = self._spawn()
        try:
            self._groups.enter(workload, GROUP, made.pid)
            held = Held(id_of(name), name, workload, process(made.pid), self._now())
            self._write(held)
        except BaseException:  # a full disk: the next try makes another one
            made.kill()
            made.wait()
            raise
        self._children[made.pid] = made
        self.held[workload] = held
        return held

    def _spawn(self) -> subprocess.Popen[bytes]:
        program = _program()
        try:
            return self._popen(program)
        finally:
            os.close(program)

    def _popen(self, program: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [f"/proc/self/fd/{program}"],
            pass_fds=(program,),
            user=_NOBODY,
            group=_NOBODY,
            extra_groups=[],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=dict(programs.environment()),
            start_new_session=True,
        )

    def _write(self, held: Held) -> None:
        path = self._directory / f"{held.workload}.json"
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(held))
        fresh.rename(path)

    def end(self, workload: str) -> None:
        """Its process, and so the namespaces, when nobody else is in them."""
        held = self.held.get(workload)
        if held is None:
            return
        if lives(held.process):
            with suppress(ProcessLookupError):
                os.kill(held.process.pid, signal.SIGKILL)
        if child := self._children.pop(held.process.pid, None):
            child.wait()

    def remove(self, workload: str) -> None:
        """Gone is success. Raises OSError."""
        held = self.held.get(workload)
        if held is None:
            return
        self.end(workload)
        self.forget(workload)
        (self._directory / f"{workload}.json").unlink(missing_ok=True)
        self.held.pop(workload, None)

    def forget(self, workload: str) -> None:
        """One that nobody has written down. Raises OSError."""
        self._groups.remove(workload, GROUP)
        shutil.rmtree(self.shared_memory(workload), ignore_errors=True)

    def reap(self) -> None:
        """Those that somebody else has ended."""
        for pid, child in list(self._children.items()):
            if child.poll() is not None:
                del self._children[pid]


def _program() -> int:
    """A descriptor of it, as somebody who may read nothing can execute it. Raises OSError."""
    writable = os.memfd_create("pause", os.MFD_CLOEXEC)
    try:
        os.write(writable, pause.program(platform.machine(), False))
        os.fchmod(writable, 0o111)
        return os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(writable)
