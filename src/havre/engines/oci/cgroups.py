"""Control groups of sandboxes, in either version of the kernel's interface: limits, freezing, what was used, the end.

A sandbox's group is ``havre-<instance>/<id>``, below each controller's mount in version 1. The functions below block for
less than a millisecond, but ``sweep``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from havre.engines.groups import hand_down, write

MOUNT = Path("/sys/fs/cgroup")
PERIOD = 20_000
"""Microseconds, as Lambda has it."""
LEAST_QUOTA = 1_000
MIB_PER_CPU = 1769
PROCESSES = 1024
_PATIENCE = 2.0
_TICKS = os.sysconf("SC_CLK_TCK")
_CONTROLLERS = ("memory", "cpu", "pids", "freezer")


class Limits(msgspec.Struct, frozen=True):
    """``memory`` in bytes."""

    memory: int
    processes: int = PROCESSES


def cpus_of(memory: int) -> float:
    """Of a function with so many MiB."""
    return memory / MIB_PER_CPU


class Cgroups(Protocol):
    def make(self, id: str) -> Sequence[str]:
        """Raises OSError. The files that a process writes itself into to be in the group."""
        ...

    def limit(self, id: str, limits: Limits) -> None:
        """Memory and processes, and from here on the highest use is counted anew."""
        ...

    def share(self, id: str, cpus: float) -> None: ...

    def freeze(self, id: str) -> None: ...

    def thaw(self, id: str) -> None: ...

    def peak(self, id: str) -> int: ...

    def count_anew(self, id: str) -> None:
        """The peak, from here on."""
        ...

    def pages(self, id: str) -> int:
        """Bytes of files' pages that no process has mapped: they count as memory, and go when it is needed. Raises
        OSError."""
        ...

    def cpu(self, id: str) -> float:
        """Seconds of processor time. Raises OSError."""
        ...

    def killed(self, id: str) -> int:
        """How many processes the kernel has killed for want of memory."""
        ...

    def processes(self, id: str) -> list[int]: ...

    def remove(self, id: str) -> bool:
        """Whether it is gone; processes that are about to end keep it for a moment."""
        ...

    def found(self) -> list[str]:
        """The groups of this instance that there are."""
        ...

    def finish(self) -> None:
        """The instance's own group, when nothing is in it any more."""
        ...


def cgroups(instance: str, mount: Path = MOUNT) -> Cgroups:
    return Version2(instance, mount) if (mount / "cgroup.controllers").exists() else Version1(instance, mount)


def why_not(mount: Path = MOUNT) -> str:
    """ "" when sandboxes can be limited here."""
    if (mount / "cgroup.controllers").exists():
        there = set((mount / "cgroup.controllers").read_text().split()) | {"freezer"}
    else:
        there = {name for name in _CONTROLLERS if (mount / name).is_dir()}
    missing = [name for name in _CONTROLLERS if name not in there]
    return f"control groups lack {', '.join(missing)} below {mount}" if missing else ""


def sweep(groups: Cgroups) -> None:
    """End whatever a former life of this instance left. Raises OSError when something does not end."""
    deadline = time.monotonic() + _PATIENCE
    left = groups.found()
    while left:
        for id in left:
            for pid in groups.processes(id):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            groups.thaw(id)
        left = [id for id in left if not groups.remove(id)]
        if left and time.monotonic() > deadline:
            raise OSError(f"the control groups {', '.join(left)} do not end")
        time.sleep(0.005 if left else 0)
    groups.finish()


def kill_others(groups: Cgroups, id: str, spared: int) -> bool:
    """Kill all of a group but one process; whether there was any other. Raises OSError."""
    others = [pid for pid in groups.processes(id) if pid != spared]
    for pid in others:
        with suppress(ProcessLookupError):
            held = os.pidfd_open(pid)
            try:
                if pid in groups.processes(id):  # it is still who was listed, or another of the group
                    signal.pidfd_send_signal(held, signal.SIGKILL)
            finally:
                os.close(held)
    return bool(others)


def _read(path: Path) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 65536).decode()
    finally:
        os.close(fd)


