"""The outbox: delivered at least once, in order, whatever fails; nobody waits for another topic."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

from havre.control.outbox import BATCH, Deliveries
from havre.kernel.errors import Temporary
from havre.kernel.world import World
from havre.store.memory import MemoryStore
from havre.store.ports import OutboxMessage

pytestmark = pytest.mark.looptime


def make() -> tuple[MemoryStore, World]:
    world = World(lambda: asyncio.get_running_loop().time(), Random(1))
    return MemoryStore([], world), world


async def emit(store: MemoryStore, topic: str, *payloads: bytes) -> None:
    def change(tx: object) -> None:
        for payload in payloads:
            tx.emit(topic, payload)  # type: ignore[attr-defined]

    await store.transact(change)


class Taker:
    """``trouble`` is raised by the next deliveries; ``late``: after the batch was taken (its answer is lost)."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.trouble: list[Exception] = []
        self.late = False
        self.times: list[float] = []

    async def __call__(self, batch: Sequence[OutboxMessage]) -> None:
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.01)
        if self.trouble and not self.late:
            raise self.trouble.pop()
        self.taken += [message.payload for message in batch]
        if self.trouble:
            raise self.trouble.pop()


async def test_what_is_emitted_while_a_batch_is_delivered_is_delivered_too() -> None:
    store, world = make()
    taker = Taker()
    loop = asyncio.create_task(Deliveries(store, world, {"t": taker}).run())
    for n in range(50):
        await emit(store, "t", b"%d" % n)
        await asyncio.sleep(0.007)
    await asyncio.sleep(1)
    assert taker.taken == [b"%d" % n for n in range(50)]
    assert await store.outbox("t") == []
    loop.cancel()


async def test_what_a_former_life_left_is_delivered_in_batches() -> None:
    store, world = make()
    await emit(store, "t", *(b"%d" % n for n in range(2 * BATCH + 1)))
    taker = Taker()
    loop = asyncio.create_task(Deliveries(store, world, {"t": taker}).run())
    await asyncio.sleep(1)
    assert len(taker.taken) == 2 * BATCH + 1 and len(taker.times) == 3
    loop.cancel()


@pytest.mark.parametrize("late", [False, True])
async def test_a_failure_is_tried_again_with_back_off_and_in_order(late: bool) -> None:
    store, world = make()
    taker = Taker()
    taker.late, taker.trouble = late, [Temporary("not now"), ZeroDivisionError(), Temporary("not now")]
    loop = asyncio.create_task(Deliveries(store, world, {"t": taker}).run())
    await emit(store, "t", b"1", b"2")
    await asyncio.sleep(0.3)
    await emit(store, "t", b"3")
    await asyncio.sleep(60)
    assert list(dict.fromkeys(taker.taken)) == [b"1", b"2", b"3"]
    waits = [b - a for a, b in zip(taker.times, taker.times[1:], strict=False)]
    assert waits[:3] == sorted(waits[:3]) and waits[2] > 2 * waits[0]
    loop.cancel()


async def test_a_topic_that_fails_holds_up_no_other() -> None:
    store, world = make()
    good, bad = Taker(), Taker()
    bad.trouble = [Temporary("never")] * 1000
    deliveries = Deliveries(store, world, {"good": good, "bad": bad})
    loop = asyncio.create_task(deliveries.run())
    await emit(store, "bad", b"x")
    await emit(store, "good", b"y")
    await asyncio.sleep(300)
    assert good.taken == [b"y"] and bad.taken == [] and len(bad.times) < 30
    assert deliveries.last is not None and deliveries.last < 1
    loop.cancel()
