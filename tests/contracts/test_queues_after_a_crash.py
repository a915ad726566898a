"""Queues on the real disk: what a kill at any instant leaves of them."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from havre.core.queueing import Message
from havre.kernel.resource import Meta, NoStatus, Resource
from havre.services.sqs.broker import Broker
from havre.services.sqs.live import Ask, Live
from havre.services.sqs.messages import Draft, Envelope
from havre.services.sqs.resources import Queue, QueueSpec
from havre.store.sqlite import SqliteRecords

RETENTION = 10_000_000_000


class Lives:
    """One queue in one life after another. Between two of them the file is copied as a kill would leave it."""

    def __init__(self, where: Path, fifo: bool) -> None:
        self._where = where
        self._number = 0
        self.queue: Queue = Resource("sqs.queue", Meta("arn", "1", "r", "q"), QueueSpec("u" * 24, fifo), NoStatus())
        self.records = SqliteRecords(where / "0" / "records.db")
        self.broker = Broker(self.records)
        self.now = 1_000_000
        self._ids = itertools.count()
        self.old: list[SqliteRecords] = []

    def kill(self) -> None:
        """What is under way may or may not be on the disk; what was acknowledged is."""
        before, self._number = self._where / str(self._number), self._number + 1
        after = self._where / str(self._number)
        after.mkdir()
        for each in before.glob("records.db*"):
            if not each.name.endswith(".lock"):
                shutil.copy(each, after / each.name)
        self.old.append(self.records)
        self.records = SqliteRecords(after / "records.db")
        self.broker = Broker(self.records)

    async def live(self) -> Live:
        return await self.broker.live(self.queue)

    async def send(self, *bodies: str, group: str = "g", dedup: Callable[[str], str] = str) -> Sequence[str]:
        fifo = self.queue.spec.fifo
        drafts = [Draft(b, {}, "", 0, group if fifo else "", dedup(b) if fifo else "", len(b), "") for b in bodies]
        told = await self.broker.send(
            await self.live(), drafts, ids=lambda: f"m{next(self._ids)}", sender="me", scope="queue", now=self.now
        )
        return [each.message_id for each in told]

    async def receive(self, most: int = 10, lives: int = 0) -> Sequence[tuple[Message, Envelope]]:
        live = await self.live()
        ask = Ask(most, 30_000, 0, RETENTION, lives, live if lives else None)
        return await self.broker.receive(live, ask, lambda: self.now / 1000)

    async def bodies(self, most: int = 10) -> list[str]:
        return [envelope.body for _, envelope in await self.receive(most)]

    async def delete(self, *received: tuple[Message, Envelope]) -> Sequence[bool]:
        receipts = [(m.id, m.received) for m, _ in received]
        return await self.broker.delete(await self.live(), receipts, self.now)


@pytest.fixture(params=[False, True], ids=["standard", "fifo"])
async def lives(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Lives]:
    made = Lives(tmp_path, request.param)
    (tmp_path / "0").mkdir()
    yield made
    for each in (*made.old, made.records):
        await each.close()


async def test_what_was_acknowledged_is_there_and_in_order(lives: Lives) -> None:
    await lives.send(*map(str, range(5)))
    lives.kill()
    await lives.send("5")
    lives.kill()
    assert await lives.bodies() == [str(n) for n in range(6)]


async def test_what_was_in_flight_is_visible_again_and_what_was_deleted_is_not(lives: Lives) -> None:
    await lives.send("a", "b", "c")
    received = await lives.receive(2)
    await lives.delete(received[0])
    lives.kill()
    assert await lives.bodies() == ["b", "c"]


async def test_a_receipt_from_before_the_crash_deletes(lives: Lives) -> None:
    await lives.send("a")
    (received,) = await lives.receive()
    lives.kill()
    assert await lives.delete(received) == [True]
    assert await lives.bodies() == []


async def test_counts_of_receives_are_remembered_where_dead_letters_are_made(lives: Lives) -> None:
    await lives.send("a")
    for _ in range(2):
        await lives.receive(lives=3)
        lives.now += 31_000
    await lives.send("b", group="h")  # behind what was written behind
    lives.kill()
    live = await lives.live()
    assert sorted(m.received for m in live.queue.messages.values()) == [0, 2]


async def test_deduplication_and_sequence_survive(lives: Lives) -> None:
    if not lives.queue.spec.fifo:
        pytest.skip("standard queues know no deduplication")
    first = await lives.send("a")
    received = await lives.receive()
    await lives.delete(*received)
    lives.kill()
    assert await lives.send("a") == first
    assert await lives.bodies() == []
    lives.now += 300_001
    await lives.send("a")
    ((message, _),) = await lives.receive()
    assert message.id > received[0][0].id


async def test_a_purge_and_a_removal_stand(lives: Lives) -> None:
    await lives.send("a", "b")
    await lives.broker.purge(await lives.live())
    await lives.send("c")
    lives.kill()
    assert await lives.bodies() == ["c"]
    await lives.broker.drop(lives.queue.spec.uid)
    lives.kill()
    assert lives.records.shelves("") == []


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_lost_and_no_group_loses_its_order(lives: Lives, seed: int) -> None:
    """Senders and receivers side by side, killed again and again, in the middle of whatever they do."""
    chance = Random(seed)
    sent: list[str] = []
    seen: list[str] = []
    number = 0

    async def send() -> None:
        nonlocal number
        while True:
            bodies = [str(number + n) for n in range(chance.randint(1, 5))]
            number += len(bodies)
            await lives.send(*bodies)
            sent.extend(bodies)

    async def receive() -> None:
        while True:
            received = await lives.receive(chance.randint(1, 5))
            seen.extend(envelope.body for _, envelope in received)
            await lives.delete(*received)
            await asyncio.sleep(0)

    for _ in range(6):
        work = [asyncio.create_task(send()), asyncio.create_task(receive())]
        for _ in range(chance.randint(5, 60)):
            await asyncio.sleep(0)
        lives.kill()
        for each in work:
            each.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    while received := await lives.receive():
        seen.extend(envelope.body for _, envelope in received)
        await lives.delete(*received)
    assert set(sent) <= set(seen)
    first_seen = list(dict.fromkeys(seen))
    if lives.queue.spec.fifo:
        assert first_seen == sorted(first_seen, key=int), "a message was first received after one behind it"
