"""What a process writes, as messages: lines, and among them the frames in which AWS's runtime clients put messages of
several lines (type, length, time in microseconds, text; big endian)."""

from __future__ import annotations

from typing import NamedTuple

_MAGIC = b"\xa5\x5a\x00"
_PLAIN = 0x01
"""The type of the first clients' frames, which have no time in them."""
_LEVELS = {0: "", 2: "DEBUG", 3: "INFO", 4: "WARN", 5: "ERROR", 6: "FATAL"}
MAX_LINE = 256 << 10
"""Bytes of one event of CloudWatch Logs, with its overhead left out: what is longer is parted."""
_MAX_FRAME = 8 << 20


class Written(NamedTuple):
    """``at`` in milliseconds; ``level`` "" where the frame says none, None where it is a line. Lines have their end, as they
    have it in AWS's events."""

    at: int
    text: bytes
    level: str | None = None


class Messages:
    """Of one process. ``feed`` gives what is whole."""

    def __init__(self) -> None:
        self._rest = b""
        self._more = bytearray()
        self._lacks = 0
        """Bytes until the frame that has begun is whole: what comes meanwhile is put together once."""

    def feed(self, data: bytes, now: int) -> list[Written]:
        if len(data) < self._lacks:
            self._more += data
            self._lacks -= len(data)
            return []
        if self._rest:
            data, self._rest = b"".join((self._rest, self._more, data)), b""
            self._more.clear()
            self._lacks = 0
        if _MAGIC not in data:
            head, _, self._rest = data.rpartition(b"\n")
            found = [Written(now, line + b"\n") for line in head.split(b"\n") if line] if head else []
            return found + self._cut(now)
        return self._mixed(data, now) + self._cut(now)

    def end(self, now: int) -> list[Written]:
        """What is left of a process that has ended."""
        rest, self._rest = self._rest + self._more, b""
        self._more.clear()
        self._lacks = 0
        return [Written(now, rest)] if rest else []

    def _cut(self, now: int) -> list[Written]:
        found = []
        while len(self._rest) > MAX_LINE and not self._rest.startswith(_MAGIC):
            found.append(Written(now, self._rest[:MAX_LINE]))
            self._rest = self._rest[MAX_LINE:]
        return found

    def _mixed(self, data: bytes, now: int) -> list[Written]:
        found: list[Written] = []
        at, end = 0, len(data)
        while at < end:
            if data.startswith(_MAGIC, at):
                taken = self._frame(data, at, now, found)
                if not taken:
                    break
                at += taken
                continue
            ends = [i for i in (data.find(b"\n", at), data.find(_MAGIC, at)) if i >= 0]
            if not ends:
                break
            stop = min(ends)
            after = stop + (data[stop] == 10)
            if stop > at:
                found.append(Written(now, data[at:after]))
            at = after
        self._rest = data[at:]
        return _in_order(found)

    def _frame(self, data: bytes, at: int, now: int, found: list[Written]) -> int:
        """Bytes of the frame at ``at``; 0: it is not whole yet."""
        if len(data) - at < 8:
            return 0
        kind = data[at + 3]
        head = 8 if kind == _PLAIN else 16
        if len(data) - at < head:
            return 0
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        if size > _MAX_FRAME:  # no client's: taken for text
            found.append(Written(now, data[at : at + head]))
            return head
        if len(data) - at - head < size:
            self._lacks = size - (len(data) - at - head)
            return 0
        text = data[at + head : at + head + size]
        when = now if kind == _PLAIN else int.from_bytes(data[at + 8 : at + 16], "big") // 1000
        level = _LEVELS.get(kind >> 2, "")
        if text:
            found += [Written(when, text[part : part + MAX_LINE], level) for part in range(0, len(text), MAX_LINE)]
        return head + size


def _in_order(found: list[Written]) -> list[Written]:
    """Lines are of when they were read, frames of when they were written: what was written before a frame is not later."""
    for index in range(len(found) - 2, -1, -1):
        if found[index].level is None and found[index].at > found[index + 1].at:
            found[index] = found[index]._replace(at=found[index + 1].at)
    return found
