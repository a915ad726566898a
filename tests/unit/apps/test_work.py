"""Services whose work begins with what there is of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from havre.apps.work import Work, Workers
from havre.control.supervisor import Loop
from havre.kernel.effects import Plan
from havre.kernel.resource import NoStatus
from havre.kernel.world import World
from havre.services import catalogue
from havre.services.iam.resources import GROUP, Group
from havre.services.sqs.resources import QUEUE
from havre.store.memory import MemoryStore
from havre.store.ports import Change, Transaction

WORLD = World(time.time, Random(1))


class Looking:
    """A reconciler that only looks."""

    name, watches, resync, executors = "looking", (GROUP.name,), 0.0, ()

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.seen: list[Hashable] = []

    def keys_of(self, change: Change) -> Iterable[Hashable]:
        return [change.key.name]

    def all_keys(self) -> Iterable[Hashable]:
        return [r.meta.name for r in self._store.list(GROUP)]

    def key_of(self, arn: str) -> Hashable | None:
        return arn.rpartition("/")[2] if ":group/" in arn else None

    async def observe(self, key: Hashable) -> Hashable:
        self.seen.append(key)
        return key

    def decide(self, seen: Hashable) -> Plan:
        return Plan(reasons=(f"{seen} was looked at",))


def a_group(name: str) -> Callable[[Transaction], None]:
    def make(tx: Transaction) -> None:
        arn = f"arn:aws:iam::000000000000:group/{name}"
        spec = Group(name, "AGPA")
        tx.create(GROUP, account="000000000000", region="", name=name, arn=arn, spec=spec, status=NoStatus())

    return make


class Ground:
    """``made`` are the services whose work was made, in order."""

    def __init__(self) -> None:
        self.store = MemoryStore(catalogue.kinds(), WORLD)
        self.looking = Looking(self.store)
        self.made: list[str] = []
        self.loops: dict[str, list[Loop]] = {}
        self.workers = Workers(
            self.store, WORLD, self._make, {GROUP.name: "iam", QUEUE.name: "sqs"}, companion="cloudwatch"
        )

    def _make(self, name: str) -> Work:
        self.made.append(name)
        reconcilers: list[Any] = [self.looking] if name == "iam" else []
        return Work(reconcilers, self.loops.get(name, []))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.001)


@asynccontextmanager
async def running(ground: Ground, *first: str) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.ensure_future(ground.workers.run(first))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_work_begins_with_the_first_of_its_kind() -> None:
    ground = Ground()
    async with running(ground):
        assert await ground.workers.explain("arn:aws:iam::0:group/a") == ["Havre is starting."]
        await asyncio.sleep(0.01)
        assert ground.made == [] and ground.workers.health() == {} and ground.workers.last() is None
        await ground.store.transact(a_group("a"))
        await ground.until(lambda: ground.looking.seen == ["a"])
        await ground.store.transact(a_group("b"))
        await ground.until(lambda: ground.looking.seen == ["a", "b"])
        assert ground.made == ["iam", "cloudwatch"], "once each"
        assert set(ground.workers.health()) == {"reconcilers of iam", "looking"}
        assert ground.workers.last() is not None
        assert await ground.workers.explain("arn:aws:iam::0:group/a") == ["a was looked at"]


async def test_what_is_there_already_is_worked_on_at_once() -> None:
    ground = Ground()
    await ground.store.transact(a_group("a"))
    async with running(ground, "sqs"):
        await ground.until(lambda: ground.looking.seen == ["a"])
        assert ground.made == ["sqs", "cloudwatch", "iam"]


async def test_a_service_may_be_in_use_without_the_store() -> None:
    ground = Ground()
    ground.loops["sqs"] = [Loop("queues", asyncio.Event().wait)]  # type: ignore[arg-type]
    async with running(ground):
        ground.workers.use("sqs")
        await ground.until(lambda: "queues" in ground.workers.health())


async def test_the_end_of_a_loop_that_may_not_end_is_the_end_of_all() -> None:
    async def breaks() -> None:
        raise RuntimeError("it broke")

    ground = Ground()
    ground.loops["sqs"] = [Loop("queues", breaks)]
    async with running(ground) as task:
        ground.workers.use("sqs")
        await asyncio.wait([task], timeout=10)
        with pytest.raises(ExceptionGroup, match="unhandled errors") as caught:
            await task
        assert "it broke" in str(caught.value.exceptions[0])


def test_whatever_works_unasked_begins_with_a_kind() -> None:
    """Or nobody would ever begin it."""
    begun = set(catalogue.services_of_kinds().values())
    for name in catalogue.NAMES:
        package = catalogue.package(name)
        assert name in begun or not (hasattr(package, "reconcilers") or hasattr(package, "loops")), name
