"""What queues need besides requests, by the virtual clock."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from random import Random

import pytest

from havre.kernel.errors import Temporary
from havre.kernel.resource import NoStatus
from havre.kernel.world import World
from havre.services.sqs.broker import Broker
from havre.services.sqs.messages import Draft
from havre.services.sqs.resources import KINDS, MOVE, QUEUE, Move, MoveSpec, MoveStatus, Queue, QueueSpec, Redrive
from havre.services.sqs.upkeep import Upkeep
from havre.store.memory import MemoryRecords, MemoryStore
from havre.store.ports import Put

pytestmark = pytest.mark.looptime


class Kept:
    def __init__(self) -> None:
        self.world = World(lambda: 1_000_000 + asyncio.get_running_loop().time(), Random(1))
        self.store = MemoryStore(KINDS, self.world)
        self.records = MemoryRecords()
        self.broker = Broker(self.records)
        self.task: asyncio.Task[None] | None = None
        self._ids = itertools.count()

    async def begin(self) -> None:
        """A life of the process: what is in memory is gone."""
        await self.end()
        self.broker = Broker(self.records)
        self.task = asyncio.create_task(Upkeep(self.broker, self.store, self.world).run())
        await asyncio.sleep(0.01)

    async def end(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])

    async def queue(self, name: str, **spec: object) -> Queue:
        made = QueueSpec(f"uid-{name}", **spec)  # type: ignore[arg-type]
        arn = f"arn:aws:sqs:r:1:{name}"
        return await self.store.transact(
            lambda tx: tx.create(QUEUE, account="1", region="r", name=name, arn=arn, spec=made, status=NoStatus())
        )

    async def send(self, queue: Queue, *bodies: str) -> None:
        drafts = [Draft(b, {}, "", 0, "", "", 1, "") for b in bodies]
        now = int(self.world.now() * 1000)
        live = await self.broker.live(queue)
        await self.broker.send(live, drafts, ids=lambda: str(next(self._ids)), sender="me", scope="queue", now=now)

    async def count(self, queue: Queue) -> int:
        return len((await self.broker.live(queue)).queue.messages)

    async def move(self, source: Queue, target: Queue, rate: int = 0, total: int = 10) -> Move:
        spec = MoveSpec(source.meta.arn, target.meta.arn, rate, total)
        return await self.store.transact(
            lambda tx: tx.create(MOVE, account="1", region="r", name="t", arn="t", spec=spec, status=MoveStatus())
        )

    def moves(self) -> Sequence[MoveStatus]:
        return [each.status for each in self.store.list(MOVE)]


@pytest.fixture
async def kept() -> AsyncIterator[Kept]:
    made = Kept()
    yield made
    await made.end()


async def test_messages_of_queues_that_are_gone_go_at_the_start(kept: Kept) -> None:
    queue = await kept.queue("q")
    await kept.send(queue, "x")
    kept.records.write([Put("sqs/lost", 1, b""), Put("sqs/lost/counts", 1, b""), Put("others", 1, b"")], lambda _: None)
    await kept.begin()
    assert kept.records.shelves("") == ["others", "sqs/uid-q"]


async def test_a_queue_that_is_removed_takes_its_messages_along(kept: Kept) -> None:
    await kept.begin()
    await kept.send(await kept.queue("q"), "x")
    await kept.store.reset()
    await asyncio.sleep(0.01)
    assert kept.records.shelves("sqs/") == [] and kept.broker.lives == {}


async def test_what_is_too_old_goes_although_nobody_asks(kept: Kept) -> None:
    await kept.begin()
    queue = await kept.queue("q", retention=100)
    await kept.send(queue, "x")
    await asyncio.sleep(170)
    assert kept.records.heads("sqs/uid-q") == []


async def test_a_move_goes_on_after_a_crash(kept: Kept) -> None:
    await kept.begin()
    target = await kept.queue("target")
    source = await kept.queue("source")
    await kept.queue("origin", redrive=Redrive(source.meta.arn, 1))
    await kept.send(source, *map(str, range(10)))
    await kept.move(source, target, rate=2)
    await asyncio.sleep(2.5)
    assert 0 < await kept.count(target) < 10
    assert await kept.count(source) + await kept.count(target) == 10
    await kept.begin()
    await asyncio.sleep(20)
    assert [(s.state, s.moved) for s in kept.moves()] == [("COMPLETED", 10)]
    assert await kept.count(target) == 10


async def test_a_move_waits_for_the_disk(kept: Kept) -> None:
    await kept.begin()
    target, source = await kept.queue("target"), await kept.queue("source")
    await kept.send(source, "x")
    refusals = 2

    def refuse() -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise Temporary("full", 5)

    kept.records.fault = refuse
    await kept.move(source, target, total=1)
    await asyncio.sleep(200)
    assert [(s.state, s.moved) for s in kept.moves()] == [("COMPLETED", 1)]
    assert (await kept.count(source), await kept.count(target)) == (0, 1)


async def test_a_move_ends_with_its_source(kept: Kept) -> None:
    await kept.begin()
    target, source = await kept.queue("target"), await kept.queue("source")
    await kept.send(source, "x", "y")
    await kept.move(source, target, rate=1)
    await asyncio.sleep(0.5)
    await kept.store.transact(lambda tx: tx.remove(source))
    await asyncio.sleep(5)
    assert [s.state for s in kept.moves()] == ["FAILED"]


async def test_what_the_disk_refused_is_done_in_the_next_life_of_the_loop(kept: Kept) -> None:
    await kept.begin()
    queue = await kept.queue("q")
    await kept.send(queue, "x")

    def refuse() -> None:
        raise Temporary("full")

    kept.records.fault = refuse
    await kept.store.transact(lambda tx: tx.remove(queue))
    await asyncio.sleep(0.01)
    assert kept.task is not None and isinstance(kept.task.exception(), Temporary)
    kept.records.fault = None
    await kept.begin()
    assert kept.records.shelves("sqs/") == []
