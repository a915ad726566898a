"""The book of changes: written down and synced, then carried out, in one order, which is the order after a crash as well."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from havre.engines.borrowed import Deliver, Piece
from havre.engines.moto import (
    configurations,
    consumers,
    expiry,
    objects,
    outbox,
    pinned,
    shards,
    snapshots,
    streams,
    tables,
)
from havre.engines.moto.backends import Answer, Backends, Http
from havre.engines.moto.outbox import Caller, Outbox
from havre.engines.moto.segments import FULL, Full, Ref, Segments

log = logging.getLogger("havre.borrowed")

MANY = int(os.environ.get("HAVRE_BORROWED_SNAPSHOT_AFTER", "5000"))
"""Changes after which the state is written down whole: so many are carried out again in some seconds."""
MANY_FILES = 4
"""Files of the log that have been filled after which it is written down as well: large bodies take their time."""
RARELY = 20.0
"""A snapshot is made again after so many times its duration at the earliest."""
FILES = 4096
"""More than a process has open."""
MOVED = 32 << 20
"""Bytes of objects that are moved out of files that hold little else, at most, with each snapshot."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What is written down of a change; its body lies behind it. ``done`` is the number of a notification that has arrived,
    ``expires`` says that items whose time is over go: there is no request then."""

    at: float
    seed: bytes
    service: str = ""
    operation: str = ""
    account: str = ""
    region: str = ""
    method: str = ""
    path: str = ""
    query: str = ""
    headers: Sequence[tuple[str, str]] = ()
    caller: tuple[str, ...] = ("", "", "")
    done: int = 0
    expires: bool = False


class Change(NamedTuple):
    entry: Entry
    body: bytes
    told: Callable[[Answer | Full], None]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


class Book:
    """``deliver`` hears of each new notification. Opened once a process, for moto's state is global."""

    def __init__(self, folder: Path, deliver: Callable[[Deliver, bytes], None]) -> None:
        self._folder = folder
        self._deliver = deliver
        self._lock = _only_one(folder)
        self._segments = Segments(folder)
        self._bodies = objects.Bodies(self._segments)
        self._pending: list[Change] = []
        self._wake = asyncio.Event()
        self._since = self._filled = 0
        self._child = 0
        self._began = self._next = 0.0
        self._covered: tuple[int, set[int]] = (0, set())
        self.stopping = False
        pinned.install()
        self._backends = Backends()
        self.outbox = Outbox(folder / "notifies")
        _install(self._bodies, self.outbox)

    def open(self) -> None:
        """Load the newest snapshot and carry out again what came after it. Raises Unreadable, OSError."""
        first, began = 0, time.monotonic()
        if found := snapshots.newest(self._folder):
            first = found[0]
            snapshots.load(found[1], self.outbox)
        after = [n for n in self._segments.numbers if n >= first]
        if not after or self._segments.length(after[-1]):
            self._segments.begin()
        else:
            self._segments.resume()
        for number in after:
            for head, body, ref in self._segments.records(number):
                if head:
                    self._carry_out(_decode(head), body, ref)
        self._drop(set(objects.segments_of(_s3())), first)
        log.info("%d changes carried out again in %.1f s", self._since, time.monotonic() - began)

    def read(self, request: Http) -> Answer:
        """A request that changes nothing: at once."""
        return self._backends.serve(request)

    def lying(self, stored: objects.Stored) -> list[Piece]:
        """Where a body is, for those who can read it themselves."""
        return [Piece(str(self._segments.path(ref.segment)), ref.offset, ref.length) for ref in stored.pieces]

    def change(self, request: Http, caller: Caller, told: Callable[[Answer | Full], None]) -> None:
        """``told`` gets the answer once the change is durable and done, or Full: then nothing is changed."""
        entry = Entry(
            pinned.now(),
            pinned.seed().to_bytes(32, "big"),
            *request[:-1],
            caller=(caller.principal, caller.source_ip, caller.request_id, caller.trace),
        )
        self._pending.append(Change(entry, request.body, told))
        self._wake.set()

    def arrived(self, number: int) -> None:
        """The notification need not be delivered again."""
        self._pending.append(Change(Entry(pinned.now(), b"", done=number), b"", lambda answer: None))
        self._wake.set()

    def expire(self, told: Callable[[Answer | Full], None]) -> bool:
        """Items whose time is over go, ``told`` hears of it; whether there are any."""
        found = expiry.due()
        if found:
            entry = Entry(pinned.now(), pinned.seed().to_bytes(32, "big"), expires=True)
            self._pending.append(Change(entry, b"", told))
            self._wake.set()
        return found

    async def run(self) -> None:
        """Until told to stop and nothing is left. One batch is written while the one before is carried out. Raises OSError
        when the disk fails: this process ends then, and the next one starts from what is certain."""
        loop = asyncio.get_running_loop()
        before: list[tuple[Change, Ref]] = []
        while True:
            if not before and not self._pending:
                if self.stopping:
                    return
                self._wake.clear()
                await self._wake.wait()
            if not before:
                self._keep_house()
            batch, self._pending = self._pending, []
            writing = loop.run_in_executor(None, self._write, batch) if batch else None
            for change, ref in before:
                change.told(self._carry_out(change.entry, change.body, ref))
                await asyncio.sleep(0)
            before = []
            if writing is not None:
                try:
                    before = list(zip(batch, await writing, strict=True))
                except Full as full:
                    log.error("the disk takes no changes: %s", full)
                    for change in batch:
                        change.told(full)

    def stop(self) -> None:
        self.stopping = True
        self._wake.set()

    def close(self) -> None:
        """A snapshot, so that the next start is quick. Nothing is under way."""
        if self._since:
            try:
                snapshots.write(self._folder, self._segments.begin(), snapshots.dump(self.outbox))
            except Exception:
                log.exception("no snapshot at the end: the next start takes longer")
        self.outbox.settle()
        self._segments.close()

    # its parts

    def _write(self, batch: list[Change]) -> list[Ref]:
        refs = self._segments.append([(_encode(change.entry), change.body) for change in batch])
        self._segments.sync()
        return refs

    def _carry_out(self, entry: Entry, body: bytes, ref: Ref) -> Answer:
        self._since += 1
        if entry.done:
            self.outbox.pending.pop(entry.done, None)
            return Answer(200, [], b"")
        if entry.expires:
            with pinned.pinned(entry.at, int.from_bytes(entry.seed, "big")):
                expiry.expire()
            return Answer(200, [], b"")
        last = self.outbox.last
        self.outbox.caller, self.outbox.operation = Caller(*entry.caller), entry.operation
        self._bodies.here(body, ref)
        request = Http(
            entry.service, entry.operation, entry.account, entry.region, entry.method, entry.path, entry.query,
            entry.headers, body,
        )  # fmt: skip
        with pinned.pinned(entry.at, int.from_bytes(entry.seed, "big")):
            answer = self._backends.serve(request)
        self._bodies.here(b"", None)
        for number in range(last + 1, self.outbox.last + 1):
            self._deliver(*self.outbox.pending[number])
        return answer

    def _keep_house(self) -> None:
        """Nothing is being written, and all that is written is carried out."""
        self._reap()
        due = self._since >= MANY or self._filled >= MANY_FILES
        if due and not self._child and time.monotonic() >= self._next:
            self._begin_snapshot()
        elif self._segments.size >= FULL and self._begin():
            self._filled += 1

    def _begin(self) -> int:
        """The number of a new file; 0 when there cannot be one: the old one goes on."""
        try:
            return self._segments.begin()
        except OSError as error:
            log.warning("no new file for the log: %s", error)
            return 0

    def _begin_snapshot(self) -> None:
        """A fork has the state as it is now and writes it down, while this process goes on."""
        number = self._begin()
        if not number:
            return
        live = self._make_room(number)
        self._segments.sync()
        self._since, self._filled, self._began = 0, 0, time.monotonic()
        self._covered = number, live
        if child := os.fork():
            self._child = child
            return
        code = 1
        try:
            os.closerange(3, FILES)  # the socket and the lock end with the process that they belong to
            snapshots.write(self._folder, number, snapshots.dump(self.outbox))
            code = 0
        except BaseException:
            log.exception("the snapshot failed")
        finally:
            os._exit(code)

    def _make_room(self, number: int) -> set[int]:
        """Move what is alive out of files that are mostly dead; the files that are needed after that."""
        sizes = objects.segments_of(_s3())
        room, left = MOVED, set()
        for segment in sorted(sizes, key=sizes.__getitem__):
            if segment < number and sizes[segment] <= min(room, self._segments.length(segment) // 2):
                room -= sizes[segment]
                left.add(segment)
        if left:
            objects.move(_s3(), left)
        return set(objects.segments_of(_s3()))

    def _reap(self) -> None:
        if not self._child:
            return
        done, status = os.waitpid(self._child, os.WNOHANG)
        if not done:
            return
        self._child = 0
        took = time.monotonic() - self._began
        self._next = time.monotonic() + RARELY * took
        if status:
            log.error("no snapshot could be written; the log grows")
            return
        number, live = self._covered
        snapshots.drop_older(self._folder, number)
        self._drop(live, number)

    def _drop(self, live: set[int], covered: int) -> None:
        """Files of the log that neither a replay nor an object needs."""
        for old in [n for n in self._segments.numbers if n < covered and n not in live]:
            self._segments.drop(old)


def _only_one(folder: Path) -> int:
    """Wait until a predecessor, whose server has died, has ended as well."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _s3() -> Any:
    from moto.s3.models import s3_backends

    return s3_backends


def _install(bodies: objects.Bodies, box: Outbox) -> None:
    from moto.s3 import models

    pinned.give_datetime(models)
    objects.install(bodies)
    outbox.install(box)
    configurations.install()
    streams.install()
    shards.install()
    consumers.install()
    tables.install()
