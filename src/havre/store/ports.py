"""Store: resources, with optimistic transactions and an ordered change feed. Journal: long, ordered, append-only data.

Reads are synchronous, from an image in memory that the adapter keeps (SQLite: of what it wrote itself; PostgreSQL: of
the feed). A transaction is a plain function over that image. Reading does no I/O, so a decision looks at one snapshot.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from havre.kernel.resource import Key, Kind, Resource

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T", bound=msgspec.Struct)
R = TypeVar("R")


class Change(msgspec.Struct, frozen=True):
    """One committed change. ``old`` is None for a creation, ``new`` for a removal."""

    revision: int
    key: Key
    old: Resource[Any, Any] | None
    new: Resource[Any, Any] | None


class Reader(Protocol):
    @property
    def revision(self) -> int:
        """Number of the last transaction in the image."""
        ...

    def kind(self, name: str) -> Kind[Any, Any]:
        """The declared kind of this name; KeyError when there is none."""
        ...

    def get(self, kind: Kind[S, T], account: str, region: str, name: str) -> Resource[S, T] | None: ...

    def list(self, kind: Kind[S, T], account: str | None = None, region: str | None = None) -> Sequence[Resource[S, T]]:
        """Ordered by account, region, name. None means all."""
        ...

    def find(self, kind: Kind[S, T], index: str, value: str) -> Sequence[Resource[S, T]]:
        """By a declared index of the kind, ordered by key; KeyError for an index that was not declared."""
        ...

    def first(self, kind: Kind[S, T], index: str, value: str) -> Resource[S, T] | None:
        """The first that ``find`` would give, whatever follows; None when there is none."""
        ...

    def count(self, kind: Kind[S, T], index: str, value: str) -> int: ...


class Transaction(Reader, Protocol):
    """Reads its own writes. All or nothing. Times in Meta come from the store's World."""

    def create(
        self, kind: Kind[S, T], *, account: str, region: str, name: str, arn: str, spec: S, status: T
    ) -> Resource[S, T]:
        """Raises Conflict when the key is taken."""
        ...

    def update(
        self, seen: Resource[S, T], *, spec: S | None = None, status: T | None = None, deleting: float | None = None
    ) -> Resource[S, T]:
        """Replace what is given. Raises Conflict when the stored version is not ``seen``'s, Gone when it is not there."""
        ...

    def remove(self, seen: Resource[Any, Any]) -> None:
        """Raises Conflict when the stored version is not ``seen``'s; removing what is gone is no error."""
        ...

    def emit(self, topic: str, payload: bytes) -> None:
        """Put a message into the outbox, in the same transaction: delivered at least once, in order within its topic."""
        ...


class Subscription(Protocol):
    """An ordered stream of batches of changes. Falls behind without limit to memory: changes are references."""

    def __aiter__(self) -> AsyncIterator[Sequence[Change]]: ...
    async def __anext__(self) -> Sequence[Change]: ...
    def gathered(self) -> Sequence[Change]:
        """What has come since the last look, without waiting; may be empty."""
        ...

    def close(self) -> None: ...


class OutboxMessage(msgspec.Struct, frozen=True):
    id: int
    topic: str
    payload: bytes


class Store(Reader, Protocol):
    async def transact(self, change: Callable[[Transaction], R]) -> R:
        """Run ``change`` against the image and make what it wrote durable; returns when it is.

        ``change`` is a plain function without side effects: an adapter may run it again after a conflict with another
        writer. What it raises leaves nothing changed. Raises Temporary when the disk refuses (nothing is changed then).
        """
        ...

    async def settled(self) -> None:
        """Returns when everything that reads could have seen by now is durable. Free when nothing is under way.

        Raises Temporary when the disk refused some of it: what was read is not so.
        """
        ...

    def subscribe(self, kinds: Iterable[str] | None = None) -> Subscription:
        """Changes of these kinds (all when None) that become durable from now on."""
        ...

    async def changes_since(self, revision: int, limit: int = 1000) -> Sequence[tuple[int, Key]] | None:
        """The durable feed behind ``revision``; None when it reaches no longer back that far (then list anew)."""
        ...

    async def outbox(self, topic: str, limit: int = 1000) -> Sequence[OutboxMessage]:
        """The oldest undelivered messages."""
        ...

    async def delivered(self, topic: str, up_to: int) -> None:
        """Forget messages of the topic up to this id."""
        ...

    async def emitted(self, topic: str, after: int = 0) -> int:
        """Returns when there has been a durable message of the topic with an id beyond ``after``, without polling: the id
        of the last one, which may have been delivered since."""
        ...

    async def reset(self) -> None:
        """Remove every resource, outbox message and feed entry (``POST /_havre/reset``); subscribers see the removals."""
        ...

    async def close(self) -> None: ...


