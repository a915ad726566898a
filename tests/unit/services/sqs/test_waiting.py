"""Who waits is given a message at once when there is one: by the virtual clock, to the millisecond."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from havre.kernel.resource import Meta, NoStatus, Resource
from havre.services.sqs.broker import Broker
from havre.services.sqs.live import Ask, Live
from havre.services.sqs.messages import Draft
from havre.services.sqs.resources import QueueSpec
from havre.store.memory import MemoryRecords

pytestmark = pytest.mark.looptime
RETENTION = 10_000_000_000


class Waiting:
    """A queue, and how long somebody waited for what he got."""

    def __init__(self, live: Live, broker: Broker) -> None:
        self.live, self.broker = live, broker
        self._ids = itertools.count()

    @classmethod
    async def begin(cls, fifo: bool = False) -> Waiting:
        broker = Broker(MemoryRecords())
        queue: Any = Resource("sqs.queue", Meta("arn", "1", "r", "q"), QueueSpec("u" * 24, fifo), NoStatus())
        return cls(await broker.live(queue), broker)

    @staticmethod
    def clock() -> float:
        return 1_000_000 + asyncio.get_running_loop().time()

    @property
    def now(self) -> int:
        return int(self.clock() * 1000)

    async def send(self, body: str, delay: int = 0, group: str = "") -> None:
        draft = Draft(body, {}, "", delay, group, body if group else "", len(body), "")
        ids = {"ids": lambda: str(next(self._ids)), "sender": "me", "scope": "queue"}
        await self.broker.send(self.live, [draft], now=self.now, **ids)

    async def receive(self, wait: float = 20, hidden: float = 30, **more: Any) -> tuple[list[str], float]:
        began = self.clock()
        ask = Ask(1, int(hidden * 1000), int(wait * 1000), RETENTION)
        found = await self.broker.receive(self.live, ask, self.clock, **more)
        return [envelope.body for _, envelope in found], round(self.clock() - began, 2)

    async def polling(self, **more: Any) -> asyncio.Task[tuple[list[str], float]]:
        task = asyncio.create_task(self.receive(**more))
        await asyncio.sleep(0.001)
        return task


async def test_nothing_comes() -> None:
    queue = await Waiting.begin()
    assert await queue.receive(wait=5) == ([], 5.0)
    assert await queue.receive(wait=0) == ([], 0.0)


async def test_a_message_comes() -> None:
    queue = await Waiting.begin()
    polling = await queue.polling()
    await asyncio.sleep(3)
    await queue.send("x")
    assert await polling == (["x"], 3.0)


async def test_a_delay_is_over() -> None:
    queue = await Waiting.begin()
    polling = await queue.polling()
    await queue.send("x", delay=7)
    assert await polling == (["x"], 7.0)


async def test_another_s_timeout_is_over() -> None:
    """It began while this one waited already."""
    queue = await Waiting.begin(fifo=True)
    await queue.send("a", group="g")
    await queue.send("b", group="g")
    assert (await queue.receive(hidden=12))[0] == ["a"]
    polling = await queue.polling()
    (message,) = [m for m in queue.live.queue.messages.values() if m.received]
    queue.live.queue.change(message.id, 1, 4_000, queue.now)
    queue.live.set_alarm(queue.now)
    assert await polling == (["a"], 4.0)


async def test_who_waits_longest_hears_of_what_comes_behind_others() -> None:
    """The first to wait leaves before the delay is over; the second is woken all the same."""
    queue = await Waiting.begin()
    first = await queue.polling(wait=2)
    second = await queue.polling(wait=15)
    await queue.send("x", delay=6)
    assert await first == ([], 2.0)
    assert await second == (["x"], 6.0)


async def test_a_deletion_unlocks_the_group_for_who_waits() -> None:
    queue = await Waiting.begin(fifo=True)
    await queue.send("a", group="g")
    await queue.send("b", group="g")
    await queue.receive()
    polling = await queue.polling()
    await asyncio.sleep(1)
    (message,) = [m for m in queue.live.queue.messages.values() if m.received]
    await queue.broker.delete(queue.live, [(message.id, 1)], queue.now)
    assert await polling == (["b"], 1.0)


async def test_who_has_hung_up_takes_nothing_along() -> None:
    queue = await Waiting.begin()
    gone = asyncio.Event()
    polling = await queue.polling(hung_up=gone.wait)
    other = await queue.polling()
    gone.set()
    assert await polling == ([], 0.0)
    await queue.send("x")
    assert await other == (["x"], 0.0)


async def test_who_is_cancelled_as_he_is_woken_wakes_the_next() -> None:
    queue = await Waiting.begin()
    first = await queue.polling()
    second = await queue.polling()
    await queue.send("x")
    first.cancel()
    assert await second == (["x"], 0.0)


async def test_waiting_for_a_locked_group_costs_nothing() -> None:
    """Several who wait do not wake one another in circles."""
    queue = await Waiting.begin(fifo=True)
    await queue.send("a", group="g")
    await queue.send("b", group="g")
    await queue.receive()
    takes = 0
    take = queue.broker._take

    def counted(*arguments: Any) -> Any:
        nonlocal takes
        takes += 1
        return take(*arguments)

    queue.broker._take = counted  # type: ignore[method-assign]
    polls = [await queue.polling(wait=20) for _ in range(5)]
    assert [await each for each in polls] == [([], 20.0)] * 5
    assert takes <= 20


async def test_the_end_of_the_queue_is_the_end_of_waiting() -> None:
    queue = await Waiting.begin()
    polling = await queue.polling()
    await queue.broker.drop(queue.live.uid)
    assert await polling == ([], 0.0)
