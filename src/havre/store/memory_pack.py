"""Small blobs beside a store in memory."""

from __future__ import annotations

import asyncio


class MemoryPack:
    """See ``dataplanes.registry.ports.Pack``."""

    def __init__(self) -> None:
        self._content: dict[str, tuple[bytes, float]] = {}

    def put(self, name: str, content: bytes, at: float) -> asyncio.Future[None]:
        self._content[name] = content, at
        return _done()

    def remove(self, name: str) -> asyncio.Future[None]:
        self._content.pop(name, None)
        return _done()

    def clear(self) -> asyncio.Future[None]:
        self._content.clear()
        return _done()

    def get(self, name: str) -> bytes | None:
        return self._content.get(name, (None, 0.0))[0]

    def has(self, name: str) -> bool:
        return name in self._content

    async def stored(self) -> list[tuple[str, float, int]]:
        return sorted((name, at, len(content)) for name, (content, at) in self._content.items())


def _done() -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future
