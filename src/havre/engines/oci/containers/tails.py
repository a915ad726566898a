"""Containers' lines, from the files that their monitors write to the node's sink; none is lost, whoever is killed.

How far the sink has taken them is written down beside the file after each look; a look whose word was lost is taken again. A
file that has become large is put aside, and the monitor told to begin another. Reading is done in turns, not line by line.
Monitors drop what they cannot write: room is reserved for what comes next, and a full disk that has none is told of.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import os
import struct
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import msgspec

from havre.engines.oci.containers import lines
from havre.engines.oci.containers.records import Place
from havre.engines.ports import LogSink

log = logging.getLogger("havre.node")

_TURN = 0.002
_PATIENCE = 1.0
_LARGE = 64 << 20
"""Bytes of a file whose lines are all taken, after which another is begun."""
_RESERVE = 256 << 10
"""Bytes behind the end of a file that its monitor can write on a disk that is full."""
_KEEP_SIZE = 1
_MODIFY, _NONBLOCK, _CLOEXEC = 0x2, 0x800, 0x80000
_EVENT = struct.Struct("iIII")
_REOPEN = b"2 0 0\n"


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


class Taken(msgspec.Struct, frozen=True):
    """``at``: how many bytes of the file were read; ``begun``: of what is in them, what has no end yet."""

    at: int
    begun: dict[str, tuple[int, bytes]]


class Tail:
    """One container's lines."""

    def __init__(self, place: Place, workload: str, container: str) -> None:
        self._place = place
        self._names = workload, container
        self._old = place.path / "log.old"
        self._taken = place.path / "taken"
        self.at, self._begun = self._read_taken()
        self.busy = False
        self._reserved = 0
        self._losing = False

    def _read_taken(self) -> tuple[int, lines.Open]:
        with suppress(OSError, msgspec.DecodeError):
            taken = msgspec.msgpack.decode(self._taken.read_bytes(), type=Taken)
            return taken.at, taken.begun
        return 0, {}

    @property
    def path(self) -> Path:
        return self._old if self._old.exists() else self._place.log

    def reserve(self) -> None:
        """Before the room that there is has been used."""
        with suppress(OSError):  # it has not been started, or is gone
            fd = os.open(self._place.log, os.O_WRONLY | os.O_CLOEXEC)
            try:
                self._grow(fd, os.fstat(fd).st_size)
            finally:
                os.close(fd)

    def _grow(self, fd: int, size: int) -> None:
        if not size <= self._reserved - _RESERVE // 2 <= size + _RESERVE:  # or another file was begun
            if _libc().fallocate(fd, _KEEP_SIZE, ctypes.c_long(size), ctypes.c_long(_RESERVE)) == 0:
                self._reserved, self._losing = size + _RESERVE, False
            elif ctypes.get_errno() == errno.ENOSPC and size >= self._reserved and not self._losing:
                self._losing = True
                log.error("the disk is full: from here on lines of %s of %s are lost", *reversed(self._names))

    async def look(self, sink: LogSink, *, last: bool = False) -> None:
        """Hand over all that there is; ``last``: what has no end as well. Raises
        OSError, as the sink does when its disk is full."""
        self.busy = True
        self.reserve()
        try:
            while await self._look(sink):  # noqa: ASYNC110 (it is the work itself)
                await asyncio.sleep(_TURN)  # others have a turn too
            if last:
                await self._look(sink, last=True)
        finally:
            self.busy = False

    async def _look(self, sink: LogSink, *, last: bool = False) -> bool:
        """Whether there may be more."""
        path = self.path
        try:
            data = _pread(path, self.at)
        except FileNotFoundError:
            return False
        begun = dict(self._begun)
        found, used = lines.read(data, begun, last=last)
        if found:
            wait = sink(*self._names, found)
            if wait is not None:
                await asyncio.shield(wait)  # it goes on when nobody waits for it
        if not used and not found:
            return self._turn(path)
        self.at, self._begun = self.at + used, begun
        self._write_taken()
        self.reserve()
        return True

    def _turn(self, path: Path) -> bool:
        """At the end of the file: on to the next one, or begin one."""
        if path == self._old:
            if not self._place.log.exists():
                return self._tell(b"")  # the monitor is about to begin it
            if self.more(path):
                return True
            self._old.unlink(missing_ok=True)
            self.at = 0
            self._write_taken()
            return True
        return self.at > _LARGE and self._tell(_REOPEN)

    def _tell(self, word: bytes) -> bool:
        """Whether its monitor lives. A word makes it write into a file that it begins, this one being put aside."""
        try:
            control = os.open(self._place.bundle / "ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            if word:
                self._place.log.rename(self._old)
                os.write(control, word)
        finally:
            os.close(control)
        return True

    def more(self, path: Path) -> bool:
        """Whether it has something that was not read. Raises OSError."""
        return b"\n" in _pread(path, self.at)

    def _write_taken(self) -> None:
        fresh = self._taken.with_suffix(".new")
        fresh.write_bytes(msgspec.msgpack.encode(Taken(self.at, self._begun)))
        fresh.rename(self._taken)


def _pread(path: Path, at: int) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, lines.WINDOW, at)
    finally:
        os.close(fd)


