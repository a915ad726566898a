"""Tasks from RunTask to their end, with the real agent on the machines: whatever fails, and wherever a process dies.

``HAVRE_SEEDS`` is how many seeds chance has (60); a failure prints the seed and what happened before it.
"""

from __future__ import annotations

import asyncio
import os
from random import Random

import pytest

from tests.simulation.fate import TROUBLES, Fate
from tests.simulation.scenes import DEFINITIONS, accident, begin, ended, expect, is_, run, up
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


RATES = {"temporary": 0.04, "lost": 0.04, "slow": 0.02, "crash before": 0.006, "crash after": 0.006}


async def storm(sim: Simulation) -> None:
    """Users and accidents by chance; every task that was acknowledged is seen through to its end."""
    chance, made = sim.chance, list[str]()
    await begin(sim)
    for n in range(25):
        match chance.choice(("run", "run", "run", "stop", "kill", "accident", "wait")):
            case "run":
                made += await run(sim, chance.choice(tuple(DEFINITIONS)), f"token-{n}", chance.randint(1, 3))
            case "stop" if made:
                await sim.ask("StopTask", task=chance.choice(made))
            case "kill" if made:
                _kill(sim, chance.choice(made))
            case "accident":
                await accident(sim)
        await asyncio.sleep(chance.choice((0.0, 0.01, 0.3, 2.0, 10.0)))
    for id in made:
        is_(sim, id)()
    for id in chance.sample(made, len(made) // 2):
        await sim.ask("StopTask", task=id)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_storms(seed: int) -> None:
    simulate(storm, seed, Fate(Random(f"{seed} fate"), rates=RATES))


@pytest.mark.parametrize("seed", range(SEEDS // 3))
def test_storms_with_refusals(seed: int) -> None:
    """Tasks may fail to start; what they had is given back all the same."""
    simulate(storm, seed, Fate(Random(f"{seed} refusals"), rates={**RATES, "permanent": 0.03}))
