"""An agent over engines in memory, and the server's side of what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec

from havre.control.nodelink.messages import Assign, Assignment
from havre.control.workloads.agent import NodeAgent
from havre.control.workloads.parts import AgentParts
from havre.engines.fake import FakeContainers, Program
from havre.engines.fake_balancer import FakeBalancerEngine
from havre.engines.fake_network import FakeNetwork
from havre.kernel.balancer import BalancerStatus
from havre.kernel.errors import Temporary
from havre.kernel.vpc import Subnet, Vpc
from havre.kernel.workload import Container, Interface, Workload, WorkloadStatus
from havre.kernel.world import World

replace = msgspec.structs.replace
VPC = Vpc("vpc-1", ("10.0.0.0/16",), (Subnet("subnet-1", "10.0.0.0/24", "a"),))
PROGRAMS = {
    "ok": Program(),
    "short": Program(ends=5.0, code=3),
    "stubborn": Program(leaves=None),
    "nowhere": Program(unpullable="manifest unknown"),
    "broken": Program(unstartable="executable file not found in $PATH"),
}


class Endpoint:
    """Stands for the metadata endpoint: what is open, by workload."""

    def __init__(self) -> None:
        self.open_at: dict[str, int] = {}
        self.opened = 0

    def environment(self, workload: Workload, container: Container) -> Mapping[str, str]:
        return {"WHERE": "there"}

    def resolvers(self, workload: Workload) -> tuple[str, ...]:
        return ()

    async def open(self, workload: Workload, pid: int) -> None:
        self.opened += 1
        self.open_at[workload.id] = pid

    def close(self, workload: str) -> None:
        self.open_at.pop(workload, None)


class Node:
    """An agent over engines that outlive it. ``told`` is the last report of each workload, as the server keeps it."""

    def __init__(self) -> None:
        self.world = World(lambda: asyncio.get_running_loop().time() + 1000.0, Random(1))
        self.engine = FakeContainers(self.world, PROGRAMS)
        self.network = FakeNetwork()
        self.balancer = FakeBalancerEngine()
        self.told: dict[str, WorkloadStatus] = {}
        self.phases: dict[str, list[str]] = {}
        self.balancers: list[BalancerStatus] = []
        self.deaf = False
        self.secrets: Mapping[str, str] | None = None
        self.known: dict[str, Workload] = {}
        self._new()

    def _new(self) -> None:
        self.endpoint = Endpoint()
        parts = AgentParts(self.engine, self.network, self.balancer, self.endpoint, self, self.world, "i-1")
        self.agent = NodeAgent(parts)

    # --- as the link
    def report(self, status: WorkloadStatus) -> None:
        self.told[status.id] = status
        self.phases.setdefault(status.id, []).append(status.phase)
        if status.phase == "STOPPED" and not self.deaf:
            asyncio.get_running_loop().call_later(0.05, self.agent.acknowledged, status.id)

    def report_balancers(self, statuses: Sequence[BalancerStatus]) -> None:
        self.balancers += statuses

    async def ask(self, what: str, question: Any, timeout: float = 10.0) -> Any:
        if what == "secrets" and self.secrets is not None:
            return self.secrets
        raise Temporary("nobody")

    # --- as the server
    def assign(self, *workloads: Workload) -> None:
        self.known |= {w.id: w for w in workloads}
        self.agent.changed(Assign(tuple(Assignment(w, self.told.get(w.id)) for w in workloads)))

    def want_stopped(self, id: str, reason: str = "bye") -> None:
        self.assign(replace(self.known[id], desired="STOPPED", stop_code="UserInitiated", stop_reason=reason))

    def snapshot(self) -> None:
        told = [Assignment(w, self.told.get(w.id)) for w in self.known.values()]
        self.agent.snapshot(told, [VPC], [])

    def forget(self, id: str) -> None:
        del self.known[id]

    @asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        """One life of the process; leaving is ``kill -9``."""
        loop = asyncio.get_running_loop().create_task(self.agent.run())
        self.snapshot()
        try:
            yield
        finally:
            loop.cancel()
            await asyncio.wait([loop])
            self._new()

    def phase(self, id: str) -> str:
        return self.told[id].phase if id in self.told else ""

    async def until(self, id: str, phase: str, patience: float = 600.0) -> WorkloadStatus:
        async with asyncio.timeout(patience):
            while self.phase(id) != phase:
                await asyncio.sleep(0.05)
        return self.told[id]

    async def gone(self) -> None:
        async with asyncio.timeout(600):
            while self.engine.existing or self.network.attached:
                await asyncio.sleep(0.05)


def work(id: str, *images: str, network: str = "bridge", **more: Any) -> Workload:
    containers = tuple(Container(f"c{n}", image) for n, image in enumerate(images or ("ok",)))
    interface = Interface(f"eni-{id}", "vpc-1", "subnet-1", "10.0.0.9", "02:00:00:00:00:01")
    more = {"interface": interface, **more} if network == "awsvpc" else more
    return Workload(id, f"arn/{id}", "0", "us-east-1", containers, network=network, **more)
