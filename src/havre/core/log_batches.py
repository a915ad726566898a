"""Lines as CloudWatch Logs takes them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

BATCH_EVENTS, BATCH_BYTES, EVENT_OVERHEAD = 10_000, 1_048_576, 26
"""Bounds of one PutLogEvents call; each event counts 26 bytes more than its text."""
BATCH_SPAN = 24 * 3_600_000
"""Milliseconds between its first and its last event."""
Event = dict[str, Any]


def batches(lines: Sequence[tuple[int, bytes]]) -> Iterator[list[Event]]:
    """``lines`` (milliseconds, text) as events, in batches as PutLogEvents takes them: in order of time, and none too large.
    Empty lines, which it refuses, are left out."""
    batch: list[Event] = []
    size = began = 0
    for at, raw in sorted(lines, key=itemgetter(0)):
        if not raw:
            continue
        text, length = _read(raw)
        size += length + EVENT_OVERHEAD
        if batch and (size > BATCH_BYTES or len(batch) >= BATCH_EVENTS or at - began > BATCH_SPAN):
            yield batch
            batch, size = [], length + EVENT_OVERHEAD
        if not batch:
            began = at
        batch.append({"timestamp": at, "message": text})
    if batch:
        yield batch


def _read(raw: bytes) -> tuple[str, int]:
    """The text, and its size in UTF-8: what is none is replaced, which takes more room than it had."""
    try:
        return raw.decode(), len(raw)
    except UnicodeDecodeError:
        text = raw.decode(errors="replace")
        return text, len(text.encode())
