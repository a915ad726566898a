"""The reconciler that makes functions ready, through faults and restarts at any moment, on a store in memory."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.services.lambda_.lambda_harness import FakeFunctions

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Site
from havre.control.runner import Runner
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.function import Code, FunctionLogs
from havre.kernel.resource import Kind
from havre.kernel.world import World
from havre.services import lambda_
from havre.services.lambda_.compile import compiled, function_of
from havre.services.lambda_.present import updating
from havre.services.lambda_.publishing import publish
from havre.services.lambda_.resources import (
    FUNCTION,
    KINDS,
    VERSION,
    Configuration,
    FunctionR,
    FunctionSpec,
    Readiness,
    VersionR,
)
from havre.store.memory import MemoryJournal, MemoryStore
from havre.store.ports import Transaction

ACCOUNT, REGION = "111122223333", "us-east-1"
ACTIONS = ("create", "update", "publish", "delete", "fail", "falter", "heal", "run", "restart")
CONFIG = Configuration(
    "arn:aws:iam::1:role/r", Code("zip", "0" * 64), FunctionLogs("/aws/lambda/f"), "python3.12", "a.b"
)


class Simulation:
    """One function, changed as operations change it; its reconciler runs when it is told to."""

    def __init__(self, config: Configuration = CONFIG) -> None:
        self.config = config
        self.world = World(lambda: 0.0, Random(1))
        self.store = MemoryStore(KINDS, self.world)
        self.functions = FakeFunctions()
        self.made = 0
        self.runner = self.fresh()

    def fresh(self) -> Runner:
        """As after a crash: whatever was in memory is gone."""
        facilities = lambda_.Facilities(self.functions)
        journal: Any = MemoryJournal()
        aws: Any = None
        deps = ReconcilerDeps(self.store, journal, self.world, Site(), aws)
        made = [each for each in lambda_.reconcilers(deps, facilities) if each.name == "lambda.readiness"]
        return Runner(made, self.store, self.world)

    async def do(self, action: str) -> None:
        faults = {"fail": Permanent("the archive is broken"), "falter": Temporary("no node"), "heal": None}
        if action in faults:
            self.functions.fault = faults[action]
        elif action == "run":
            await self.runner.drain()
        elif action == "restart":
            self.runner = self.fresh()
        else:
            self.made += 1
            await self.store.transact(getattr(self, f"_{action}"))

    def _function(self, tx: Any) -> FunctionR | None:
        found: FunctionR | None = tx.get(FUNCTION, ACCOUNT, REGION, "f")
        return found

    def _create(self, tx: Transaction) -> None:
        if self._function(tx) is None:
            config = replace(self.config, timeout=self.made)
            spec = FunctionSpec("f", f"uid{self.made}", config, f"r{self.made}", 0.0)
            tx.create(FUNCTION, account=ACCOUNT, region=REGION, name="f", arn="a", spec=spec, status=Readiness())

    def _update(self, tx: Transaction) -> None:
        found = self._function(tx)
        if found is not None and not updating(found):
            config = replace(found.spec.config, timeout=self.made)
            tx.update(found, spec=replace(found.spec, config=config, generation=found.spec.generation + 1))

    def _publish(self, tx: Transaction) -> None:
        found = self._function(tx)
        if found is not None and not updating(found):
            publish(tx, found, f"r{self.made}")

    def _delete(self, tx: Transaction) -> None:
        kinds: tuple[Kind[Any, Any], ...] = (FUNCTION, VERSION)
        for kind in kinds:
            for record in tx.list(kind):
                tx.remove(record)

    @property
    def records(self) -> list[FunctionR | VersionR]:
        return [*self.store.list(FUNCTION), *self.store.list(VERSION)]

    def check(self) -> None:
        """What holds at any moment."""
        prepared = {function.id for function in self.functions.prepared}
        for record in self.records:
            serving = function_of(record)
            if record.kind == FUNCTION.name and serving is not None:
                assert serving.id in prepared, "nothing is served that was never prepared"
            if record.status.prepared:
                assert serving is not None and record.status.prepared == serving.id
            assert record.status.state != "Active" or serving is not None
            assert record.status.generation <= record.spec.generation

    def check_settled(self) -> None:
        """When nothing fails and everything has run."""
        for record in self.records:
            assert not updating(record)
            if record.status.update == "Successful":
                assert record.status.serving == record.spec.config and record.status.state == "Active"
            else:
                assert record.status.update_reason == "the archive is broken"
        current = {r.status.prepared for r in self.records if r.status.prepared}
        served = [f.id for f in self.functions.prepared]
        for id in set(self.functions.retired):
            assert id in served
            assert id not in current, "what is served is not retired"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(ACTIONS), max_size=25))
def test_functions_become_ready_through_faults_and_restarts(actions: list[str]) -> None:
    async def play() -> None:
        simulation = Simulation()
        for action in ("create", *actions):
            await simulation.do(action)
            simulation.check()
        for action in ("heal", "run", "restart", "run"):
            await simulation.do(action)
            simulation.check()
        simulation.check_settled()

    asyncio.run(play())


def test_snapshots_of_a_former_life_are_taken_again() -> None:
    async def play() -> None:
        simulation = Simulation(replace(CONFIG, runtime="python3.13", snap_start=True))
        for action in ("create", "run", "publish", "run", "run"):
            await simulation.do(action)

        def taken() -> int:
            return sum(function.snap_start for function in simulation.functions.prepared)

        assert taken() == 1 and len(simulation.functions.prepared) == 2
        for action in ("restart", "falter", "run", "restart", "heal", "run", "run"):
            await simulation.do(action)
        assert taken() == 2, "once a life, however often it is looked"
        for action in ("restart", "fail", "run", "run", "heal", "run"):
            await simulation.do(action)
        simulation.check_settled()
        assert taken() == 2, "what fails for good is told to who invokes"

    asyncio.run(play())


def test_ids_of_a_function_that_is_made_anew_are_others() -> None:
    async def play() -> None:
        simulation = Simulation()
        for action in ("create", "run", "delete", "run", "create", "run"):
            await simulation.do(action)
        [first, second] = simulation.functions.prepared
        assert first.id != second.id and simulation.functions.retired == [first.id]
        [record] = simulation.records
        assert compiled(record, record.spec.config).id == second.id

    asyncio.run(play())
