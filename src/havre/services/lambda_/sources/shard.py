"""One shard: read in order, handed to the function in as many lanes as the mapping says, and remembered how far."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Sequence

from msgspec.structs import replace

from havre.core.event_sources.filters import Filters
from havre.core.event_sources.retries import Progress, StreamRecord
from havre.core.event_sources.windows import Window
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.lambda_.sources.checkpoints import Checkpoints, CheckpointStatus
from havre.services.lambda_.sources.counts import FILTERED_OUT, POLLED
from havre.services.lambda_.sources.kinesis import name_shard
from havre.services.lambda_.sources.lane import Lane
from havre.services.lambda_.sources.reader import GONE, Expired, Reader, Trimmed
from havre.services.lambda_.sources.source import NOTHING, Access, Source, problem
from havre.services.lambda_.sources.turns import Turns

IDLE = 0.5
"""Seconds between looks at a shard that had nothing."""
LONGEST_WAIT = 20.0


class ShardWorker:
    def __init__(
        self, source: Source, shard: str, reader: Reader, access: Access, checkpoints: Checkpoints, turns: Turns
    ) -> None:
        self.source = source
        self.turns = turns
        self.shard = shard
        self.access = access
        self._reader = reader
        self._checkpoints = checkpoints
        self._filters = Filters(source.filters)
        self._progress = Progress()
        self._status = checkpoints.get(shard)
        self._writing = asyncio.Lock()
        self._lanes = [Lane(self, reader.info) for _ in range(source.lanes)]

    async def run(self) -> None:
        """Until the shard is closed and all of it has been dealt with. Raises a group of ApiError (``GONE``)."""
        if self._status.finished:
            return
        self._lanes[0].window = self._open_window()
        async with asyncio.TaskGroup() as group:
            lanes = [group.create_task(lane.run()) for lane in self._lanes]
            await self._read_all()
            for lane in self._lanes:
                await lane.drained()
            await self._save(replace(self._status, finished=True))
            for task in lanes:
                task.cancel()

    async def _read_all(self) -> None:
        after, iterator, wait = self._status.sequence, "", IDLE
        while True:
            try:
                if not iterator:
                    iterator = await self._reader.iterator(self.shard, after)
                read = await self._reader.read(iterator, self.source.batch)
                wait = IDLE
                self.access.count(POLLED, len(read.records))
            except Expired:
                iterator = ""
                continue
            except Trimmed:
                after, iterator = "", ""
                continue
            except Temporary as passing:
                await asyncio.sleep(max(IDLE, passing.after))
                continue
            except (ApiError, Permanent) as refusal:
                if isinstance(refusal, ApiError) and refusal.code == GONE:
                    raise
                self.access.report(problem(getattr(refusal, "message", "") or str(refusal)))
                await asyncio.sleep(wait)
                iterator, wait = "", min(LONGEST_WAIT, 2 * wait)
                continue
            if read.records:
                after = read.records[-1].sequence
                await self._hand_out(read.records)
            if read.next is None:
                return
            iterator = read.next
            if not read.records:
                if self._progress.idle:
                    self.access.report(NOTHING)
                await asyncio.sleep(IDLE)

    async def _hand_out(self, records: Sequence[StreamRecord]) -> None:
        self._progress.begin([r.sequence for r in records])
        refused = 0
        for record in records:
            name_shard(record.event, self.shard)
            if self._filters.admits(record.event):
                await self._lanes[zlib.crc32(record.partition.encode()) % len(self._lanes)].put(record)
            else:
                refused += 1
                await self.end((record,), self._lanes[0].window)
        if self.source.filters:
            self.access.count(FILTERED_OUT, refused)

    async def end(self, records: Sequence[StreamRecord], window: Window | None) -> None:
        """These need no more care; ``window`` is the open one. Durable when it returns."""
        reached = self._progress.end([r.sequence for r in records])
        status = self._status if reached is None else replace(self._status, sequence=reached)
        if window is None:
            status = replace(status, window=-1, state=b"")
        else:
            status = replace(status, window=window.start, state=json.dumps(window.state).encode())
        await self._save(status)

    async def _save(self, status: CheckpointStatus) -> None:
        self._status, before = status, self._status
        if status == before:
            return
        async with self._writing:
            while True:
                try:
                    await self._checkpoints.put(self.shard, self._status)
                    return
                except Temporary as passing:
                    await asyncio.sleep(max(IDLE, passing.after))

    def _open_window(self) -> Window | None:
        if not self.source.tumbling or self._status.window < 0:
            return None
        return Window(self._status.window, self.source.tumbling, json.loads(self._status.state or b"null"))
