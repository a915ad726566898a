"""Events on their way into the journal: queued, packed in batches, appended with group commit."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from havre.services.cloudtrail.redact import hidden
from havre.store.ports import Journal

RETENTION_MS = 90 * 24 * 3600 * 1000
FLUSH_EVERY = 1.0
EXPIRE_EVERY = 3600.0
MOST_KEPT = 2 << 30
"""Bytes of events (before compression) that are kept of all accounts and regions together: the oldest go first."""
STREAMS = "cloudtrail/"
SLICES = 16
"""What is too much goes slice by slice of the time that is kept."""
MOST_QUEUED = 20_000
MOST_WAITING = 50_000
"""Events for which a journal that takes none is waited for; those after them are lost, and the log says how many."""
MOST_TEXT = 100 * 1024
"""Bytes that one event's parameters or answer may take; CloudTrail cuts at 100 KB likewise."""
_log = logging.getLogger("havre.cloudtrail")


NIL = msgspec.Raw(b"\xc0")


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """The caller, as far as userIdentity tells. ``issued`` in seconds since the epoch, 0 for no session."""

    kind: str
    account: str
    arn: str
    id: str
    access_key: str = ""
    name: str = ""
    role: str = ""
    service: str = ""
    issued: int = 0
    invoked_by: str = ""


class Event(msgspec.Struct, frozen=True, array_like=True):
    """``at`` in seconds since the epoch; ``source`` is the service's signing name; ``account`` the recipient's.
    ``request`` and ``response`` are MessagePack, secrets hidden."""

    request_id: str
    at: float
    source: str
    name: str
    account: str
    region: str
    identity: Identity
    read_only: bool
    source_ip: str = ""
    user_agent: str = ""
    resources: tuple[str, ...] = ()
    error_code: str = ""
    error_message: str = ""
    request: msgspec.Raw = NIL
    response: msgspec.Raw = NIL


class Draft(NamedTuple):
    """An event before it is packed, with Event's fields in their order: packing waits until a batch is due.

    ``request`` and ``response`` are as they came, secrets and all: they are never kept.
    """

    request_id: str
    at: float
    source: str
    name: str
    account: str
    region: str
    identity: Identity
    read_only: bool
    source_ip: str = ""
    user_agent: str = ""
    resources: tuple[str, ...] = ()
    error_code: str = ""
    error_message: str = ""
    request: Mapping[str, Any] = {}
    response: Mapping[str, Any] | None = None


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Event).decode


def stream(account: str, region: str) -> str:
    return f"{STREAMS}{account}/{region}"


def pack(draft: Draft) -> bytes:
    """Never fails: what cannot be written down is left out and said to be, for one odd request must not block the rest."""
    source, name = draft.source, draft.name
    try:
        asked = hidden(source, name, draft.request)
        answered = None if draft.response is None else hidden(source, name, draft.response)
        packed = _encode((*draft[:13], asked, answered))
        if len(packed) <= MOST_TEXT:
            return packed
        return _encode((*draft[:13], _cut(asked), _cut(answered)))
    except Exception:
        _log.exception("parameters of %s %s cannot be written down", source, name)
        clean: dict[str, Any] = {
            f: _clean(getattr(draft, f)) for f in ("user_agent", "error_message", "source_ip", "name")
        }
        omitted = {"omitted": True, "reason": "not encodable"}
        return _encode(draft._replace(request=omitted, response=None, resources=(), **clean))


def _cut(values: Any) -> Any:
    size = len(_encode(values))
    if size <= MOST_TEXT // 2:
        return values
    return {"omitted": True, "originalSize": size, "reason": "size exceeds 100KB"}


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


class Trail:
    """``record`` queues; ``flush`` returns when all that was queued before is durable; ``run`` is the loop for the rest."""

    def __init__(self, journal: Journal, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock
        self._queue: deque[Draft] = deque()
        self._queued = 0
        self._kept = 0
        self._lost = 0
        self._lock = asyncio.Lock()
        self.progress: float | None = None
        """When the loop last found everything durable."""

    def record(self, draft: Draft) -> None:
        if len(self._queue) >= MOST_WAITING:
            self._lost += 1
            return
        self._queue.append(draft)
        self._queued += 1

    @property
    def crowded(self) -> bool:
        """Whether whoever records next should flush: what waits in memory is bounded."""
        return len(self._queue) >= MOST_QUEUED

    async def flush(self) -> None:
        """Raises what the journal raises; nothing is lost then, the events stay queued."""
        ticket = self._queued
        while self._kept < ticket:
            async with self._lock:
                if self._kept < ticket:
                    await self._append()

    async def _append(self) -> None:
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), 2_000))]
        by_stream: dict[str, list[Draft]] = {}
        for draft in batch:
            by_stream.setdefault(stream(draft.account, draft.region), []).append(draft)
        left = dict(by_stream)
        try:
            for name, drafts in by_stream.items():
                await self._journal.append(name, [(int(d.at * 1000), pack(d)) for d in drafts])
                self._kept += len(drafts)
                del left[name]
        except BaseException:
            self._queue.extendleft(reversed([d for drafts in left.values() for d in drafts]))
            raise
        if self._lost:
            _log.error("%d events are lost: the audit journal took none for too long", self._lost)
            self._lost = 0

    async def run(self) -> None:
        """For ever: flush what reads left behind, drop what is older than 90 days."""
        expired = 0.0
        while True:
            await asyncio.sleep(FLUSH_EVERY)
            try:
                await self.flush()
                self.progress = self._clock()
                if self._clock() - expired > EXPIRE_EVERY:
                    expired = self._clock()
                    await self.expire()
            except Exception:
                _log.exception("events wait in memory: the journal does not take them")

    async def expire(self) -> None:
        """Drop what has had its 90 days, and the oldest of what is too much."""
        before = int(self._clock() * 1000) - RETENTION_MS
        while True:
            extents = await self._journal.extents(STREAMS)
            for name, extent in extents.items():
                if extent.first is not None and extent.first < before:
                    await self._journal.expire(name, before)
            spans = [(e.first, e.last) for e in extents.values() if e.first is not None and e.last is not None]
            if sum(extent.bytes for extent in extents.values()) <= MOST_KEPT or not spans:
                return
            oldest, newest = min(first for first, _ in spans), max(last for _, last in spans)
            before = max(before, oldest) + (newest - oldest) // SLICES + 1
            _log.warning("events of the audit trail take more than %d bytes: the oldest go", MOST_KEPT)

    def reset(self) -> None:
        """Forget what is queued (``POST /_havre/reset``)."""
        self._kept += len(self._queue)
        self._queue.clear()