class _Peaks:
    """A file of each sandbox, kept open: it is read after each invocation."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def read(self, id: str, path: Callable[[], Path]) -> int:
        """Raises OSError."""
        fd = self._open.get(id)
        if fd is None:
            fd = self._open[id] = os.open(path(), os.O_RDONLY | os.O_CLOEXEC)
        return int(os.pread(fd, 32, 0))

    def begin(self, id: str, path: Path) -> None:
        """From here on. Kernels before 6.12 count from the group's own begin."""
        with suppress(OSError):
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                os.write(fd, b"0")  # counts anew, for whoever reads by this descriptor
            except OSError:
                os.close(fd)
                raise
            self.forget(id)
            self._open[id] = fd

    def forget(self, id: str) -> None:
        if (fd := self._open.pop(id, None)) is not None:
            os.close(fd)


def _word(text: str, name: str) -> int:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _gone(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _ran(pid: str) -> float:
    """Seconds that a process and its children that have ended have run; 0 when it has gone."""
    try:
        fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(n) for n in fields[11:15]) / _TICKS


def _quota(cpus: float) -> int:
    return max(LEAST_QUOTA, int(PERIOD * cpus))


class Needs:
    """What a group has needed of its memory at most: what it used, less files' pages. Looked at closely only when the peak
    has grown, or is so near to the bound (``memory``, in bytes) that it cannot tell any more: somebody asks after each
    invocation."""

    def __init__(self, memory: int) -> None:
        self._full = 0.9 * memory
        self._peak = self._most = 0

    def look(self, groups: Cgroups, id: str) -> int:
        """Bytes; those that were seen last where the group has gone."""
        with suppress(OSError):
            peak = groups.peak(id)
            if peak != self._peak or peak > self._full:
                self._peak, self._most = peak, max(self._most, peak - max(0, groups.pages(id)))
        return self._most

    def begin(self, groups: Cgroups, id: str) -> None:
        """Anew. Raises OSError."""
        self._peak = self._most = 0
        groups.count_anew(id)


class Version1:
    def __init__(self, instance: str, mount: Path = MOUNT) -> None:
        self._roots = {name: mount / name / f"havre-{instance}" for name in _CONTROLLERS}
        self._peaks = _Peaks()

    def _at(self, controller: str, id: str, file: str = "") -> Path:
        return self._roots[controller] / id / file

    def make(self, id: str) -> Sequence[str]:
        for name in _CONTROLLERS:
            self._at(name, id).mkdir(mode=0o755, parents=True, exist_ok=True)
        return [
            str(self._at(name, id, "tasks")) for name in _CONTROLLERS
        ]  # cgroup.procs waits for a grace period (8 ms)

    def limit(self, id: str, limits: Limits) -> None:
        write(self._at("pids", id, "pids.max"), limits.processes)
        write(self._at("memory", id, "memory.limit_in_bytes"), limits.memory)
        with suppress(FileNotFoundError):  # kernels that do not account swap
            write(self._at("memory", id, "memory.memsw.limit_in_bytes"), limits.memory)
        self.count_anew(id)

    def count_anew(self, id: str) -> None:
        write(self._at("memory", id, "memory.max_usage_in_bytes"), 0)

    def pages(self, id: str) -> int:
        text = _read(self._at("memory", id, "memory.stat"))
        return _word(text, "total_cache") - _word(text, "total_shmem") - _word(text, "total_mapped_file")

    def share(self, id: str, cpus: float) -> None:
        write(self._at("cpu", id, "cpu.cfs_period_us"), PERIOD)
        write(self._at("cpu", id, "cpu.cfs_quota_us"), _quota(cpus))

    def freeze(self, id: str) -> None:
        self._set(id, "FROZEN")

    def thaw(self, id: str) -> None:
        with suppress(FileNotFoundError):
            self._set(id, "THAWED")

    def _set(self, id: str, state: str) -> None:
        """Each write tries again those that were not there yet (they had been in the middle of a fork)."""
        path = self._at("freezer", id, "freezer.state")
        deadline = time.monotonic() + _PATIENCE
        while True:
            write(path, state)
            if _read(path).strip() == state:
                return
            if time.monotonic() > deadline:
                raise OSError(f"{id} does not become {state}")
            time.sleep(0.0002)

    def peak(self, id: str) -> int:
        return self._peaks.read(id, lambda: self._at("memory", id, "memory.max_usage_in_bytes"))

    def cpu(self, id: str) -> float:
        """Of what runs in it now: the account is in a hierarchy of its own, which sandboxes are not in."""
        return sum(_ran(pid) for pid in _read(self._at("cpu", id, "cgroup.procs")).split())

    def killed(self, id: str) -> int:
        return _word(_read(self._at("memory", id, "memory.oom_control")), "oom_kill")

    def processes(self, id: str) -> list[int]:
        found: set[int] = set()
        for name in _CONTROLLERS:
            with suppress(FileNotFoundError):
                found |= {int(pid) for pid in _read(self._at(name, id, "cgroup.procs")).split()}
        return sorted(found)

    def remove(self, id: str) -> bool:
        self._peaks.forget(id)
        return all([_gone(self._at(name, id)) for name in _CONTROLLERS])  # noqa: C419 (each of them)

    def found(self) -> list[str]:
        return sorted({p.name for root in self._roots.values() if root.is_dir() for p in root.iterdir() if p.is_dir()})

    def finish(self) -> None:
        for root in self._roots.values():
            _gone(root)


