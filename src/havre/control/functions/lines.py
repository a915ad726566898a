"""An environment's log: what its processes write and what the platform says, on its way to CloudWatch Logs, to the tail that
a caller asked for, and to extensions that listen."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from havre.control.nodelink.messages import LogStream
from havre.control.nodelink.spool import Spool
from havre.core.environments import report as words
from havre.core.environments.framing import Messages, Written
from havre.kernel.function import Function, FunctionLogs
from havre.kernel.world import World

log = logging.getLogger("havre.functions")

_GATHER = 0.05
"""Seconds in which lines gather: each batch costs an encoding and a write, however few lines it has."""
_MOST, _MOST_BYTES = 1000, 1 << 20
"""Lines, and bytes of them, that wait for that at most."""
TAIL = 4096


class Listener(Protocol):
    """Extensions that have subscribed to the Telemetry API."""

    def event(self, at: float, kind: str, record: Any) -> None: ...


class LineSpool:
    """Gathers the lines of all environments for the spool."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._dirty: set[EventLog] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._room: asyncio.Future[None] | None = None
        self._dropped = 0

    def note(self, events: EventLog) -> None:
        self._dirty.add(events)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHER, self._flush)

    def put(self, stream: LogStream, lines: list[tuple[int, bytes]]) -> None:
        """A function cannot be made to wait for the disk: what finds the spool full is dropped, loudly."""
        if self._room is not None and not self._room.done():
            self._dropped += len(lines)
            return
        if self._dropped:
            log.error("%d lines of functions are lost: the server took none for long", self._dropped)
            self._dropped = 0
        try:
            self._room = self._spool.append(stream, lines)
        except OSError as error:
            log.error("%d lines of %s are lost: %s", len(lines), stream.group, error)

    def _flush(self) -> None:
        self._timer = None
        dirty, self._dirty = self._dirty, set()
        for events in dirty:
            events.flush()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._flush()


class EventLog:
    """``stream`` is the environment's log stream. Text or JSON, as the function's settings say."""

    def __init__(self, logs: FunctionLogs, stream: LogStream, spool: LineSpool, world: World) -> None:
        self._json = logs.format == "JSON"
        self._application = words.LEVELS.get(logs.application_level, 2)
        self._system = words.LEVELS.get(logs.system_level, 2)
        self._stream = stream
        self._spool = spool
        self._now = world.now
        self._lines: list[tuple[int, bytes]] = []
        self._messages: dict[str, Messages] = {}
        self._size = 0
        self._tail: deque[bytes] | None = None
        self._tail_size = 0
        self.listener: Listener | None = None

    # --- what comes
    def output(self, process: str, data: bytes, *, extension: bool) -> None:
        """What a process wrote."""
        messages = self._messages.get(process)
        if messages is None:
            messages = self._messages[process] = Messages()
        self._written(messages.feed(data, int(self._now() * 1000)), extension)

    def ended(self, process: str, *, extension: bool) -> None:
        if messages := self._messages.pop(process, None):
            self._written(messages.end(int(self._now() * 1000)), extension)

    def platform(self, kind: str, record: Mapping[str, Any], text: bytes = b"") -> None:
        """``text`` is its line where the format is Text; "" where there is none."""
        at = self._now()
        if self.listener is not None:
            self.listener.event(at, kind, record)
        if not self._json:
            if text:
                self._add(int(at * 1000), text)
        elif words.LEVELS[words.level_of(kind, record)] >= self._system and kind != "platform.end":
            self._add(int(at * 1000), words.event_text(iso(at), kind, record))

    def restore_start(self, function: Function, version: str) -> None:
        """``version``: of the runtime, "" where none is managed."""
        about = {"functionName": function.name, "functionVersion": function.version}
        if version:
            about |= {"runtimeVersion": version, "runtimeVersionArn": words.runtime_arn(function.region, version)}
        self.platform("platform.restoreStart", about, words.phase_start_text("RESTORE", function.region, version))

    def line(self, text: bytes, at: float = 0.0) -> None:
        """Of the platform, in whatever format; ``at`` in seconds since the epoch, now where it is not given."""
        self._add(int((at or self._now()) * 1000), text)

    @property
    def json(self) -> bool:
        return self._json

    @property
    def plain(self) -> bool:
        """Whether nobody wants events: lines will do."""
        return self.listener is None and not self._json

    def _written(self, written: list[Written], extension: bool) -> None:
        for message in written:
            if self.listener is not None:
                kind = "extension" if extension else "function"
                text = message.text if message.level is not None else message.text.removesuffix(b"\n")
                self.listener.event(message.at / 1000, kind, text.decode("utf-8", "replace"))
            if not self._json or self._passes(message):
                self._add(message.at, message.text)

    def _passes(self, message: Written) -> bool:
        """Whether its level is high enough; what has none is kept."""
        level = message.level
        if not level and message.text.startswith(b"{"):
            try:
                found = json.loads(message.text)
            except ValueError:
                return True
            level = found.get("level") if isinstance(found, dict) else None
        if not isinstance(level, str) or not level:
            return True
        return words.LEVELS.get(level.upper(), 2) >= self._application

    # --- where it goes
    def _add(self, at: int, text: bytes) -> None:
        lines = self._lines
        lines.append((at, text))
        self._size += len(text)
        if self._tail is not None:
            self._keep(self._tail, text if text.endswith(b"\n") else text + b"\n")
        if len(lines) == 1:
            self._spool.note(self)
        elif len(lines) >= _MOST or self._size >= _MOST_BYTES:
            self.flush()

    def _keep(self, tail: deque[bytes], text: bytes) -> None:
        """Of a function that writes without end, no more than is asked for."""
        tail.append(text)
        self._tail_size += len(text)
        while self._tail_size - len(tail[0]) >= TAIL:
            self._tail_size -= len(tail.popleft())

    def flush(self) -> None:
        if self._lines:
            lines, self._lines, self._size = self._lines, [], 0
            self._spool.put(self._stream, lines)

    def begin_tail(self) -> None:
        self._tail, self._tail_size = deque(), 0

    def end_tail(self) -> bytes:
        """The last 4 KiB since ``begin_tail``."""
        found, self._tail = self._tail or (), None
        return b"".join(found)[-TAIL:]


def iso(at: float) -> str:
    """``at`` (seconds since the epoch) as AWS writes it in events: to the millisecond."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stream_of(function: Function, name: str) -> LogStream:
    """Where the lines of one of its environments go."""
    return LogStream(
        workload=f"{function.id}/{name}",
        container="",
        account=function.account,
        region=function.region,
        group=function.logs.group,
        stream=name,
        options={"awslogs-create-group": "true"},
        role=function.role,
    )
