"""Reading a queue back from the disk, in pieces: the loop has its turn in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec

from havre.core.queueing import Message, Sent
from havre.services.sqs.live import Live
from havre.services.sqs.messages import decode_head
from havre.store.ports import Records

PIECE = 2_000
"""Records that are read in one go."""
_decode_count = msgspec.msgpack.Decoder(tuple[int, int]).decode
_decode_sent = msgspec.msgpack.Decoder(Sent).decode


async def load(records: Records, live: Live) -> None:
    """All messages become visible, or delayed; their bodies stay where they are until they are wanted."""
    counts: dict[int, tuple[int, int]] = {}
    async for rows in _pieces(records, live.counts):
        counts.update((number, _decode_count(head)) for number, head in rows)
    live.counted.update(counts)
    async for rows in _pieces(records, live.shelf):
        for number, head in rows:
            h = decode_head(head)
            received, first = counts.get(number, (h.received, h.first_received))
            live.queue.add(Message(number, h.sent, h.due, h.group, received, first), 0)
    async for rows in _pieces(records, live.memory):
        for number, head in rows:
            live.dedup.note(number, _decode_sent(head))


async def _pieces(records: Records, shelf: str) -> AsyncIterator[list[tuple[int, bytes]]]:
    after = 0
    while rows := list(records.heads(shelf, after, PIECE)):
        yield rows
        if len(rows) < PIECE:
            return
        after = rows[-1][0]
        await asyncio.sleep(0)
