"""Bodies of answers, of which some come in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator


async def whole(body: bytes | AsyncIterator[bytes], most: int) -> bytes | None:
    """None when it is longer than ``most`` bytes."""
    if isinstance(body, bytes | bytearray):
        return bytes(body) if len(body) <= most else None
    data = bytearray()
    async for piece in body:
        data += piece
        if len(data) > most:
            return None
    return bytes(data)
