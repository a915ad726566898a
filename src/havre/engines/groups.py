"""Control groups around the containers of one workload: the limits that hold all of them together.

The engine puts each container's own group into the one made here, so that the kernel counts, and kills, over all of them.
A group is ``havre-<instance>-tasks/<workload>`` where files make it, the slice ``havre-<instance>-<workload>.slice`` where
systemd does. Nothing is remembered: what there is can be read from the file system.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from havre.kernel.quantities import CPU_UNITS_PER_CORE, MIB
from havre.kernel.workload import Workload

MOUNT = Path("/sys/fs/cgroup")
_PERIOD = 100_000
"""Microseconds: Linux's own, and ECS's."""
_MIN_SHARES, _MAX_SHARES = 2, 262_144
_SECOND = 1_000_000
_DBUS_PATIENCE = 10.0
_LOOKS = 20

Run = Callable[[Sequence[str]], Awaitable[tuple[int, str]]]
"""A program with its arguments → exit code and what it said."""


class Limits(msgspec.Struct, frozen=True):
    """``cpu`` in microseconds a second (0 none), ``shares`` a weight as of cgroup v1, ``memory`` and ``swap`` in bytes
    (``memory`` 0 none)."""

    cpu: int
    shares: int
    memory: int
    swap: int = 0

    @property
    def weight(self) -> int:
        """``shares`` as cgroup v2 has it, 1 to 10,000; the formula is runc's."""
        return 1 + (self.shares - _MIN_SHARES) * 9999 // (_MAX_SHARES - _MIN_SHARES)


