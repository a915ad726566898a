"""Control groups of tasks and their containers, in either version of the kernel's interface.

A container's group is ``havre-tasks-<instance>/<task>/<container>``; the task's own holds all of its containers to what the
task has. Runtimes make and fill the containers' groups; here they are read, and ended. Monitors have a group of their own,
so that nobody ends them who ends Havre's (systemd does, by default).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from havre.engines.groups import Limits, hand_down
from havre.engines.oci.cgroups import MOUNT

_PERIOD = 100_000
_PATIENCE = 5.0


def _write(path: Path, value: object) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CLOEXEC), "w") as file:
        file.write(str(value))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def words(text: str) -> dict[str, int]:
    """Lines of a name and a number."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        with suppress(ValueError):
            found[name] = int(value)
    return found


class Groups:
    """Every method blocks, most for less than a millisecond. Raises OSError."""

    def __init__(self, instance: str, mount: Path = MOUNT) -> None:
        self.name = f"havre-tasks-{instance}"
        self._mount = mount
        self.version2 = (mount / "cgroup.controllers").exists()
        self._controllers = [""] if self.version2 else [p.name for p in sorted(mount.glob("*")) if _is_controller(p)]

    def why_not(self) -> str:
        there = set(_text(self._mount / "cgroup.controllers").split() if self.version2 else self._controllers)
        missing = {"cpu", "memory", "pids"} - there
        return f"control groups lack {', '.join(sorted(missing))} below {self._mount}" if missing else ""

    @property
    def swap(self) -> bool:
        """Whether swap is counted."""
        if self.version2:
            return any(self._mount.glob("*/memory.swap.max"))
        return (self._mount / "memory" / "memory.memsw.limit_in_bytes").exists()

    def path(self, task: str, id: str) -> str:
        """As runtimes are told of it."""
        return f"/{self.name}/{task}/{id[:16]}"

    def _at(self, controller: str, *rest: str) -> Path:
        return self._mount.joinpath(controller, self.name, *rest)

    # --- making

    def settle_task(self, task: str, limits: Limits | None) -> None:
        """The task's group, with what holds all of its containers together."""
        for controller in self._controllers:
            top = self._at(controller)
            if not top.exists():
                top.mkdir(mode=0o755, exist_ok=True)
                if controller == "memory":
                    with suppress(OSError):  # new kernels know no other way
                        _write(top / "memory.use_hierarchy", 1)
            self._at(controller, task).mkdir(mode=0o755, exist_ok=True)
        if self.version2:
            for group in (self._mount, self._at("")):
                hand_down(group, "+cpu +memory +pids")
                for controller in ("io", "cpuset"):
                    with suppress(OSError):  # those that this machine does not hand down
                        _write(group / "cgroup.subtree_control", f"+{controller}")
        for controller, file, value in _settings(limits, self.version2) if limits is not None else ():
            path = self._at("" if self.version2 else controller, task, file)
            if path.exists():  # swap is not counted everywhere
                _write(path, value)

    def keep_apart(self, pid: int) -> None:
        """This process is not in whatever group this one is in."""
        for controller in self._controllers if self.version2 else [c for c in ("systemd",) if c in self._controllers]:
            group = self._at(controller, "monitors")
            group.mkdir(mode=0o755, parents=True, exist_ok=True)
            with suppress(ProcessLookupError):
                _write(group / ("cgroup.procs" if self.version2 else "tasks"), pid)

    def enter(self, task: str, name: str, pid: int) -> None:
        """This process is in a group of the task's that has no limits of its own."""
        controllers = [""] if self.version2 else [c for c in ("pids", "memory") if c in self._controllers]
        for controller in controllers:
            group = self._at(controller, task, name)
            group.mkdir(mode=0o755, exist_ok=True)
            with suppress(ProcessLookupError):
                _write(group / ("cgroup.procs" if self.version2 else "tasks"), pid)

    def found(self) -> set[tuple[str, str]]:
        """(task, container) of each group that there is."""
        return {(task, name) for top in self._tops() for task in _below(top) for name in _below(top / task)}

    def tasks(self) -> set[str]:
        return {task for top in self._tops() for task in _below(top)}

    def _tops(self) -> list[Path]:
        return [self._at(controller) for controller in self._controllers]

    # --- looking

    def oom_kills(self, task: str, id: str) -> int:
        """How many processes of the container the kernel has killed for want of memory."""
        file = ("", "memory.events") if self.version2 else ("memory", "memory.oom_control")
        return words(_text(self._at(file[0], task, id[:16], file[1]))).get("oom_kill", 0)

    def files(self, task: str, id: str, controller: str, *names: str) -> Mapping[str, str]:
        """What is in these files of the container's group; "" for those that are not there."""
        group = self._at("" if self.version2 else controller, task, id[:16])
        return {name: _text(group / name) for name in names}

    def processes(self, task: str, id: str) -> set[int]:
        found: set[int] = set()
        for controller in self._controllers:
            group = self._at(controller, task, id[:16])
            for path in (group, *(p for p in group.glob("**/") if p != group)):
                found |= {int(pid) for pid in _text(path / "cgroup.procs").split()}
        return found - {0}

    # --- the end

    def kill(self, task: str, id: str) -> None:
        for pid in self.processes(task, id):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def remove(self, task: str, id: str) -> None:
        """Of a container, with whatever is in it still; then of the task, when it was the last."""
        deadline = time.monotonic() + _PATIENCE
        while not self._gone(task, id[:16]):
            if time.monotonic() > deadline:
                raise OSError(16, f"the control group of {id[:12]} does not end")
            self.kill(task, id)
            time.sleep(0.005)
        self._gone(task)

    def remove_task(self, task: str) -> None:
        """One in which nothing is left."""
        self._gone(task)

    def finish(self) -> None:
        """The instance's own, when nothing is left in it."""
        self._gone("monitors")
        self._gone()

    def _gone(self, *rest: str) -> bool:
        return all([_removed(self._at(controller, *rest)) for controller in self._controllers])  # noqa: C419 (each)


def _settings(limits: Limits, version2: bool) -> Iterator[tuple[str, str, object]]:
    """(controller, file, content)."""
    quota = limits.cpu * _PERIOD // 1_000_000
    if limits.cpu:
        yield "cpu", *(("cpu.max", f"{quota} {_PERIOD}") if version2 else ("cpu.cfs_quota_us", quota))
    yield "cpu", *(("cpu.weight", limits.weight) if version2 else ("cpu.shares", limits.shares))
    if limits.memory:
        yield "memory", "memory.max" if version2 else "memory.limit_in_bytes", limits.memory
        swap = ("memory.swap.max", limits.swap), ("memory.memsw.limit_in_bytes", limits.memory + limits.swap)
        yield "memory", *swap[0 if version2 else 1]


def _below(path: Path) -> list[str]:
    try:
        return [p.name for p in path.iterdir() if p.is_dir() and p.name != "monitors"]
    except OSError:  # it goes
        return []


def _is_controller(path: Path) -> bool:
    """Of version 1; a link (cpu → cpu,cpuacct) is one that is there already by another name."""
    return path.is_dir() and (path / "cgroup.procs").exists() and path.name != "unified"


def _removed(path: Path) -> bool:
    try:
        for below in sorted((p for p in path.glob("**/") if p != path), reverse=True):
            below.rmdir()
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