class Tails:
    """``run`` is the loop that apps declares."""

    def __init__(self) -> None:
        self._sink: LogSink | None = None
        self._tails: dict[str, Tail] = {}
        self._watches: dict[int, str] = {}
        self._fd = -1
        self._group: asyncio.TaskGroup | None = None
        self._timer: asyncio.TimerHandle | None = None

    def follow(self, id: str, place: Place, workload: str, container: str) -> None:
        if id not in self._tails:
            self._tails[id] = Tail(place, workload, container)
        self._watch(id)
        self._begin(id)

    def _watch(self, id: str) -> None:
        """The file that is written now; watched already is success."""
        tail = self._tails[id]
        if self._fd >= 0:
            for path in {tail.path, tail._place.log}:
                number = _libc().inotify_add_watch(self._fd, bytes(path), _MODIFY)
                if number >= 0:
                    self._watches[number] = id

    async def run(self, sink: LogSink) -> None:
        """For ever."""
        self._sink = sink
        self._fd = _libc().inotify_init1(_NONBLOCK | _CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as self._group:
                loop.add_reader(self._fd, self._modified)
                for id in list(self._tails):
                    self._watch(id)
                    self._begin(id)
                await loop.create_future()
        finally:
            self._group = None
            loop.remove_reader(self._fd)
            if self._timer is not None:
                self._timer.cancel()
            os.close(self._fd)
            self._fd = -1

    def _modified(self) -> None:
        """Files have grown. The next word of it is heard a turn later."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._fd)
        self._timer = loop.call_later(_TURN, lambda: loop.add_reader(self._fd, self._modified))
        data = os.read(self._fd, 65536)
        at, grown = 0, set()
        while at < len(data):
            number, _, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size + length
            if number in self._watches:
                grown.add(self._watches[number])
        for id in grown:
            self._begin(id)

    def _begin(self, id: str) -> None:
        tail = self._tails.get(id)
        if tail is not None and not tail.busy and self._group is not None and self._sink is not None:
            tail.busy = True
            self._group.create_task(self._look(id, tail, self._sink))

    async def _look(self, id: str, tail: Tail, sink: LogSink) -> None:
        while True:
            try:
                await tail.look(sink)
            except OSError as error:
                log.warning("lines of %s are not taken in for a moment: %s", id[:12], error)
                await asyncio.sleep(_PATIENCE)
                continue
            break
        if id in self._tails:
            self._watch(id)
            with suppress(OSError):
                if tail.more(tail.path):  # between the last look and the watch
                    self._begin(id)

    async def drain(self, id: str, patience: float) -> bool:
        """Whether all that an ended container has written is taken within so many seconds; it is when nobody takes lines."""
        tail = self._tails.get(id)
        if tail is None or self._sink is None:
            return True
        try:
            async with asyncio.timeout(patience):
                while tail.busy:  # noqa: ASYNC110 (somebody else is at it)
                    await asyncio.sleep(_TURN)
                await tail.look(self._sink, last=True)
        except (TimeoutError, OSError):
            return False
        self._tails.pop(id, None)
        return True
