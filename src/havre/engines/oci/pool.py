"""Sandboxes that are ready before anybody asks: they are nobody's yet, and can be any function's."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from havre.engines.oci.box import Box
from havre.kernel.errors import Gone, Permanent, Temporary

log = logging.getLogger("havre.sandboxes")

_AFTER_TROUBLE = 5.0
_QUIET = 0.05
"""Seconds without anybody asking until more are made: what is asked for now is more urgent."""


class Pool:
    """``make`` raises Permanent, Temporary."""

    def __init__(
        self, size: int, make: Callable[[], Awaitable[Box]], discard: Callable[[Box], Awaitable[None]]
    ) -> None:
        self._size = size
        self._make = make
        self._discard = discard
        self._ready: deque[Box] = deque()
        self._wanted = asyncio.Event()
        self._used = False
        self._asked = 0.0

    def __len__(self) -> int:
        return len(self._ready)

    def use(self) -> None:
        """From now on some are kept."""
        self._used = True
        self._wanted.set()

    def take(self) -> Box | None:
        self._asked = asyncio.get_running_loop().time()
        self.use()
        while self._ready:
            box = self._ready.popleft()
            if not box.gone.done():
                return box
        return None

    async def keep(self) -> None:
        """For ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._used and len(self._ready) < self._size:
                await self._quiet()
                try:
                    await self._add()
                except (Temporary, Permanent, Gone) as error:
                    log.warning("the pool of sandboxes: %s", error)
                    await asyncio.sleep(_AFTER_TROUBLE)

    async def _quiet(self) -> None:
        loop = asyncio.get_running_loop()
        while (left := self._asked + _QUIET - loop.time()) > 0:  # noqa: ASYNC110 (time is what it waits for)
            await asyncio.sleep(left)

    async def _add(self) -> None:
        box = await self._make()
        if self._used:
            self._ready.append(box)
        else:
            await self._discard(box)

    async def drain(self) -> None:
        """Those that are ready go, and none is kept until somebody asks for one."""
        self._used = False
        while self._ready:
            await self._discard(self._ready.popleft())
