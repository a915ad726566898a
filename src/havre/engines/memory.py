"""The memory of this machine; where Havre runs in a container with a limit, what that one may have of it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from havre.engines.groups import MOUNT

MEMINFO = Path("/proc/meminfo")
_LIMITS = (("memory.max", "memory.current", "inactive_file"),
           ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"))  # fmt: skip
"""Of cgroup v2 and v1: files of the limit and of the use, and what of memory.stat goes when others need it. The root that a
container sees is its own group; a machine's root has no limit."""
_NONE = 1 << 62


def total_memory(meminfo: Path = MEMINFO, mount: Path = MOUNT) -> int:
    """Bytes."""
    limit, _ = _limit(mount)
    return min(_of_machine(meminfo, "MemTotal"), limit)


def available_memory(meminfo: Path = MEMINFO, mount: Path = MOUNT) -> int:
    """Bytes that may be had without taking them from somebody."""
    limit, used = _limit(mount)
    return min(_of_machine(meminfo, "MemAvailable"), max(0, limit - used))


def _of_machine(meminfo: Path, field: str) -> int:
    with meminfo.open() as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    return 0


def _limit(mount: Path) -> tuple[int, int]:
    """The limit and what is used of it, in bytes; _NONE where there is none."""
    for limit, current, idle in _LIMITS:
        with suppress(OSError, ValueError):  # ValueError: "max"
            found = int((mount / limit).read_text())
            if found >= _NONE:
                break
            stat = (mount / limit).with_name("memory.stat").read_text()
            spare = next((int(line.split()[1]) for line in stat.splitlines() if line.startswith(idle + " ")), 0)
            return found, int((mount / current).read_text()) - spare
    return _NONE, 0
