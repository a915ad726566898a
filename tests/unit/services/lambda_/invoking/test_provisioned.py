"""Environments that are kept initialised."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.services.lambda_.invoking.invoking_fakes import (
    ACCOUNT,
    REGION,
    FakeFunctions,
    make_alias,
    make_function,
    make_version,
)
from tests.unit.services.metrics_fakes import CountedMetrics

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Site
from havre.control.runner import Runner
from havre.core.invoking.split import split
from havre.kernel.function import Invocation, Provisioned
from havre.kernel.world import World
from havre.services.lambda_ import limits
from havre.services.lambda_.facilities import Facilities
from havre.services.lambda_.reconcile.provisioned import Provisioning
from havre.services.lambda_.resources import (
    ALIAS,
    FUNCTION,
    KINDS,
    PROVISIONED,
    ProvisionedSpec,
    ProvisionedStatus,
    qualified,
)
from havre.store.memory import MemoryRecords, MemoryStore


@given(st.integers(1, 500), st.lists(st.floats(0.0, 1.0), max_size=1))
def test_the_parts_are_the_whole(count: int, weights: list[float]) -> None:
    shares = [("1", 1.0 - sum(weights)), *((str(n), w) for n, w in enumerate(weights, 2))]
    parts = split(count, shares)
    assert sum(parts.values()) == count
    for version, share in shares:
        assert abs(parts.get(version, 0) - count * share) <= 1


class Scene:
    def __init__(self) -> None:
        self.now = 0.0
        self.world = World(lambda: self.now, Random(1))
        self.store = MemoryStore(KINDS, self.world)
        self.functions = FakeFunctions()
        self.metrics = CountedMetrics()
        self.facilities = Facilities(functions=self.functions, records=MemoryRecords(), metrics=self.metrics)
        self.start()

    def start(self) -> None:
        deps = ReconcilerDeps(self.store, None, self.world, Site(), None)  # type: ignore[arg-type]
        self.runner = Runner([Provisioning(deps, self.facilities)], self.store, self.world)

    async def change(self, *changes: Any) -> None:
        await self.store.transact(lambda tx: [change(tx) for change in changes] and None)

    async def want(self, qualifier: str, count: int, token: str = "t") -> None:
        spec = ProvisionedSpec("f", qualifier, count, 0.0, token)
        key = {"account": ACCOUNT, "region": REGION, "name": qualified("f", qualifier), "arn": ""}
        await self.change(lambda tx: tx.create(PROVISIONED, spec=spec, status=ProvisionedStatus(), **key))

    async def pass_time(self, seconds: float = 20.0) -> None:
        end = self.now + seconds
        while True:
            await self.runner.drain()
            when = self.runner.next_time()
            if when is None or when > end:
                self.now = end
                return
            self.now = max(self.now, when)

    def all_ready(self) -> None:
        self.functions.kept = {id: Provisioned(n, n) for id, n in self.functions.wanted.items() if n}

    def status(self, qualifier: str) -> ProvisionedStatus:
        found = self.store.get(PROVISIONED, ACCOUNT, REGION, qualified("f", qualifier))
        assert found is not None
        return found.status


@pytest.fixture
async def scene() -> Scene:
    made = Scene()
    await made.change(make_function, lambda tx: make_version(tx, "1"), lambda tx: make_version(tx, "2"))
    return made


async def test_a_version_is_kept_ready(scene: Scene) -> None:
    await scene.want("1", 3)
    await scene.pass_time(1)
    assert list(scene.functions.wanted.values()) == [3]
    id = next(iter(scene.functions.wanted))
    scene.functions.kept = {id: Provisioned(3, 1)}
    await scene.pass_time(1)
    assert (scene.status("1").allocated, scene.status("1").available) == (3, 1)
    scene.all_ready()
    await scene.pass_time(1)
    assert scene.status("1") == ProvisionedStatus("t", 3, 3, "", (id,))


async def test_why_environments_are_missing(scene: Scene) -> None:
    await scene.want("1", 3)
    await scene.pass_time(1)
    scene.functions.kept = {id: Provisioned(3, 0, "the handler cannot be imported") for id in scene.functions.wanted}
    await scene.pass_time(1)
    assert scene.status("1").reason == "the handler cannot be imported"


async def test_what_is_not_wanted_any_more_goes(scene: Scene) -> None:
    await scene.want("1", 3)
    await scene.pass_time(1)
    scene.all_ready()
    found = scene.store.get(PROVISIONED, ACCOUNT, REGION, "f:1")
    await scene.change(lambda tx: tx.remove(found))
    await scene.pass_time(1)
    assert list(scene.functions.wanted.values()) == [0]


async def test_an_alias_that_moves_takes_its_environments_along(scene: Scene) -> None:
    await scene.change(lambda tx: make_alias(tx, "live", "1"))
    await scene.want("live", 4)
    await scene.pass_time(1)
    scene.all_ready()
    await scene.pass_time(1)
    (first,) = scene.functions.wanted
    alias = scene.store.get(ALIAS, ACCOUNT, REGION, "f:live")
    assert alias is not None
    moved = type(alias.spec)("f", "live", "2", "rev2")
    await scene.change(lambda tx: tx.update(alias, spec=moved))
    await scene.pass_time(1)
    (second,) = [id for id in scene.functions.wanted if id != first]
    assert scene.functions.wanted == {first: 4, second: 4}, "the old ones stay until the new ones are there"
    scene.all_ready()
    await scene.pass_time(1)
    assert scene.functions.wanted == {first: 0, second: 4}


async def test_an_alias_with_weights(scene: Scene) -> None:
    await scene.change(lambda tx: make_alias(tx, "live", "1", v2=0.25))
    await scene.want("live", 8)
    await scene.pass_time(1)
    assert sorted(scene.functions.wanted.values()) == [2, 6]


async def test_a_new_process_asks_again(scene: Scene) -> None:
    await scene.want("1", 3)
    await scene.pass_time(1)
    scene.functions.wanted.clear()
    scene.start()
    await scene.pass_time(1)
    assert list(scene.functions.wanted.values()) == [3]


async def test_a_function_that_is_gone(scene: Scene) -> None:
    await scene.want("1", 3)
    await scene.pass_time(1)
    gone = [scene.store.get(FUNCTION, ACCOUNT, REGION, "f"), scene.store.get(PROVISIONED, ACCOUNT, REGION, "f:1")]
    await scene.change(*(lambda tx, each=each: tx.remove(each) for each in gone))
    await scene.pass_time(1)
    assert list(scene.functions.wanted.values()) == [0]


async def test_invocations_use_what_is_kept(scene: Scene) -> None:
    await scene.want("1", 2)
    await scene.pass_time(1)
    scene.all_ready()
    assert limits.reserved(scene.store, ACCOUNT, REGION) == 2
    invoking = scene.facilities.open_invoking(scene.store, scene.world)
    target = invoking.invoker.find(ACCOUNT, REGION, "f", "1")
    served = invoking.invoker.draw(target)
    admissions = [invoking.invoker.admit(target, served, True) for _ in range(3)]
    assert [each.provisioned for each in admissions] == [True, True, False]
    await invoking.invoker.invoke(target, Invocation("id", target.arn))
    assert invoking.invoker.concurrency(ACCOUNT, REGION).running("f") == 3
    of = partial(scene.metrics.of, FunctionName="f", Resource="f:1")
    assert of("ProvisionedConcurrencyInvocations") == {1.0: 2.0}
    assert of("ProvisionedConcurrencySpilloverInvocations") == {1.0: 2.0}
    assert of("ProvisionedConcurrentExecutions") == {1.0: 1.0, 2.0: 3.0}
    assert of("ProvisionedConcurrencyUtilization") == {0.5: 1.0, 1.0: 3.0}
    assert of("ConcurrentExecutions") == {1.0: 1.0, 2.0: 1.0, 3.0: 1.0, 4.0: 1.0}
    assert scene.metrics.of("UnreservedConcurrentExecutions") == {0.0: 2.0, 1.0: 1.0, 2.0: 1.0}
    assert scene.metrics.of("ClaimedAccountConcurrency") == {2.0: 2.0, 3.0: 1.0, 4.0: 1.0}


async def test_what_is_kept_ready_is_taken_from_the_reservation(scene: Scene) -> None:
    function = scene.store.get(FUNCTION, ACCOUNT, REGION, "f")
    assert function is not None
    await scene.change(lambda tx: tx.update(function, spec=replace(function.spec, reserved=3)))
    await scene.want("1", 2)
    await scene.pass_time(1)
    targets = scene.facilities.open_invoking(scene.store, scene.world).invoker.targets

    def held(qualifier: str) -> int:
        served = targets.find(ACCOUNT, REGION, "f", qualifier).draw(0.0)
        return targets.share(served).held

    assert (held(""), held("1")) == (0, 0)
    scene.all_ready()
    await scene.pass_time(1)
    assert (held(""), held("1"), held("2")) == (2, 2, 2)
