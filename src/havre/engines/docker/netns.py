"""Entering namespaces of other processes, in a thread of its own that ends behind it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from havre.engines.aside import aside

R = TypeVar("R")


def network_of(pid: int) -> str:
    """``net:[4026532182]``, the identity of a process's network namespace; "" when the process is gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


async def within(pid: int, kind: str, work: Callable[[], R]) -> R:
    """Run ``work`` in the ``net`` or ``uts`` namespace of a process. Needs root. Raises OSError."""

    def inside() -> R:
        _enter(pid, kind)
        return work()

    return await aside(inside)


def _enter(pid: int, kind: str) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(fd, 0) != 0:
            error = ctypes.get_errno()
            raise OSError(error, f"cannot enter the {kind} namespace of process {pid}: {os.strerror(error)}")
    finally:
        os.close(fd)


def write_sysctls(wanted: dict[str, str]) -> None:
    """``net.*`` settings of the namespace that the thread is in. Raises OSError for one that is unknown or refused."""
    for name, value in wanted.items():
        if not name.startswith("net.") or ".." in name or "/" in name:
            raise OSError(22, f"not a network setting: {name}")
        Path("/proc/sys", *name.split(".")).write_text(value)


def set_hostname(name: str) -> None:
    import socket

    socket.sethostname(name[:64])


_COUNTERS = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "tx_bytes", "tx_packets", "tx_errors", "tx_dropped")
_COLUMNS = (0, 1, 2, 3, 8, 9, 10, 11)


def interface_counters(pid: int) -> dict[str, dict[str, int]]:
    """What went over each interface of a process's network namespace, as Docker's statistics say it; Docker itself has
    none for a container that has joined another's. Nothing when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, rest = line.partition(":")
        values = rest.split()
        if name.strip() != "lo":
            found[name.strip()] = {c: int(values[at]) for c, at in zip(_COUNTERS, _COLUMNS, strict=True)}
    return found
