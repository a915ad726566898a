"""What queues need besides requests: message move tasks, retention, and the messages of queues that are gone."""

from __future__ import annotations

import asyncio

from havre.control.tasks import Tasks
from havre.kernel.world import World
from havre.services.sqs.broker import Broker
from havre.services.sqs.live import SHELVES, milliseconds
from havre.services.sqs.redriving import Redriver
from havre.services.sqs.resources import ACTIVE, MOVE, QUEUE, Move
from havre.store.ports import Change, Store

EVERY = 60.0
"""Seconds between two looks at what is too old. (Who receives or counts looks for himself.)"""


class Upkeep:
    def __init__(self, broker: Broker, store: Store, world: World) -> None:
        self._broker = broker
        self._store = store
        self._world = world
        self._redriver = Redriver(broker, store, world)
        self._tasks = Tasks()
        self._moving: set[str] = set()
        self.progress: float | None = None

    async def run(self) -> None:
        changes = self._store.subscribe([QUEUE.name, MOVE.name])
        try:
            await self._begin()
            while True:
                self.progress = self._world.now()
                try:
                    async with asyncio.timeout(EVERY):
                        batch = await anext(changes)
                except TimeoutError:
                    self._expire()
                    continue
                for change in batch:
                    await self._hear(change)
        finally:
            changes.close()
            await self._tasks.close()

    async def _begin(self) -> None:
        """What a former life has left: messages of queues that are gone, tasks that were under way."""
        known = {queue.spec.uid for queue in self._store.list(QUEUE)}
        left = {shelf.removeprefix(SHELVES).partition("/")[0] for shelf in self._broker.records.shelves(SHELVES)}
        for uid in left - known:
            await self._broker.drop(uid)
        for task in self._store.list(MOVE):
            self._move(task)

    async def _hear(self, change: Change) -> None:
        if change.key.kind == MOVE.name:
            if change.new is not None:
                self._move(change.new)
        elif change.new is None and change.old is not None:
            await self._broker.drop(change.old.spec.uid)

    def _move(self, task: Move) -> None:
        """Have it carried out, once. What is heard of it may be long past."""
        meta = task.meta
        found = self._store.get(MOVE, meta.account, meta.region, meta.name)
        if found is not None and found.status.state in ACTIVE and meta.name not in self._moving:
            self._moving.add(meta.name)
            work = self._tasks.spawn(self._redriver.run(found), f"message move task {meta.name}")
            work.add_done_callback(lambda _: self._moving.discard(meta.name))

    def _expire(self) -> None:
        now = self._world.now()
        for queue in self._store.list(QUEUE):
            live = self._broker.lives.get(queue.spec.uid)
            if live is not None and live.loading is None:
                self._broker.expire(live, milliseconds(now - queue.spec.retention))
