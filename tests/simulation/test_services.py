"""Services from their creation to their end: counts, bounds, words and targets, whatever fails and whoever dies.

``HAVRE_SEEDS`` is how many seeds chance has (40); ``HAVRE_DEEP`` tries every trouble at every effect. A failure prints
the seed, what happened before it, and what else it takes to see it again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from havre.engines.fake import Program
from havre.kernel.errors import ApiError
from tests.simulation.balance import ADDRESSES, INSTANCES
from tests.simulation.fate import TROUBLES, Fate
from tests.simulation.monitor import Broken
from tests.simulation.scenes import NETWORK, accident, begin, container, kill_any
from tests.simulation.world import Simulation, simulate

PARTS = 4
"""Into which an enumeration is cut, so that none takes longer than a test may."""
SEEDS = int(os.environ.get("HAVRE_SEEDS", "40"))
PORTS = [{"containerPort": 80}]
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
BALANCED = [{"targetGroupArn": INSTANCES, "containerName": "app", "containerPort": 80}]


async def define(sim: Simulation, family: str, *images: str, **more: Any) -> list[str]:
    """ARNs of task definitions. Who asks twice has two revisions, so nobody counts on their numbers."""
    made = []
    for image in images:
        app = container("app", image, portMappings=PORTS)
        answer = await sim.ask("RegisterTaskDefinition", family=family, containerDefinitions=[app], **more)
        made.append(answer["taskDefinition"]["taskDefinitionArn"])
    return made


async def service(sim: Simulation, name: str = "web") -> dict[str, Any]:
    return (await sim.ask("DescribeServices", services=[name]))["services"][0]


async def stable(sim: Simulation, name: str = "web", patience: float = 1800.0) -> dict[str, Any]:
    """``aws ecs wait services-stable``, and the rollout has been completed."""
    end = sim.world.now() + patience
    while True:
        found = await service(sim, name)
        (primary, *others) = found["deployments"]
        there = found["runningCount"] == found["desiredCount"]
        if there and not others and primary["rolloutState"] == "COMPLETED":
            return found
        if sim.world.now() > end:
            raise Broken(f"never stable: {found['runningCount']} of {found['desiredCount']}, {found['deployments']}")
        await asyncio.sleep(1.0)


async def life_of_a_service(sim: Simulation) -> None:
    """Created, updated, updated to what crashes, rolled back, robbed of a container, scaled, deleted."""
    await begin(sim, ())
    for node in sim.nodes:
        node.engine.programs["crashes"] = Program(ends=1.0, code=1)
    one, two, crashes = await define(sim, "web", "one", "two", "crashes")
    await sim.ask(
        "CreateService",
        serviceName="web",
        taskDefinition=one,
        desiredCount=2,
        loadBalancers=BALANCED,
        deploymentConfiguration=BREAKER,
    )
    await stable(sim)
    await sim.ask("UpdateService", service="web", taskDefinition=two)
    await stable(sim)
    await sim.ask("UpdateService", service="web", taskDefinition=crashes)
    back = await stable(sim)
    if back["taskDefinition"] != two:
        raise Broken(f"it was not rolled back: {back['deployments']}")
    kill_any(sim)
    await asyncio.sleep(1.0)
    await stable(sim)
    await sim.ask("UpdateService", service="web", desiredCount=1)
    await stable(sim)


def effects() -> int:
    return len(simulate(life_of_a_service).fate.effects)


def test_a_service_lives() -> None:
    assert effects() > 200


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_at_every_effect(trouble: str, part: int) -> None:
    """A crash at every one; of the milder troubles every fourth in turn, or all of them with ``HAVRE_DEEP``."""
    stride = 1 if "crash" in trouble or "HAVRE_DEEP" in os.environ else 4
    indices = range(TROUBLES.index(trouble) % stride, effects(), stride)
    for index in indices[part::PARTS]:
        simulate(life_of_a_service, fate=Fate(Random(1), {index: trouble}))


RATES = {"temporary": 0.03, "lost": 0.03, "slow": 0.02, "crash before": 0.004, "crash after": 0.004}
KINDS: Mapping[str, Mapping[str, Any]] = {
    "web": {"desiredCount": 3, "loadBalancers": BALANCED, "deploymentConfiguration": BREAKER},
    "vpc": {
        "desiredCount": 2,
        "networkConfiguration": NETWORK,
        "loadBalancers": [{**BALANCED[0], "targetGroupArn": ADDRESSES}],
        "deploymentConfiguration": {**BREAKER, "minimumHealthyPercent": 50, "maximumPercent": 150},
    },
    "plain": {"desiredCount": 4, "deploymentConfiguration": {"minimumHealthyPercent": 75, "maximumPercent": 125}},
    "agent": {"schedulingStrategy": "DAEMON", "deploymentConfiguration": {"minimumHealthyPercent": 0}},
}


class Users:
    """Change services by chance, and remember what was acknowledged."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.images: dict[str, dict[str, str]] = {}
        self.wanted: dict[str, int] = {}

    async def begin(self) -> None:
        await begin(self.sim, ())
        for node in self.sim.nodes:
            node.engine.programs["crashes"] = Program(ends=1.0, code=1)
            node.engine.programs["missing"] = Program(unpullable="manifest unknown")
            node.engine.programs["deaf"] = Program(leaves=None)
        for name in KINDS:
            images = ("one", "two", "deaf", "crashes", "missing")
            more = {"networkMode": "awsvpc"} if name == "vpc" else {}
            self.images[name] = dict(zip(images, await define(self.sim, name, *images, **more), strict=True))

    async def create(self, name: str) -> None:
        await self.sim.ask("CreateService", serviceName=name, taskDefinition=self.images[name]["one"], **KINDS[name])
        self.wanted[name] = KINDS[name].get("desiredCount", len(self.sim.nodes))

    async def update(self, name: str) -> None:
        image = self.sim.chance.choice(("one", "two", "two", "deaf", "crashes", "missing"))
        await self.sim.ask("UpdateService", service=name, taskDefinition=self.images[name][image])

    async def scale(self, name: str) -> None:
        if name != "agent":
            count = self.sim.chance.randint(0, 6)
            await self.sim.ask("UpdateService", service=name, desiredCount=count)
            self.wanted[name] = count

    async def delete(self, name: str) -> None:
        await gone(self.sim, name)
        del self.wanted[name]

    async def end(self) -> None:
        """Whatever was tried, in the end everybody wants what works: some counts leave no way between the bounds."""
        for name, count in self.wanted.items():
            found = await service(self.sim, name)
            if found["desiredCount"] != count and name != "agent":
                raise Broken(f"{name} was to have {count} tasks; {found['desiredCount']} are wanted")
            more = {} if name == "agent" else {"desiredCount": KINDS[name]["desiredCount"]}
            await self.sim.ask("UpdateService", service=name, taskDefinition=self.images[name]["two"], **more)


