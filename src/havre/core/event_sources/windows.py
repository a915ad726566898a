"""Tumbling windows: a function that adds up over time is handed its own state from batch to batch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from havre.core.event_sources.retries import StreamRecord

MOST_STATE = 1 << 20
"""Bytes of JSON."""


class Window(msgspec.Struct, frozen=True):
    """From ``start`` until before ``start + length``, in seconds since the epoch; ``state`` is the function's."""

    start: float
    length: float
    state: Any = None

    @property
    def end(self) -> float:
        return self.start + self.length

    def holds(self, at: float) -> bool:
        return self.start <= at < self.end


def window_of(at: float, length: float) -> Window:
    return Window(at // length * length, length)


def head(records: Sequence[StreamRecord], window: Window) -> int:
    """How many of the first records belong into ``window``. A record that arrived before it (shards deliver in order, clocks
    do not) counts among them."""
    for count, record in enumerate(records):
        if record.arrived >= window.end:
            return count
    return len(records)


def members(window: Window, *, final: bool, early: bool = False) -> dict[str, Any]:
    """What the event has besides its Records."""
    return {
        "window": {"start": _iso(window.start), "end": _iso(window.end)},
        "state": window.state if window.state is not None else {},
        "isFinalInvokeForWindow": final,
        "isWindowTerminatedEarly": early,
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
