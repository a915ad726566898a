"""What must not be cut off: while a function has records, and until it is written down that it has taken them."""

from __future__ import annotations

import asyncio
from typing import Any


class Turns:
    """``async with turns:`` is one turn. After ``end`` none begins, and who asks for one waits to be cancelled."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any] | None] = set()
        self.over = False
        self._woken = asyncio.Event()
        self._changed = asyncio.Event()

    def end(self) -> None:
        self.over = True
        self._woken.set()

    def wake(self) -> None:
        """Who waits for the end looks what there is."""
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """As long, or until the end, or until ``wake``."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()

    async def settle(self) -> None:
        """Returns when no turn is under way. ``end`` comes first."""
        while self._under_way:
            self._changed.clear()
            await self._changed.wait()

    async def pause(self, seconds: float) -> None:
        """Within a turn: it is interrupted, and does not go on after the end."""
        self._leave()
        await asyncio.sleep(seconds)
        await self.__aenter__()

    async def __aenter__(self) -> None:
        if self.over:
            await asyncio.get_running_loop().create_future()
        self._under_way.add(asyncio.current_task())

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        self._under_way.discard(asyncio.current_task())
        self._changed.set()