class Version2:
    """The instance's group has no processes of its own, so that controllers can be handed down in it."""

    def __init__(self, instance: str, mount: Path = MOUNT) -> None:
        self._mount = mount
        self._root = mount / f"havre-{instance}"
        self._peaks = _Peaks()
        self._seen: dict[str, int] = {}

    def make(self, id: str) -> Sequence[str]:
        if not self._root.exists():
            self._root.mkdir(mode=0o755)
            for group in (self._mount, self._root):
                hand_down(group, "+cpu +memory +pids")
        (self._root / id).mkdir(mode=0o755, exist_ok=True)
        return [str(self._root / id / "cgroup.procs")]

    def limit(self, id: str, limits: Limits) -> None:
        write(self._root / id / "pids.max", limits.processes)
        write(self._root / id / "memory.max", limits.memory)
        with suppress(FileNotFoundError):
            write(self._root / id / "memory.swap.max", 0)
        self.count_anew(id)

    def count_anew(self, id: str) -> None:
        self._seen.pop(id, None)
        self._peaks.begin(id, self._root / id / "memory.peak")

    def pages(self, id: str) -> int:
        text = _read(self._root / id / "memory.stat")
        return _word(text, "file") - _word(text, "shmem") - _word(text, "file_mapped")

    def share(self, id: str, cpus: float) -> None:
        write(self._root / id / "cpu.max", f"{_quota(cpus)} {PERIOD}")

    def freeze(self, id: str) -> None:
        self._set(id, 1)

    def thaw(self, id: str) -> None:
        with suppress(FileNotFoundError):
            self._set(id, 0)

    def _set(self, id: str, state: int) -> None:
        write(self._root / id / "cgroup.freeze", state)
        deadline = time.monotonic() + _PATIENCE
        while state and _word(_read(self._root / id / "cgroup.events"), "frozen") != state:
            if time.monotonic() > deadline:
                raise OSError(f"{id} does not freeze")
            time.sleep(0.0002)

    def peak(self, id: str) -> int:
        """Kernels before 5.19 do not keep it: the highest that was seen, then."""
        try:
            return self._peaks.read(id, lambda: self._root / id / "memory.peak")
        except FileNotFoundError:
            now = int(_read(self._root / id / "memory.current"))
            self._seen[id] = max(now, self._seen.get(id, 0))
            return self._seen[id]

    def cpu(self, id: str) -> float:
        return _word(_read(self._root / id / "cpu.stat"), "usage_usec") / 1e6

    def killed(self, id: str) -> int:
        return _word(_read(self._root / id / "memory.events"), "oom_kill")

    def processes(self, id: str) -> list[int]:
        try:
            return [int(pid) for pid in _read(self._root / id / "cgroup.procs").split()]
        except FileNotFoundError:
            return []

    def remove(self, id: str) -> bool:
        self._peaks.forget(id)
        self._seen.pop(id, None)
        return _gone(self._root / id)

    def found(self) -> list[str]:
        return sorted(p.name for p in self._root.iterdir() if p.is_dir()) if self._root.is_dir() else []

    def finish(self) -> None:
        _gone(self._root)