Row = tuple[int, int, bytes]
"""An Entry before it is one: (at, seq, data)."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One entry of a journal: ``at`` in milliseconds since the epoch, ``seq`` unique and rising within the stream."""

    at: int
    seq: int
    data: bytes


class Part(msgspec.Struct, frozen=True):
    """Of a stream: entries with start <= at < end in the order of (at, seq), behind ``after`` (at, seq); newest first if
    ``reverse``."""

    start: int | None = None
    end: int | None = None
    after: tuple[int, int] | None = None
    reverse: bool = False


WHOLE = Part()


class Extent(msgspec.Struct, frozen=True):
    """What is known of a stream without reading it: ``bytes`` of data, the times of its first and its last entry (None
    when it is empty), and when something was last appended. Times in milliseconds since the epoch."""

    bytes: int
    first: int | None
    last: int | None
    appended: int


class Journal(Protocol):
    """Append-only streams (log streams, audit trails), outside the store because they are long and rarely read."""

    async def append(self, stream: str, entries: Sequence[tuple[int, bytes]], *, now: int = 0) -> int:
        """Durable when it returns. Gives the last ``seq``. Concurrent appends share one commit.

        ``now`` is the caller's time in milliseconds, for ``Extent.appended``.
        """
        ...

    async def scan(
        self, stream: str, part: Part = WHOLE, *, limit: int = 10_000, size: int | None = None
    ) -> Sequence[Entry]:
        """At most ``limit``, and no more once they have ``size`` bytes of data together (the entry that reaches it is the
        last one).
        """
        ...

    async def expire(self, stream: str, before: int) -> int:
        """Drop entries with at < before (milliseconds); may keep some that share a chunk with younger ones.

        Gives how many went.
        """
        ...

    async def drop(self, stream: str) -> None: ...

    async def extents(self, prefix: str) -> Mapping[str, Extent]:
        """Every stream whose name begins with ``prefix``, in the order of names."""
        ...

    async def reset(self) -> None: ...

    async def close(self) -> None: ...


class Put(msgspec.Struct, frozen=True):
    """Keep a record, or replace the one of this number. ``head`` is small and read back with all others at the start;
    ``body`` may be long and is read when it is wanted."""

    shelf: str
    number: int
    head: bytes
    body: bytes = b""


class Take(msgspec.Struct, frozen=True):
    """Remove a record; one that is not there is no error."""

    shelf: str
    number: int


class Clear(msgspec.Struct, frozen=True):
    """Remove the shelf's records up to this number; None: all, and the shelf itself."""

    shelf: str
    up_to: int | None = None


class Records(Protocol):
    """Durable records that come and go by the thousand (messages of queues), outside the store because nobody watches
    them one by one. They lie on shelves, each under its number."""

    def number(self, shelf: str) -> int:
        """A number that this shelf has never given before, not even before a crash; numbers rise, from 1 on."""
        ...

    def write(self, changes: Sequence[Put | Take | Clear], done: Callable[[Exception | None], None]) -> None:
        """All or nothing. ``done`` is called when it is durable, in the order of the writes, or with Temporary when the disk
        refuses; it must not raise. Concurrent writes share one commit. What is read is what is durable."""
        ...

    def heads(self, shelf: str, after: int = 0, limit: int = 1000) -> Sequence[tuple[int, bytes]]:
        """Numbers and heads behind ``after``, in order."""
        ...

    def bodies(self, shelf: str, numbers: Sequence[int]) -> Sequence[bytes | None]:
        """None for each that is not there."""
        ...

    def shelves(self, prefix: str) -> Sequence[str]:
        """Every shelf whose name begins with ``prefix``, in the order of names; some may be empty."""
        ...

    async def reset(self) -> None: ...

    async def close(self) -> None: ...


def bounded(rows: Sequence[Row], limit: int, size: int | None) -> Sequence[Row]:
    """The first of ``rows`` (at, seq, data) that ``Journal.scan`` gives."""
    if size is None:
        return rows[:limit]
    for n, row in enumerate(rows[:limit], 1):
        size -= len(row[2])
        if size <= 0:
            return rows[:n]
    return rows[:limit]
