"""What placement looks at: machines with running totals, places on them, and what a task demands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

K = TypeVar("K", int, str)

FARGATE_CPU_OVERCOMMIT = 8
"""How many Fargate tasks share one core: their CPU is a limit here, their memory is truly reserved."""


class Constraint(msgspec.Struct, frozen=True):
    """``type``: distinctInstance, or memberOf with an ``expression`` in the cluster query language."""

    type: str
    expression: str = ""


class Strategy(msgspec.Struct, frozen=True):
    """``type``: spread (``field`` instanceId, host or attribute:NAME), binpack (cpu or memory), random."""

    type: str
    field: str = ""


class Demand(msgspec.Struct, frozen=True):
    """What one task needs: ``cpu`` in 1/1024 cores, ``memory`` in MiB, host ports. ``group`` is what spread and
    distinctInstance count by, unique over clusters."""

    cpu: int = 0
    memory: int = 0
    tcp: tuple[int, ...] = ()
    udp: tuple[int, ...] = ()
    group: str = ""
    awsvpc: bool = False
    architecture: str = ""
    constraints: tuple[Constraint, ...] = ()
    strategies: tuple[Strategy, ...] = ()


class Machine:
    """A node and what is reserved on it. ``error`` says why it takes nothing, ``network_error`` why no awsvpc task."""

    __slots__ = (
        "architecture",
        "busy",
        "busy_udp",
        "cpu",
        "error",
        "free_cpu",
        "free_memory",
        "id",
        "memory",
        "network_error",
        "tcp",
        "udp",
    )

    def __init__(self, id: str) -> None:
        self.id = id
        self.cpu = self.memory = self.free_cpu = self.free_memory = 0
        self.tcp: dict[int, int] = {}
        self.udp: dict[int, int] = {}
        self.busy: frozenset[int] = frozenset()
        self.busy_udp: frozenset[int] = frozenset()
        self.error = ""
        self.network_error = ""
        self.architecture = "x86_64"

    def resize(self, cpu: int, memory: int) -> None:
        self.free_cpu += cpu - self.cpu
        self.free_memory += memory - self.memory
        self.cpu, self.memory = cpu, memory

    def ports_free(self, demand: Demand) -> bool:
        """``busy`` are ports that others on this machine hold."""
        for port in demand.tcp:
            if port in self.tcp or port in self.busy:
                return False
        return all(port not in self.udp and port not in self.busy_udp for port in demand.udp)


class Place:
    """A machine as one cluster sees it: a container instance, or Fargate's share of the machine (``name`` is then the
    machine's id). ``counts`` are the tasks here by group."""

    __slots__ = ("accepting", "arn", "attributes", "counts", "machine", "name", "registered", "running")

    def __init__(self, name: str, machine: Machine, attributes: Mapping[str, str], arn: str = "") -> None:
        self.name = name
        self.arn = arn
        self.machine = machine
        self.attributes = attributes
        self.accepting = True
        self.registered = 0.0
        self.counts: dict[str, int] = {}
        self.running = 0

    def take(self, demand: Demand) -> None:
        m = self.machine
        m.free_cpu -= demand.cpu
        m.free_memory -= demand.memory
        for port in demand.tcp:
            m.tcp[port] = m.tcp.get(port, 0) + 1
        for port in demand.udp:
            m.udp[port] = m.udp.get(port, 0) + 1
        self.counts[demand.group] = self.counts.get(demand.group, 0) + 1
        self.running += 1

    def give_back(self, demand: Demand) -> None:
        m = self.machine
        m.free_cpu += demand.cpu
        m.free_memory += demand.memory
        for port in demand.tcp:
            _decrease(m.tcp, port)
        for port in demand.udp:
            _decrease(m.udp, port)
        _decrease(self.counts, demand.group)
        self.running -= 1

    def fact(self, subject: str) -> str | tuple[str, ...] | None:
        """What a query asks: see core/placement/query.py."""
        if subject.startswith("attribute:"):
            return self.attributes.get(subject[10:])
        if subject == "task:group":
            return tuple(g.rsplit("\0", 1)[-1] for g in self.counts)
        if subject == "runningTasksCount":
            return str(self.running)
        if subject == "agentConnected":
            return "false" if self.machine.error else "true"
        if subject == "registeredAt":
            return str(self.registered)
        return self.attributes.get(subject)


def _decrease(counts: dict[K, int], key: K) -> None:
    left = counts.get(key, 0) - 1
    if left > 0:
        counts[key] = left
    else:
        counts.pop(key, None)
