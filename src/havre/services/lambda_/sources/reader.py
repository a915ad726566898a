"""Streams as pollers read them, whatever they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from havre.core.event_sources.retries import StreamRecord

GONE = "ResourceNotFoundException"
"""How streams and their shards are refused that there are not, or not any more."""


class Shard(msgspec.Struct, frozen=True):
    """``parents`` are the shards whose records come before."""

    id: str
    parents: tuple[str, ...] = ()


class Read(msgspec.Struct, frozen=True):
    """``next`` is the iterator to go on with; None when the shard is closed and there is nothing left in it."""

    records: Sequence[StreamRecord]
    next: str | None


class Expired(Exception):
    """The iterator is too old to be read from."""


class Trimmed(Exception):
    """What was to be read next is not in the stream any more."""


class Reader(Protocol):
    """Raises ApiError, Temporary, Permanent."""

    info: str
    """What the record about lost ones is called: KinesisBatchInfo, DDBStreamBatchInfo."""

    async def shards(self) -> Sequence[Shard]: ...

    async def iterator(self, shard: str, after: str) -> str:
        """Behind the record ``after``; "" is where the mapping starts. Raises Trimmed."""
        ...

    async def read(self, iterator: str, most: int) -> Read:
        """Raises Expired, Trimmed."""
        ...


def seconds(at: Any) -> float:
    """A timestamp as operations answer it."""
    return float(at.timestamp()) if hasattr(at, "timestamp") else float(at)
