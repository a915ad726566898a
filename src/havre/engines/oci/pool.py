"""Sandboxes that are ready before anybody asks: some for each kind that is in use."""

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
    """``size`` for each kind. ``make`` raises Permanent, Temporary."""

    def __init__(
        self, size: int, make: Callable[[str], Awaitable[Box]], discard: Callable[[Box], Awaitable[None]]
    ) -> None:
        self._size = size
        self._make = make
        self._discard = discard
        self._ready: dict[str, deque[Box]] = {}
        self._wanted = asyncio.Event()
        self._stopped = False
        self._asked = 0.0

    def use(self, kind: str) -> None:
        """From now on some of this kind are kept."""
        if kind not in self._ready:
            self._ready[kind] = deque()
            self._wanted.set()

    def take(self, kind: str) -> Box | None:
        self.use(kind)
        self._asked = asyncio.get_running_loop().time()
        self._wanted.set()
        ready = self._ready[kind]
        while ready:
            box = ready.popleft()
            if not box.gone.done():
                return box
        return None

    def count(self, kind: str) -> int:
        return len(self._ready.get(kind, ()))

    async def keep(self) -> None:
        """For ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while (kind := self._lacking()) is not None:
                await self._quiet()
                try:
                    await self._add(kind)
                except (Temporary, Permanent, Gone) as error:
                    log.warning("the pool of sandboxes: %s", error)
                    await asyncio.sleep(_AFTER_TROUBLE)

    async def _quiet(self) -> None:
        loop = asyncio.get_running_loop()
        while (left := self._asked + _QUIET - loop.time()) > 0:  # noqa: ASYNC110 (time is what it waits for)
            await asyncio.sleep(left)

    def _lacking(self) -> str | None:
        if self._stopped:
            return None
        lacking = [(len(ready), kind) for kind, ready in self._ready.items() if len(ready) < self._size]
        return min(lacking)[1] if lacking else None

    async def _add(self, kind: str) -> None:
        box = await self._make(kind)
        if self._stopped or kind not in self._ready:
            await self._discard(box)
        else:
            self._ready[kind].append(box)

    def stop(self) -> None:
        """None is made any more."""
        self._stopped = True

    async def drain(self) -> None:
        """Those that are ready go, and kinds are not in use until somebody asks for them again."""
        gone, self._ready = self._ready, {}
        for ready in gone.values():
            while ready:
                await self._discard(ready.popleft())
