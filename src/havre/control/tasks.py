"""Work in the background that somebody keeps track of: what fails is logged, what runs at the end is cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger("havre.control")


class Tasks:
    """For work that belongs to no loop: a notification, a cleaning up that nobody waits for."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)

    def __len__(self) -> int:
        return len(self._running)

    async def settle(self) -> None:
        """Returns when all that was spawned, and all that it spawned, has ended."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def close(self, patience: float = 5.0) -> None:
        """Cancel what runs; give up on what has not ended after ``patience`` seconds."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(set(self._running), timeout=patience)
