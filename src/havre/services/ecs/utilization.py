"""AWS/ECS: what tasks of services use of what they asked for, a sample of each task a minute; and what of a cluster's
container instances is used, and set aside, by its tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from havre.control.deps import ReconcilerDeps
from havre.control.metrics import MINUTE, until_look
from havre.control.nodes import NODE
from havre.core.usage import MIB, Seen, Used, cpu_units, percent
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.resource import Resource, scoped
from havre.services.ecs.resources import INSTANCE, TASK, Task, TaskStatus

log = logging.getLogger("havre.ecs")
NAMESPACE = "AWS/ECS"
CPU, MEMORY = "CPUUtilization", "MemoryUtilization"
CPU_HELD, MEMORY_HELD = "CPUReservation", "MemoryReservation"
TaskR = Resource[Task, TaskStatus]
Ask = Callable[[str], Awaitable[Mapping[str, Sequence[int]]]]
"""A node's name → what its workloads use: nanoseconds of processors so far, bytes of memory. Raises Temporary, Permanent."""


class Utilization:
    def __init__(self, deps: ReconcilerDeps, ask: Ask) -> None:
        self._deps = deps
        self._ask = ask
        self._seen: dict[str, Seen] = {}
        self.progress: float | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(until_look(self._deps.world.now()))
            await self.turn()

    async def turn(self) -> None:
        """Everything once."""
        by_node: dict[str, list[TaskR]] = {}
        for task in self._deps.store.list(TASK):
            if (task.spec.service or task.spec.instance) and task.status.last == "RUNNING":
                by_node.setdefault(task.spec.node, []).append(task)
        before, self._seen = self._seen, {}
        clusters: dict[tuple[str, str, str], _Cluster] = {}
        await asyncio.gather(*(self._measure(node, tasks, before, clusters) for node, tasks in by_node.items()))
        for (account, region, cluster), found in clusters.items():
            self._tell_cluster(account, region, cluster, found)
        self.progress = self._deps.world.now()

    async def _measure(
        self,
        node: str,
        tasks: Sequence[TaskR],
        before: Mapping[str, Seen],
        clusters: dict[tuple[str, str, str], _Cluster],
    ) -> None:
        try:
            told = await self._ask(node)
        except (Temporary, Permanent) as error:
            log.info("node %s does not tell what its tasks use: %s", node, error)
            self._seen |= {task.meta.name: before[task.meta.name] for task in tasks if task.meta.name in before}
            return
        now = self._deps.world.now()
        for task in tasks:
            found = told.get(task.meta.name)
            if found is None:
                continue
            m, spec = task.meta, task.spec
            seen = self._seen[m.name] = Seen(now, Used(*found))
            units, memory = self._units(task, before.get(m.name), seen), seen.used.memory / MIB
            if spec.service:
                where = (("ClusterName", spec.cluster), ("ServiceName", spec.service))
                self._tell(m.account, m.region, CPU, percent(units, spec.cpu), where)
                self._tell(m.account, m.region, MEMORY, percent(memory, spec.memory), where)
            if spec.instance:
                clusters.setdefault((m.account, m.region, spec.cluster), _Cluster()).add(task, units, memory)

    @staticmethod
    def _units(task: TaskR, before: Seen | None, seen: Seen) -> float | None:
        """None until a second look, unless the task has begun just now."""
        if before is None:
            started = task.status.started
            if started is None or seen.at - started > MINUTE:
                return None
            before = Seen(started, Used())
        return cpu_units(before, seen)

    def _tell_cluster(self, account: str, region: str, cluster: str, found: _Cluster) -> None:
        store = self._deps.store
        instances = store.find(INSTANCE, "cluster", scoped(account, region, cluster))
        nodes = [node.status for each in instances if (node := store.get(NODE, "", "", each.spec.node)) is not None]
        cpu, memory = sum(node.cpu for node in nodes), sum(node.memory for node in nodes)
        where = (("ClusterName", cluster),)
        for metric, value in (
            (CPU, percent(found.units, cpu)),
            (MEMORY, percent(found.memory, memory)),
            (CPU_HELD, percent(found.cpu_held, cpu)),
            (MEMORY_HELD, percent(found.memory_held, memory)),
        ):
            self._tell(account, region, metric, value, where)

    def _tell(
        self, account: str, region: str, metric: str, value: float | None, where: tuple[tuple[str, str], ...]
    ) -> None:
        if value is not None:
            self._deps.metrics.add(account, region, NAMESPACE, metric, where, value, "Percent")


class _Cluster:
    """Sums of the tasks on its container instances. ``units`` None: of none it is known."""

    def __init__(self) -> None:
        self.units: float | None = None
        self.memory = 0.0
        self.cpu_held = 0
        self.memory_held = 0

    def add(self, task: TaskR, units: float | None, memory: float) -> None:
        if units is not None:
            self.units = (self.units or 0.0) + units
        self.memory += memory
        self.cpu_held += task.spec.cpu
        self.memory_held += task.spec.memory
