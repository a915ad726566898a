"""What workloads use of what they asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

MIB = 1 << 20
UNITS = 1024
"""CPU units of one processor."""


class Used(NamedTuple):
    """``cpu``: nanoseconds of processors so far. ``memory``: bytes now, without pages of files that could go at once."""

    cpu: int = 0
    memory: int = 0


class Seen(NamedTuple):
    """``at`` in seconds."""

    at: float
    used: Used


def of_stats(stats: Mapping[str, Any]) -> Used:
    """Of one container, from Docker's statistics."""
    cpu = ((stats.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage") or 0
    memory = stats.get("memory_stats") or {}
    detail = memory.get("stats") or {}
    cache = detail.get("total_inactive_file", detail.get("inactive_file", 0)) or 0
    return Used(int(cpu), max(0, int(memory.get("usage") or 0) - int(cache)))


def together(several: Iterable[Used]) -> Used:
    found = tuple(several)
    return Used(sum(each.cpu for each in found), sum(each.memory for each in found))


def cpu_units(before: Seen, now: Seen) -> float | None:
    """Between two looks; None where no time has passed. A container that was started anew counts from nothing."""
    passed = now.at - before.at
    if passed <= 0:
        return None
    spent = now.used.cpu - before.used.cpu if now.used.cpu >= before.used.cpu else now.used.cpu
    return spent / 1e9 / passed * UNITS


def percent(part: float | None, whole: float) -> float | None:
    """Of what was asked for, or is there; None where that is nothing, or the part is not known."""
    return None if part is None or whole <= 0 else 100.0 * part / whole
