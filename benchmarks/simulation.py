"""A thousand machines in one process, on the memory store: tasks placed a second, and what describing one of them costs.

Placements: ``RunTask`` with ten tasks a call, from the checked request to the written tasks, until 50,000 are there. Then
the reconcilers and the machines' reports bring them to RUNNING, which is counted as well. CPU time, for other programs on
the machine are no part of the promise. ``DescribeTasks``: one task among 50,000 beside one among 100, in turns.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from tests.simulation.fakes import add_node
from tests.simulation.harness import Harness

from benchmarks._harness import Promise, finish, rounds
from havre.control.nodes import WORKLOAD, WorkloadReport
from havre.kernel.workload import ContainerStatus, WorkloadStatus
from havre.services.ecs.resources import TASK
from havre.store.ports import Transaction

MACHINES, TASKS, FEW = 1_000, 50_000, 100
A_CALL = 10
REPEAT = 2_000
DEFINITION = {
    "family": "web",
    "containerDefinitions": [{"name": "app", "image": "example/app:1", "memory": 128, "cpu": 64}],
}
STRATEGY = [{"type": "spread", "field": "attribute:ecs.availability-zone"}, {"type": "binpack", "field": "memory"}]


async def ground(machines: int) -> Harness:
    """A cluster of machines in three zones, and a task definition."""
    h = Harness()
    for n in range(machines):
        await add_node(h.store, f"node-{n:04}", zone="abc"[n % 3])
    await h.call("CreateCluster")
    await h.call("RegisterTaskDefinition", DEFINITION)
    await h.settle()
    return h


async def fill(h: Harness, tasks: int) -> float:
    """Seconds of CPU time until so many tasks more are there."""
    began = time.process_time()
    for _ in range(tasks // A_CALL):
        answer = await h.call("RunTask", taskDefinition="web", count=A_CALL, placementStrategy=STRATEGY)
        if len(answer["tasks"]) != A_CALL:
            raise RuntimeError(f"no room: {answer['failures'][:1]}")
    return time.process_time() - began


async def start(h: Harness) -> float:
    """Seconds of CPU time until all that was placed is RUNNING: reconcilers, what machines report, reconcilers again."""
    began = time.process_time()
    await h.runner.drain(10 * TASKS)
    new = [r for r in h.store.list(WORKLOAD) if r.status.report is None]

    def report(tx: Transaction) -> None:
        for record in new:
            work = record.spec.workload
            up = tuple(ContainerStatus(c.name, "RUNNING") for c in work.containers)
            tx.update(record, status=WorkloadReport(WorkloadStatus(work.id, "RUNNING", up, started=h.now)))

    await h.store.transact(report)
    await h.runner.drain(10 * TASKS)
    return time.process_time() - began


async def describe(h: Harness, task: str) -> float:
    """Microseconds of CPU time for one ``DescribeTasks``."""
    began = time.process_time()
    for _ in range(REPEAT):
        await h.call("DescribeTasks", tasks=[task])
    return (time.process_time() - began) / REPEAT * 1e6


async def middle(h: Harness) -> str:
    """A task in the middle of all, which runs."""
    found = h.store.list(TASK)
    chosen = found[len(found) // 2]
    if chosen.status.last != "RUNNING":
        raise RuntimeError(f"a task is {chosen.status.last}")
    return chosen.meta.name


def main() -> None:
    loop = asyncio.new_event_loop()

    def run(work: Any) -> Any:
        return loop.run_until_complete(work)

    scale, peer = f"{MACHINES:,} nodes, {TASKS:,} tasks", "2,000 a second"
    placements = Promise(f"placements, {scale}", "per s", ">= 1", peer)
    started = Promise(f"tasks from RunTask to RUNNING, {scale}", "per s", ">= 1", peer)
    many, step = run(ground(MACHINES)), TASKS // rounds(5)
    for _ in range(rounds(5)):
        placed = run(fill(many, step))
        placements.add(step / placed, 2_000.0)
        started.add(step / (placed + run(start(many))), 2_000.0)
    few = run(ground(MACHINES))
    run(fill(few, FEW))
    run(start(few))
    described = Promise("DescribeTasks of one task", "us", "<= 1.2", f"the same among {FEW} tasks")
    one, other = run(middle(many)), run(middle(few))
    described.run(lambda: run(describe(many, one)), lambda: run(describe(few, other)), rounds(5))
    finish(placements, started, described)


if __name__ == "__main__":
    sys.exit(main())
