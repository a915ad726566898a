"""All shards of a stream, each by a worker of its own; children of a shard when their parents are done with."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from havre.control.tasks import Tasks
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.lambda_.sources.checkpoints import Checkpoints
from havre.services.lambda_.sources.reader import GONE, Reader, Shard
from havre.services.lambda_.sources.shard import ShardWorker
from havre.services.lambda_.sources.source import Access, Source, problem
from havre.services.lambda_.sources.turns import Turns

log = logging.getLogger("havre.lambda")

LOOK = 5.0
"""Seconds between looks at which shards there are."""
SOON = 0.2
"""The same while a shard has just ended."""


class StreamPoller:
    def __init__(self, source: Source, reader: Reader, access: Access, checkpoints: Checkpoints) -> None:
        self._source = source
        self._reader = reader
        self._access = access
        self._checkpoints = checkpoints
        self._workers = Tasks()
        self._turns = Turns()
        self._running: set[str] = set()
        self._missed: set[str] = set()
        """Shards that were not there any more when they were read."""

    def finish(self) -> None:
        """Let ``run`` return as soon as the function has nothing of this stream any more."""
        self._turns.end()

    async def run(self) -> None:
        """Until ``finish``. Cancelled, it lets go: what is under way comes once more."""
        try:
            while not self._turns.over:
                before = len(self._running)
                try:
                    await self._look()
                except (ApiError, Temporary, Permanent) as refusal:
                    self._access.report(problem(getattr(refusal, "message", "") or str(refusal)))
                await self._turns.wait(SOON if len(self._running) < before else LOOK)
            await self._turns.settle()
        finally:
            await self._workers.close()

    async def _look(self) -> None:
        """Raises ApiError, Temporary, Permanent."""
        try:
            shards = await self._reader.shards()
        except ApiError as refusal:
            if refusal.code == GONE:
                await self._forget()
            raise
        if self._missed & {shard.id for shard in shards}:
            await self._forget()
        self._missed.clear()
        self._start(shards)

    async def _forget(self) -> None:
        """The stream has been deleted, and may have been made again: what was read of it says nothing any more. Raises
        Temporary."""
        await self._workers.close()
        await self._checkpoints.forget()
        self._missed.clear()

    def _start(self, shards: Sequence[Shard]) -> None:
        known = {shard.id for shard in shards}
        for shard in shards:
            if shard.id in self._running or self._checkpoints.get(shard.id).finished:
                continue
            if all(p not in known or self._checkpoints.get(p).finished for p in shard.parents):
                self._running.add(shard.id)
                self._workers.spawn(self._work(shard.id), f"{self._source.arn} {shard.id}")

    async def _work(self, shard: str) -> None:
        worker = ShardWorker(self._source, shard, self._reader, self._access, self._checkpoints, self._turns)
        try:
            await worker.run()
        except* ApiError as gone:
            log.info("%s of %s is gone: %s", shard, self._source.arn, gone.exceptions[0])
            self._missed.add(shard)
            self._turns.wake()
        finally:
            self._running.discard(shard)