async def gone(sim: Simulation, name: str) -> None:
    """A deletion whose answer was lost is refused when it is asked for again: the service is gone."""
    try:
        await sim.ask("DeleteService", service=name, force=True)
    except ApiError as error:
        if error.code != "ServiceNotFoundException":
            raise
    state = "ACTIVE"
    while state != "INACTIVE":
        await asyncio.sleep(1.0)
        state = (await service(sim, name))["status"]


async def storm(sim: Simulation) -> None:
    sim.afterwards = 1500.0  # back-off after failed tasks may be long
    users, chance = Users(sim), sim.chance
    await users.begin()
    for _ in range(20):
        name = chance.choice(tuple(KINDS))
        if name not in users.wanted:
            await users.create(name)
        else:
            match chance.choice(("update", "update", "scale", "scale", "delete", "kill", "accident", "accident")):
                case "update":
                    await users.update(name)
                case "scale":
                    await users.scale(name)
                case "delete" if chance.random() < 0.3:
                    await users.delete(name)
                case "kill":
                    kill_any(sim)
                case "accident":
                    await accident(sim)
        await asyncio.sleep(chance.choice((0.0, 0.1, 1.0, 5.0, 20.0)))
    await users.end()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_storms(seed: int) -> None:
    simulate(storm, seed, Fate(Random(f"{seed} fate"), rates=RATES))
