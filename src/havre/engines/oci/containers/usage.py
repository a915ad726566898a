"""What a container uses, in the shape of Docker's statistics."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from havre.engines.docker.netns import interface_counters
from havre.engines.memory import total_memory
from havre.engines.oci.containers.groups import Groups, words
from havre.engines.oci.containers.records import Record

Json = dict[str, Any]
_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_NEVER = "0001-01-01T00:00:00Z"


def usage(groups: Groups, record: Record, pid: int, now: float) -> Mapping[str, object]:
    """Blocks for less than a millisecond."""
    task, id = record.workload, record.id
    measured = _version2(groups, task, id) if groups.version2 else _version1(groups, task, id)
    processes = len(groups.processes(task, id))
    told: Json = {
        "id": id,
        "name": f"/{record.name}",
        "read": datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "preread": _NEVER,
        "num_procs": 0,
        "pids_stats": {"current": processes},
        "precpu_stats": {},
        **measured,
    }
    told["cpu_stats"] |= {"system_cpu_usage": _machine_cpu(), "online_cpus": os.cpu_count() or 1}
    if networks := interface_counters(pid):
        told["networks"] = networks
    return told


def _machine_cpu() -> int:
    """Nanoseconds that all processors of this machine have run, idle ones too."""
    with Path("/proc/stat").open() as file:
        return sum(int(n) for n in file.readline().split()[1:8]) * _TICK


def _number(text: str, otherwise: int = 0) -> int:
    return int(text) if text.strip().isdecimal() else otherwise


def _version1(groups: Groups, task: str, id: str) -> Json:
    cpu = groups.files(task, id, "cpuacct", "cpuacct.usage", "cpuacct.stat", "cpuacct.usage_percpu")
    throttled = words(groups.files(task, id, "cpu", "cpu.stat")["cpu.stat"])
    names = ("memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.limit_in_bytes", "memory.stat")
    memory = groups.files(task, id, "memory", *names)
    spent = words(cpu["cpuacct.stat"])
    limit = min(_number(memory[names[2]], 1 << 63), total_memory())
    io = groups.files(task, id, "blkio", "blkio.throttle.io_service_bytes")["blkio.throttle.io_service_bytes"]
    return {
        "cpu_stats": {
            "cpu_usage": {
                "total_usage": _number(cpu["cpuacct.usage"]),
                "percpu_usage": [int(n) for n in cpu["cpuacct.usage_percpu"].split()],
                "usage_in_kernelmode": spent.get("system", 0) * _TICK,
                "usage_in_usermode": spent.get("user", 0) * _TICK,
            },
            "throttling_data": _throttling(throttled, throttled.get("throttled_time", 0)),
        },
        "memory_stats": {
            "usage": _number(memory[names[0]]),
            "max_usage": _number(memory[names[1]]),
            "limit": limit,
            "stats": words(memory["memory.stat"]),
        },
        "blkio_stats": {"io_service_bytes_recursive": _io(io)},
    }


def _version2(groups: Groups, task: str, id: str) -> Json:
    names = ("cpu.stat", "memory.current", "memory.max", "memory.stat", "io.stat")
    files = groups.files(task, id, "", *names)
    cpu = words(files["cpu.stat"])
    return {
        "cpu_stats": {
            "cpu_usage": {
                "total_usage": cpu.get("usage_usec", 0) * 1000,
                "usage_in_kernelmode": cpu.get("system_usec", 0) * 1000,
                "usage_in_usermode": cpu.get("user_usec", 0) * 1000,
            },
            "throttling_data": _throttling(cpu, cpu.get("throttled_usec", 0) * 1000),
        },
        "memory_stats": {
            "usage": _number(files["memory.current"]),
            "limit": min(_number(files["memory.max"], 1 << 63), total_memory()),
            "stats": words(files["memory.stat"]),
        },
        "blkio_stats": {"io_service_bytes_recursive": _io2(files["io.stat"])},
    }


def _throttling(stat: Mapping[str, int], time: int) -> Json:
    return {
        "periods": stat.get("nr_periods", 0),
        "throttled_periods": stat.get("nr_throttled", 0),
        "throttled_time": time,
    }


def _io(text: str) -> list[Json]:
    found = []
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 3:
            major, _, minor = parts[0].partition(":")
            found.append({"major": int(major), "minor": int(minor), "op": parts[1], "value": int(parts[2])})
    return found


def _io2(text: str) -> list[Json]:
    found = []
    for line in text.splitlines():
        device, *pairs = line.split()
        major, _, minor = device.partition(":")
        values = dict(pair.partition("=")[::2] for pair in pairs)
        for name, op in (("rbytes", "Read"), ("wbytes", "Write")):
            found.append({"major": int(major), "minor": int(minor), "op": op, "value": int(values.get(name, 0))})
    return found
