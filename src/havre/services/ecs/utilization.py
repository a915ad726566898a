"""AWS/ECS: what the tasks of services use of what they asked for, a sample of each task a minute."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.core.usage import Seen, Used, cpu_percent, memory_percent
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.resource import Resource
from havre.services.ecs.resources import TASK, Task, TaskStatus

log = logging.getLogger("havre.ecs")
NAMESPACE = "AWS/ECS"
CPU, MEMORY = "CPUUtilization", "MemoryUtilization"
EVERY, SECOND = 60.0, 50.0
"""Seconds between samples, and the second of a minute in which they are taken: what is told of a minute was in it."""
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
            await asyncio.sleep((SECOND - self._deps.world.now()) % EVERY or EVERY)
            await self.turn()

    async def turn(self) -> None:
        """Everything once."""
        by_node: dict[str, list[TaskR]] = {}
        for task in self._deps.store.list(TASK):
            if task.spec.service and task.status.last == "RUNNING":
                by_node.setdefault(task.spec.node, []).append(task)
        before, self._seen = self._seen, {}
        await asyncio.gather(*(self._measure(node, tasks, before) for node, tasks in by_node.items()))
        self.progress = self._deps.world.now()

    async def _measure(self, node: str, tasks: Sequence[TaskR], before: Mapping[str, Seen]) -> None:
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
            seen = self._seen[task.meta.name] = Seen(now, Used(*found))
            self._tell(task, CPU, self._cpu(task, before.get(task.meta.name), seen))
            self._tell(task, MEMORY, memory_percent(seen.used, task.spec.memory))

    @staticmethod
    def _cpu(task: TaskR, before: Seen | None, seen: Seen) -> float | None:
        """None until a second look, unless the task has begun just now."""
        if before is None:
            started = task.status.started
            if started is None or seen.at - started > EVERY:
                return None
            before = Seen(started, Used())
        return cpu_percent(before, seen, task.spec.cpu)

    def _tell(self, task: TaskR, metric: str, value: Any) -> None:
        if value is None:
            return
        where = (("ClusterName", task.spec.cluster), ("ServiceName", task.spec.service))
        self._deps.metrics.add(task.meta.account, task.meta.region, NAMESPACE, metric, where, value, "Percent")
