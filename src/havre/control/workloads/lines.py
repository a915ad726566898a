"""Containers' lines on their way from the engine to the spool: each told where it belongs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from havre.control.nodelink.spool import Spool
from havre.control.tasks import Tasks
from havre.control.workloads.agent import NodeAgent

log = logging.getLogger("havre.node")


class LineKeeper:
    """``take`` is the sink of the intake (engines/ports.py ``LogSink``)."""

    def __init__(self, agent: NodeAgent, spool: Spool) -> None:
        self._agent = agent
        self._spool = spool
        self._tasks = Tasks()

    def take(self, workload: str, container: str, lines: Sequence[tuple[int, bytes]]) -> asyncio.Future[None] | None:
        """A node that has not heard yet what it is to run does not know where lines go: their writers wait."""
        stream = self._agent.log_stream(workload, container)
        if stream is not None:
            return self._spool.append(stream, lines)
        if not self._agent.told.is_set():
            return self._tasks.spawn(self._take_later(workload, container, lines), f"lines of {workload}")
        log.warning("%d lines of %s/%s belong to nothing: they are dropped", len(lines), workload, container)
        return None

    async def _take_later(self, workload: str, container: str, lines: Sequence[tuple[int, bytes]]) -> None:
        await self._agent.told.wait()
        if room := self.take(workload, container, lines):
            await room

    async def close(self) -> None:
        await self._tasks.close(1.0)
