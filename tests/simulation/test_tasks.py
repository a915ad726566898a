"""Tasks from RunTask to their end, with the real agent on the machines: whatever fails, and wherever a process dies.

``HAVRE_SEEDS`` is how many seeds chance has (60); a failure prints the seed and what happened before it.
"""

from __future__ import annotations

import asyncio
import os
from random import Random

import pytest

from tests.simulation.fate import TROUBLES, Fate
from tests.simulation.scenes import begin, ended, expect, run, up
from tests.simulation.world import Simulation, simulate

SEEDS = int(os.environ.get("HAVRE_SEEDS", "60"))


async def life_of_tasks(sim: Simulation) -> None:
    """One of each kind: those that cannot run say why, those that run are stopped, killed, or end by themselves."""
    await begin(sim)
    made = {family: (await run(sim, family, family))[0] for family in ("pair", "vpc", "short", "missing", "broken")}
    harmed = any(what == "permanent" for _, _, what in sim.fate.happened)
    for family, code, words, exit_code in (
        ("short", "EssentialContainerExited", "Essential container in task exited", 4),
        ("missing", "TaskFailedToStart", "CannotPullContainerError", None),
        ("broken", "TaskFailedToStart", "CannotStartContainerError", None),
    ):
        task = await ended(sim, made[family])
        harmed = harmed or any(what == "permanent" for _, _, what in sim.fate.happened)
        if not harmed:
            expect(task, code, words, exit_code)
    if await up(sim, made["pair"]):
        await sim.ask("StopTask", task=made["pair"], reason="enough")
        task = await ended(sim, made["pair"])
        if not harmed:
            expect(task, "UserInitiated", "enough")
    if await up(sim, made["vpc"]):
        await asyncio.sleep(5.0)
        _kill(sim, made["vpc"])
        task = await ended(sim, made["vpc"])
        if not harmed:
            expect(task, "EssentialContainerExited", "Essential container in task exited", 137)


def _kill(sim: Simulation, task: str) -> None:
    """docker kill."""
    for node in sim.nodes:
        for state in node.engine.running:
            if state.workload == task and state.container == "app":
                node.engine.kill(state.id)


def effects() -> int:
    """How many effects a run has when nothing goes wrong."""
    return len(simulate(life_of_tasks).fate.effects)


def test_every_task_ends_where_it_should() -> None:
    assert effects() > 50


@pytest.mark.parametrize("trouble", [*TROUBLES, "permanent"])
def test_trouble_at_every_effect(trouble: str) -> None:
    for index in range(effects()):
        simulate(life_of_tasks, fate=Fate(Random(1), {index: trouble}))
