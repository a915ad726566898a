"""How Docker frames what it streams: events a line each, output of containers in frames. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec


async def events(pieces: AsyncIterator[bytes]) -> AsyncIterator[Mapping[str, Any]]:
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield msgspec.json.decode(line)


def demultiplexed(data: bytes) -> bytes:
    """Frames of stdout and stderr without their heads; output of a terminal has none and stays as it is."""
    out, at = [], 0
    while at + 8 <= len(data) and data[at] in (0, 1, 2) and data[at + 1 : at + 4] == b"\0\0\0":
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        out.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    return b"".join(out) if at else data
