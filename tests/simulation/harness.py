"""ECS as a whole on the memory store: operations by name, reconcilers by steps, time by hand."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from havre.control import nodes
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Call, Principal, Site
from havre.control.runner import Runner
from havre.kernel.errors import ApiError
from havre.kernel.world import World
from havre.services import ecs
from havre.services.ecs.ledger import forget
from havre.store.memory import MemoryJournal, MemoryStore
from tests.simulation.fakes import FakeAws, FakeNodes, add_node

ACCOUNT, REGION = "000000000000", "us-east-1"
START = 1_800_000_000.0
DEFINITION = {
    "family": "web",
    "containerDefinitions": [
        {"name": "app", "image": "example/app:1", "memory": 64, "cpu": 10, "portMappings": [{"containerPort": 80}]}
    ],
}


class Harness:
    def __init__(self, seed: int = 1) -> None:
        self.now = START
        self.chance = Random(seed)
        self.world = World(lambda: self.now, Random(seed + 1))
        self.site = Site()
        self.service = ecs.service()
        self.store = MemoryStore((*self.service.kinds, *nodes.KINDS), self.world)
        self.journal = MemoryJournal()
        self.aws = FakeAws(self.world)
        self.nodes = FakeNodes(self.store, self.world)
        self.allowed: Any = lambda action, resources: True
        self.start()

    def start(self) -> None:
        """The processes anew: everything in memory is gone."""
        forget(self.store)
        self.deps = deps = ReconcilerDeps(self.store, self.journal, self.world, self.site, self.aws.for_)
        self.runner = Runner(ecs.reconcilers(deps), self.store, self.world)

    async def call(self, name: str, request: Mapping[str, Any] | None = None, **members: Any) -> dict[str, Any]:
        async def authorize(action: str, resources: Any, context: Any) -> None:
            if not self.allowed(action, resources):
                raise ApiError("AccessDeniedException", f"not authorized to perform: {action}")

        arn = f"arn:aws:iam::{ACCOUNT}:root"
        call = Call(
            service="ecs",
            operation=name,
            account=ACCOUNT,
            region=REGION,
            principal=Principal("Root", ACCOUNT, arn, ACCOUNT),
            request_id="r",
            site=self.site,
            world=self.world,
            store=self.store,
            journal=self.journal,
            aws=self.aws,
            authorize=authorize,
            as_service=lambda service, source="": self.aws,
        )
        operation = self.service.operations[name]
        full = {**(request or {}), **members}
        if operation.resources is not None:
            assert operation.resources(call, full)
        return dict(await operation.handler(call, full) or {})

    async def ready(self, *families: Mapping[str, Any], nodes: int = 1, **status: Any) -> None:
        """A cluster ``default``, nodes, and task definitions."""
        for n in range(nodes):
            await add_node(self.store, f"node-{n + 1}", **status)
        await self.call("CreateCluster")
        for family in families or (DEFINITION,):
            await self.call("RegisterTaskDefinition", family)
        await self.settle()

    async def settle(self, limit: int = 100_000) -> None:
        """Until neither a reconciler nor a node has anything to do now."""
        for _ in range(limit):
            if await self.runner.step():
                continue
            if not await self.nodes.step():
                return
        raise RuntimeError("does not settle")

    async def pass_time(self, seconds: float) -> None:
        """Settle at each timer on the way."""
        until = self.now + seconds
        await self.settle()
        while (at := self.runner.next_time()) is not None and at <= until:
            self.now = max(self.now, at)
            await self.settle()
        self.now = until
        await self.settle()

    async def tasks(self, **filters: Any) -> list[dict[str, Any]]:
        arns = (await self.call("ListTasks", **filters))["taskArns"]
        return (await self.call("DescribeTasks", tasks=arns))["tasks"] if arns else []
