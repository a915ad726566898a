"""Log lines on their way to the server: on the node's disk from the moment they are acknowledged to the container.

Segments are files named by the position (in bytes, from the first line ever) at which they begin; ``acked`` holds the
position that the server has. A killed process loses nothing; what it had sent and not seen acknowledged is sent again.
When ``limit`` bytes wait, ``append`` makes the writers wait.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from havre.control.nodelink.messages import LogBatch, LogStream

log = logging.getLogger("havre.nodelink")

_SEGMENT = 16 << 20
_HEAD = 4

_encode = msgspec.msgpack.Encoder().encode
_Record = tuple[LogStream, tuple[tuple[int, bytes], ...]]


class _Segment(NamedTuple):
    start: int
    path: Path


class Spool:
    """One writer, one reader, one event loop. Raises OSError when the disk refuses."""

    def __init__(self, directory: Path, limit: int = 256 << 20) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._limit = limit
        self._decode = msgspec.msgpack.Decoder(_Record).decode
        self._segments = sorted(
            (_Segment(int(p.stem), p) for p in directory.glob("*.log")), key=lambda segment: segment.start
        )
        self._acked_fd = os.open(directory / "acked", os.O_RDWR | os.O_CREAT, 0o600)
        self.acked = int.from_bytes(os.pread(self._acked_fd, 8, 0), "big")
        self.end = self._recover()
        self._fd = -1
        self._open_segment()
        self.name = self._name()
        self._room: list[asyncio.Future[None]] = []
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self.arrived = asyncio.Event()

    def _name(self) -> str:
        path = self._directory / "name"
        if not path.exists():
            path.write_text(os.urandom(8).hex())
        return path.read_text()

    def _recover(self) -> int:
        """The end of the last whole record; what a crash left half written is cut off."""
        if not self._segments:
            return self.acked
        start, path = self._segments[-1]
        data = path.read_bytes()
        at = 0
        while at + _HEAD <= len(data):
            size = int.from_bytes(data[at : at + _HEAD], "big")
            if not size or at + _HEAD + size > len(data):  # a power loss may leave zeros where data should be
                break
            at += _HEAD + size
        if at < len(data):
            os.truncate(path, at)
        return max(start + at, self.acked)

    def _open_segment(self) -> None:
        """Write on in the last segment unless it is full (or lies behind what was acknowledged)."""
        if self._fd >= 0:
            os.close(self._fd)
        last = self._segments[-1] if self._segments else None
        if last is None or self.end - last.start >= _SEGMENT or last.start + last.path.stat().st_size != self.end:
            last = _Segment(self.end, self._directory / f"{self.end:020d}.log")
            self._segments.append(last)
        self._fd = os.open(last.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, stream: LogStream, lines: Sequence[tuple[int, bytes]]) -> asyncio.Future[None] | None:
        """None: kept. A future: kept too, and done when there is room for more."""
        body = _encode((stream, lines))
        self._write(len(body).to_bytes(_HEAD, "big") + body)
        self.end += _HEAD + len(body)
        if self.end - self._segments[-1].start >= _SEGMENT:
            self._open_segment()
        self.arrived.set()
        if self.end - self.acked < self._limit:
            return None
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._room.append(room)
        return room

    def _write(self, record: bytes) -> None:
        """All of it or nothing: what follows half a record could not be read."""
        size = self.end - self._segments[-1].start
        try:
            if os.write(self._fd, record) < len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(self._fd, size)
            raise

    def read(self, position: int, size: int) -> tuple[int, tuple[LogBatch, ...]]:
        """About ``size`` bytes of records from ``position`` on, lines of a stream together; and where they end."""
        position = max(position, self._segments[0].start)
        if position >= self.end:
            return position, ()
        segment = next(s for s in reversed(self._segments) if s.start <= position)
        with open(segment.path, "rb") as file:
            file.seek(position - segment.start)
            data = file.read(max(size, _HEAD))
            if len(data) >= _HEAD and (need := _HEAD + int.from_bytes(data[:_HEAD], "big")) > len(data):
                data += file.read(need - len(data))
        found: dict[tuple[str, str], tuple[LogStream, list[tuple[int, bytes]]]] = {}
        at = 0
        while at + _HEAD <= len(data):
            end = at + _HEAD + int.from_bytes(data[at : at + _HEAD], "big")
            if end > len(data):
                break
            try:
                stream, lines = self._decode(data[at + _HEAD : end])
                found.setdefault((stream.workload, stream.container), (stream, []))[1].extend(lines)
            except msgspec.DecodeError as error:
                log.error("%d bytes of lines in %s cannot be read, and are lost: %s", end - at, segment.path, error)
            at = end
        if at == 0:  # the end of a segment: go on in the next one
            after = next((s.start for s in self._segments if s.start > position), None)
            return (position, ()) if after is None else self.read(after, size)
        if not found:
            return self.read(position + at, size)
        return position + at, tuple(LogBatch(stream, tuple(lines)) for stream, lines in found.values())

    def acknowledge(self, position: int) -> None:
        if position <= self.acked:
            return
        self.acked = position
        os.pwrite(self._acked_fd, position.to_bytes(8, "big"), 0)
        while len(self._segments) > 1 and self._segments[1].start <= position:
            self._segments.pop(0).path.unlink(missing_ok=True)
        if self.end - self.acked < self._limit:
            for room in self._room:
                if not room.done():
                    room.set_result(None)
            self._room.clear()
        for due, waiter in self._waiters:
            if due <= position and not waiter.done():
                waiter.set_result(None)
        self._waiters = [w for w in self._waiters if not w[1].done()]

    async def drained(self, position: int, patience: float) -> bool:
        """Whether everything spooled before ``position`` has reached the server within ``patience`` seconds."""
        if self.acked >= position:
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((position, waiter))
        try:
            async with asyncio.timeout(patience):
                await waiter
            return True
        except TimeoutError:
            return False

    def close(self) -> None:
        os.close(self._fd)
        os.close(self._acked_fd)
