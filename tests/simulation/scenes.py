"""What users do in simulations, and what has to become of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from havre.control.nodes import NODE
from havre.engines.fake import Program
from havre.services.ecs.resources import INSTANCE, TASK
from tests.simulation.monitor import Broken
from tests.simulation.world import Simulation


def container(name: str, image: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": image, "memory": 64, "cpu": 10, **more}


HEALTH = {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 2, "retries": 2}
PAIR = [
    container("db", "good", healthCheck=HEALTH),
    container(
        "app", "good", dependsOn=[{"containerName": "db", "condition": "HEALTHY"}], portMappings=[{"containerPort": 80}]
    ),
]
DEFINITIONS: Mapping[str, Mapping[str, Any]] = {
    "pair": {"containerDefinitions": PAIR, "volumes": [{"name": "data"}]},
    "vpc": {"networkMode": "awsvpc", "containerDefinitions": [container("app", "good")]},
    "short": {"containerDefinitions": [container("app", "short")]},
    "missing": {"containerDefinitions": [container("app", "missing")]},
    "broken": {"containerDefinitions": [container("app", "broken")]},
}
PROGRAMS = {
    "short": Program(ends=3.0, code=4),
    "missing": Program(unpullable="manifest for missing:latest not found"),
    "broken": Program(unstartable='exec: "nothing": executable file not found in $PATH'),
}
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-a", "subnet-b"]}}


async def begin(sim: Simulation, families: Sequence[str] = tuple(DEFINITIONS)) -> None:
    """A cluster, its machines, task definitions."""
    for node in sim.nodes:
        node.engine.programs.update(PROGRAMS)
    await sim.ask("CreateCluster")
    for family in families:
        await sim.ask("RegisterTaskDefinition", family=family, **DEFINITIONS[family])
    machines = len(sim.nodes)
    await sim.until(lambda: len(sim.store.list(INSTANCE)) == machines, "every machine is an instance")
    await sim.until(lambda: sum(n.status.connected for n in sim.store.list(NODE)) == machines, "all are connected")


async def run(sim: Simulation, family: str, token: str, count: int = 1) -> list[str]:
    """RunTask until it is acknowledged, as an SDK does, which sends its token again. Gives the tasks' ids."""
    more = {"networkConfiguration": NETWORK} if family == "vpc" else {}
    while True:
        answer = await sim.ask("RunTask", taskDefinition=family, count=count, clientToken=token, **more)
        if len(answer["tasks"]) == count:
            return [t["taskArn"].rsplit("/", 1)[-1] for t in answer["tasks"]]
        await asyncio.sleep(1.0)  # a machine may be away: nothing was placed, so the token is free


def is_(sim: Simulation, id: str, *states: str) -> Callable[[], bool]:
    def holds() -> bool:
        found = sim.store.get(TASK, "000000000000", "us-east-1", id)
        if found is None:
            raise Broken(f"task {id} was acknowledged and is lost")
        return found.status.last in states

    return holds


async def ended(sim: Simulation, id: str) -> dict[str, Any]:
    await sim.until(is_(sim, id, "STOPPED"), f"{id[:8]} stops")
    return (await sim.ask("DescribeTasks", tasks=[id]))["tasks"][0]


async def up(sim: Simulation, id: str) -> bool:
    """Whether it came to RUNNING; else it has stopped."""
    await sim.until(is_(sim, id, "RUNNING", "STOPPED"), f"{id[:8]} runs")
    return is_(sim, id, "RUNNING")()


def expect(task: Mapping[str, Any], code: str, reason: str, exit_code: int | None = None) -> None:
    told = (
        f"{task['taskDefinitionArn'].rsplit('/', 1)[-1]} ended with {task.get('stopCode')}: {task.get('stoppedReason')}"
    )
    if task.get("stopCode") != code or reason not in task["stoppedReason"]:
        raise Broken(f"{told}; it should be {code}: …{reason}…")
    if exit_code is not None and task["containers"][0].get("exitCode") != exit_code:
        raise Broken(f"{told}, with exit code {task['containers'][0].get('exitCode')} instead of {exit_code}")


def kill_any(sim: Simulation) -> None:
    """``docker kill`` of some container."""
    running = [(node, state) for node in sim.nodes for state in node.engine.running if state.container]
    if running:
        node, state = sim.chance.choice(running)
        node.engine.kill(state.id)


async def accident(sim: Simulation) -> None:
    chance, node = sim.chance, sim.chance.choice(sim.nodes)
    seconds = chance.choice((0.1, 2.0, 40.0))
    match chance.choice(("cut", "server", "node", "both", "gone", "engine", "restart", "vanish", "disk", "sick")):
        case "cut":
            sim.net.cut()
        case "server":
            sim.server.life.kill()
        case "node":
            node.life.kill()
        case "both":
            sim.server.life.kill()
            node.life.kill()
        case "gone":
            await _for_a_while(seconds, node.leave, node.come_back)
        case "engine":
            await _for_a_while(seconds, node.engine.leave, node.engine.come_back)
        case "restart":
            node.engine.restart()
        case "vanish" if node.engine.existing:
            node.engine.vanish(chance.choice(node.engine.existing).id)
        case "disk":
            await _for_a_while(seconds, sim.fill_disk, sim.free_disk)
        case "sick" if sim.aws.since:
            target = chance.choice(tuple(sim.aws.since))
            await _for_a_while(seconds, lambda: sim.aws.sick.add(target), lambda: sim.aws.sick.discard(target))
            sim.aws.look(0.0)


async def _for_a_while(seconds: float, begin: Callable[[], None], end: Callable[[], None]) -> None:
    begin()
    await asyncio.sleep(seconds)
    end()