def limits(workload: Workload, cpus: int) -> Limits | None:
    """What holds the workload as a whole; None when nothing does. A task may be sold more CPU than the ``cpus`` of this
    machine: then it gets all of it. Swap only as its containers ask for it."""
    if not workload.cpu and not workload.memory:
        return None
    shares = workload.cpu or sum(max(c.cpu, _MIN_SHARES) for c in workload.containers)
    return Limits(
        cpu=min(workload.cpu * _SECOND // CPU_UNITS_PER_CORE, cpus * _SECOND),
        shares=min(max(shares, _MIN_SHARES), _MAX_SHARES),
        memory=workload.memory * MIB,
        swap=sum(c.swap_mib or 0 for c in workload.containers) * MIB,
    )


class Groups(Protocol):
    """Raises OSError."""

    async def make(self, workload: str, limits: Limits) -> str:
        """The name to give to the engine. Made again, it is the same."""
        ...

    def killed(self, workload: str) -> int:
        """How many of its processes the kernel has killed for want of memory; 0 where nothing tells."""
        ...

    async def tidy(self, alive: Collection[str]) -> None:
        """Those of other workloads go, but where something still runs in them."""
        ...


def groups(instance: str, driver: str, mount: Path = MOUNT) -> Groups:
    """``driver`` as the engine names it: cgroupfs or systemd."""
    unified = (mount / "cgroup.controllers").exists()
    if driver == "systemd":
        return Slices(instance, mount if unified else mount / "systemd", _run)
    return Unified(instance, mount) if unified else Controllers(instance, mount)


def write(path: Path, value: int | str) -> None:
    """Into a file of the kernel's that is there, in one piece. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


def hand_down(root: Path, controllers: str) -> None:
    """What is below the root of the tree has these (``+cpu +memory``). Where that is no machine's but a container's, whom
    Havre runs in, it has processes, and groups with processes hand nothing down: they go into one of their own, as where
    Docker runs in Docker. Raises OSError."""
    try:
        write(root / "cgroup.subtree_control", controllers)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        _set_aside(root)
        write(root / "cgroup.subtree_control", controllers)


def _set_aside(root: Path) -> None:
    aside = root / "havre-aside"
    aside.mkdir(mode=0o755, exist_ok=True)
    for _ in range(_LOOKS):  # others are forked meanwhile
        pids = [pid for pid in (root / "cgroup.procs").read_text().split() if pid != "0"]
        for pid in pids:
            with suppress(ProcessLookupError):
                write(aside / "cgroup.procs", pid)
        if not pids:
            return


def _killed(group: Path) -> int:
    try:
        words = (group / "memory.events").read_text().split()
    except OSError:
        return 0
    return int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0


def _sweep(root: Path, alive: Collection[str]) -> None:
    with suppress(FileNotFoundError):
        for each in root.iterdir():
            if each.is_dir() and each.name not in alive:
                with suppress(OSError):  # something ends in it just now, or it went by itself
                    each.rmdir()
        with suppress(OSError):  # the others are in it
            root.rmdir()


class Controllers:
    """Files of cgroup v1: a tree for each controller."""

    def __init__(self, instance: str, mount: Path) -> None:
        self._mount = mount
        self._name = f"havre-{instance}-tasks"

    def _at(self, controller: str, workload: str) -> Path:
        root = self._mount / controller / self._name
        if not root.is_dir():
            root.mkdir(mode=0o755)
            if controller == "memory":
                with suppress(OSError):  # kernels since 5.11 count what is below in any case
                    write(root / "memory.use_hierarchy", 1)
        made = root / workload
        made.mkdir(mode=0o755, exist_ok=True)
        return made

    async def make(self, workload: str, limits: Limits) -> str:
        cpu = self._at("cpu", workload)
        write(cpu / "cpu.shares", limits.shares)
        if limits.cpu:
            write(cpu / "cpu.cfs_period_us", _PERIOD)
            write(cpu / "cpu.cfs_quota_us", limits.cpu * _PERIOD // _SECOND)
        if limits.memory:
            memory = self._at("memory", workload)
            write(memory / "memory.limit_in_bytes", limits.memory)
            with suppress(FileNotFoundError):  # kernels that do not account swap
                write(memory / "memory.memsw.limit_in_bytes", limits.memory + limits.swap)
        return f"/{self._name}/{workload}"

    def killed(self, workload: str) -> int:
        """Cgroup v1 counts in the containers' own groups, which are gone by then."""
        return 0

    async def tidy(self, alive: Collection[str]) -> None:
        """In every tree: the runtime made it in those that have no limits of ours."""
        for controller in self._mount.iterdir():
            _sweep(controller / self._name, alive)


class Unified:
    """Files of cgroup v2. The group of all workloads has no processes, so that controllers are handed down in it."""

    def __init__(self, instance: str, mount: Path) -> None:
        self._mount = mount
        self._root = mount / f"havre-{instance}-tasks"

    async def make(self, workload: str, limits: Limits) -> str:
        if not self._root.is_dir():
            self._root.mkdir(mode=0o755)
        for group in (self._mount, self._root):
            if not {"cpu", "memory"} <= set((group / "cgroup.subtree_control").read_text().split()):
                hand_down(group, "+cpu +memory")
        made = self._root / workload
        made.mkdir(mode=0o755, exist_ok=True)
        write(made / "cpu.weight", limits.weight)
        if limits.cpu:
            write(made / "cpu.max", f"{limits.cpu * _PERIOD // _SECOND} {_PERIOD}")
        if limits.memory:
            write(made / "memory.max", limits.memory)
            with suppress(FileNotFoundError):
                write(made / "memory.swap.max", limits.swap)
        return f"/{self._root.name}/{workload}"

    def killed(self, workload: str) -> int:
        return _killed(self._root / workload)

    async def tidy(self, alive: Collection[str]) -> None:
        _sweep(self._root, alive)


_MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")


class Slices:
    """systemd's slices, asked for over D-Bus: limits that were written into files it would take back."""

    def __init__(self, instance: str, mount: Path, run: Run) -> None:
        self._instance = instance
        self._above = mount / "havre.slice" / f"havre-{instance}.slice"
        self._run = run

    def _name(self, workload: str) -> str:
        return f"havre-{self._instance}-{workload}.slice"

    async def make(self, workload: str, limits: Limits) -> str:
        wanted = [("Description", "s", f"Havre: limits of {workload}"), ("CPUWeight", "t", str(limits.weight))]
        if limits.cpu:
            wanted.append(("CPUQuotaPerSecUSec", "t", str(limits.cpu)))
        if limits.memory:
            wanted += [("MemoryMax", "t", str(limits.memory)), ("MemorySwapMax", "t", str(limits.swap))]
        properties = [word for each in wanted for word in each]
        name = self._name(workload)
        said = await self._ask(
            "StartTransientUnit", "ssa(sv)a(sa(sv))", name, "fail", str(len(wanted)), *properties, "0"
        )
        if said and "already" not in said:
            raise OSError(f"systemd does not make {name}: {said}")
        return name

    def killed(self, workload: str) -> int:
        return _killed(self._above / self._name(workload))

    async def tidy(self, alive: Collection[str]) -> None:
        if not self._above.is_dir():
            return
        kept = {self._name(workload) for workload in alive}
        names = {p.name for p in self._above.iterdir() if p.is_dir() and p.name.endswith(".slice")}
        for name in sorted(names - kept):
            if not any(p.is_dir() for p in (self._above / name).iterdir()):
                await self._ask("StopUnit", "ss", name, "replace")

    async def _ask(self, method: str, *arguments: str) -> str:
        """What systemd says against it, "" when it does it."""
        code, said = await self._run(["busctl", "call", "--quiet", *_MANAGER, method, *arguments])
        return (said.strip() or f"busctl ended with {code}") if code else ""


async def _run(command: Sequence[str]) -> tuple[int, str]:
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdin=nothing, stdout=nothing, stderr=pipe)
    try:
        async with asyncio.timeout(_DBUS_PATIENCE):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise OSError(f"{command[0]} did not answer within {_DBUS_PATIENCE:g} s") from None
    return process.returncode or 0, said.decode(errors="replace")
