"""The processes of the simulated world, a server and nodes with the real agent: started, killed, started again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from havre.control.deps import ReconcilerDeps
from havre.control.nodelink.client import Link, LinkParts
from havre.control.nodelink.hub import Hub, HubParts, no_answers
from havre.control.nodelink.messages import NodeInfo
from havre.control.nodelink.spool import Spool
from havre.control.operation import Call, Principal
from havre.control.runner import Runner
from havre.control.supervisor import Loop, LoopFault, Supervisor
from havre.control.workloads.agent import NodeAgent
from havre.control.workloads.lines import LineKeeper
from havre.control.workloads.parts import AgentParts
from havre.engines.fake import FakeContainers
from havre.engines.fake_balancer import FakeBalancerEngine
from havre.engines.fake_network import FakeNetwork
from havre.services import ecs
from tests.simulation.fate import STORE, Life, Port

if TYPE_CHECKING:
    from tests.simulation.world import Simulation

ACCOUNT, REGION = "000000000000", "us-east-1"
_CONTAINERS = {"pull", "sandbox", "create", "start", "stop", "remove", "inspect", "containers"} | {
    "ensure_volume",
    "remove_volumes",
    "tidy",
}
_NETWORK = ("ensure_vpc", "remove_vpc", "attach", "detach", "interfaces")


class _Metadata:
    def environment(self, workload: Any, container: Any) -> dict[str, str]:
        return {}

    def resolvers(self, workload: Any) -> tuple[str, ...]:
        return ()

    async def open(self, workload: Any, pid: int) -> None:
        return

    def close(self, workload: str) -> None:
        return


class Process:
    """What is started, killed and started again."""

    def __init__(self, sim: Simulation, name: str) -> None:
        self.sim = sim
        self.name = name
        self.life = Life(name, sim.fate)
        self.life.dead = True
        self.down = False
        self.lives = 0

    def loops(self, life: Life) -> list[Loop]:
        raise NotImplementedError

    def leave(self) -> None:
        """Gone until it comes back: nobody starts it again."""
        self.down = True
        self.life.kill()

    def come_back(self) -> None:
        self.down = False

    async def run(self) -> None:
        """One life after the other, as the program that a user starts sees to it."""
        while True:
            if not self.down:
                self.lives += 1
                self.life = life = Life(self.name, self.sim.fate)
                loops = self.loops(life)
                task = life.begin(Supervisor(loops, self.sim.world).run())
                await asyncio.wait([task])
                if not task.cancelled() and isinstance(fault := task.exception(), LoopFault):
                    self.sim.faults.append(f"{self.name}: {fault}")
                life.kill()
            await asyncio.sleep(self.sim.chance.choice((0.05, 0.5, 3.0)))


class Server(Process):
    def loops(self, life: Life) -> list[Loop]:
        sim = self.sim
        self.store: Any = Port(life, STORE, sim.store, {"transact"})
        deps = ReconcilerDeps(self.store, sim.journal, sim.world, sim.site, lambda *who: self.aws(life, *who))
        sink: Any = Port(life, "logs.", sim, {"keep_lines"})
        hub = Hub(HubParts(self.store, sim.world, "sim", lambda: "token", sink.keep_lines, no_answers))
        self.runner = Runner(ecs.reconcilers(deps), self.store, sim.world)
        life.at_end.append(sim.net.shut)
        return [
            Loop("node link", lambda: hub.serve(sim.directory / "node.sock")),
            Loop("reconcilers", self.runner.run),
        ]

    def aws(self, life: Life, account: str, region: str, principal: str) -> Any:
        call = self.sim.aws.for_(account, region, principal)

        async def effect(service: str, operation: str, request: Mapping[str, Any]) -> Any:
            return await life.effect(f"{service}.{operation}", call, service, operation, request)

        return effect

    async def invoke(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        sim, store, aws = self.sim, self.store, self.aws(self.life, ACCOUNT, REGION, "user")

        async def allow(action: str, resources: Any, context: Any) -> None:
            return

        root = Principal("Root", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
        call = Call(
            service="ecs",
            operation=name,
            account=ACCOUNT,
            region=REGION,
            principal=root,
            request_id="r",
            site=sim.site,
            world=sim.world,
            store=store,
            journal=sim.journal,
            aws=aws,
            authorize=allow,
            as_service=lambda service, source="": aws,
        )
        operation = sim.service.operations[name]
        if operation.resources is not None:
            operation.resources(call, request)
        return dict(await operation.handler(call, request) or {})


class Node(Process):
    def __init__(self, sim: Simulation, name: str) -> None:
        super().__init__(sim, name)
        self.engine = FakeContainers(sim.world, sim.programs)
        self.network = FakeNetwork()
        self.balancer = FakeBalancerEngine()
        self.directory = sim.directory / name
        self.written: Counter[tuple[str, str]] = Counter()
        """How many lines of each (workload, container) were taken in."""

    async def write_lines(self) -> None:
        """Containers write; what nobody takes in stays with them, as Docker's driver keeps it."""
        while not self.sim.fate.over:
            await asyncio.sleep(2.0)
            for state in self.engine.running:
                if state.container and not self.life.dead:
                    await self._write_line(state.workload, state.container)

    async def _write_line(self, *key: str) -> None:
        number = self.written[key]
        taken = self.life.context.run(self.keeper.take, *key, [(number, b"line %d" % number)])
        if taken is not None:
            await asyncio.wait([taken], timeout=5.0)
            if not taken.done() or taken.cancelled() or taken.exception() is not None:
                return
        self.written[key] += 1

    def loops(self, life: Life) -> list[Loop]:
        sim = self.sim
        spool = Spool(self.directory)
        life.at_end.append(spool.close)
        engine: Any = Port(life, "containers.", self.engine, _CONTAINERS)
        network: Any = Port(life, "network.", self.network, _NETWORK)
        link = Link(LinkParts(sim.directory / "node.sock", self.name, "sim", lambda: "token", self._info, spool))
        self.agent = NodeAgent(AgentParts(engine, network, self.balancer, _Metadata(), link, sim.world))
        self.keeper = LineKeeper(self.agent, spool, self.directory / "streams")
        life.at_end.append(lambda: sim.later(self.keeper.close()))
        return [
            Loop("agent", self.agent.run),
            Loop("balancer", self.balancer.run),
            Loop("engine watch", lambda: self._watch(link), essential=False),
            Loop("server link", lambda: link.run(self.agent)),
        ]

    async def _info(self) -> NodeInfo:
        return NodeInfo(cpu=4096, memory=16384, engine="fake", engine_error=self.engine.away)

    async def _watch(self, link: Link) -> None:
        while True:
            await asyncio.sleep(5.0)
            link.report_info(await self._info())
