"""Delivers what transactions put into the outbox: at least once, in order within a topic."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from havre.kernel.errors import Temporary
from havre.kernel.world import World
from havre.store.ports import OutboxMessage, Store

log = logging.getLogger("havre.control")

Deliver = Callable[[Sequence[OutboxMessage]], Awaitable[None]]
"""Takes a batch. Must bear to see a message again; what it raises leaves the batch in the outbox."""
BATCH = 1000
FIRST_BACK_OFF = 0.2
LONGEST_BACK_OFF = 30.0


class Deliveries:
    """A loop: topic → who takes its messages. A topic that fails does not hold up the others."""

    def __init__(self, store: Store, world: World, handlers: Mapping[str, Deliver]) -> None:
        self._store = store
        self._world = world
        self._handlers = handlers
        self.last: float | None = None
        """When a batch was delivered last, in seconds since the epoch."""

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for topic, deliver in self._handlers.items():
                group.create_task(self._serve(topic, deliver), name=f"outbox-{topic}")

    async def _serve(self, topic: str, deliver: Deliver) -> None:
        after = failures = 0
        while True:
            after = await self._store.emitted(topic, after)
            while True:
                try:
                    if not await self.deliver_once(topic, deliver):
                        break
                    failures = 0
                except Exception as error:
                    failures += 1
                    delay = min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** min(failures - 1, 20))
                    log.warning("outbox %s: %s; again in %.1f s", topic, error, delay, exc_info=_bug(error))
                    await asyncio.sleep(delay)

    async def deliver_once(self, topic: str, deliver: Deliver) -> int:
        """One batch; gives how many messages it had."""
        batch = await self._store.outbox(topic, BATCH)
        if batch:
            await deliver(batch)
            await self._store.delivered(topic, batch[-1].id)
            self.last = self._world.now()
        return len(batch)


def _bug(error: Exception) -> Exception | None:
    return None if isinstance(error, Temporary) else error
