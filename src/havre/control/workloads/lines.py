"""Containers' lines on their way from the engine to the spool: each told where it belongs.

Where the lines of a container go is written down with the first of them: a node that is started again takes lines in before
the server has said a word, for Docker gives a container that has ended ten seconds to be rid of its lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from havre.control.nodelink.messages import LogStream
from havre.control.nodelink.spool import Spool
from havre.control.tasks import Tasks
from havre.control.workloads.agent import NodeAgent

log = logging.getLogger("havre.node")

_REMEMBERED = 1000
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LogStream).decode


class LineKeeper:
    """``take`` is the sink of the intake (engines/ports.py ``LogSink``)."""

    def __init__(self, agent: NodeAgent, spool: Spool, streams: Path) -> None:
        self._agent = agent
        self._spool = spool
        self._path = streams
        self._known = _load(streams)
        self._file = self._write_anew()
        self._tasks = Tasks()

    def take(self, workload: str, container: str, lines: Sequence[tuple[int, bytes]]) -> asyncio.Future[None] | None:
        """A node that has not heard yet what it is to run does not know where lines go: their writers wait."""
        stream = self._stream(workload, container)
        if stream is not None:
            return self._spool.append(stream, lines)
        if not self._agent.told.is_set():
            return self._tasks.spawn(self._take_later(workload, container, lines), f"lines of {workload}")
        log.warning("%d lines of %s/%s belong to nothing: they are dropped", len(lines), workload, container)
        return None

    def _stream(self, workload: str, container: str) -> LogStream | None:
        known = self._known.get((workload, container))
        if known is None and (known := self._agent.log_stream(workload, container)):
            self._known[workload, container] = known
            if len(self._known) > 2 * _REMEMBERED:
                os.close(self._file)
                self._file = self._write_anew()
            else:
                os.write(self._file, _encode(known) + b"\n")
        return known

    def _write_anew(self) -> int:
        """The file with the newest ones alone; its descriptor, to go on writing."""
        self._known = dict(list(self._known.items())[-_REMEMBERED:])
        fresh = self._path.with_name(f"{self._path.name}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        os.write(descriptor, b"".join(_encode(stream) + b"\n" for stream in self._known.values()))
        fresh.replace(self._path)
        return descriptor

    async def _take_later(self, workload: str, container: str, lines: Sequence[tuple[int, bytes]]) -> None:
        await self._agent.told.wait()
        if room := self.take(workload, container, lines):
            await room

    async def close(self) -> None:
        await self._tasks.close(1.0)
        os.close(self._file)


def _load(path: Path) -> dict[tuple[str, str], LogStream]:
    """What a former life wrote down."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    found: dict[tuple[str, str], LogStream] = {}
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError):  # the last one of a process that was killed
            stream = _decode(line)
            found[stream.workload, stream.container] = stream
    return found
