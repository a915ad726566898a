"""What monitors write (the format that Kubernetes has): ``time stream F|P text``, a line each. Pure.

P is a piece of a line that is longer than a monitor's buffer. This is the path of every line that a container writes, and is
written for speed.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

LARGEST = 256 * 1024
"""Bytes of an event in CloudWatch Logs: longer lines come out in pieces of that size, as the awslogs driver has it."""
WINDOW = 1 << 20
"""Bytes that are enough for any piece of a line that comes out at once."""


@lru_cache(maxsize=64)
def _second(text: bytes, zone: bytes) -> int:
    """Milliseconds of ``2026-11-26T01:09:58`` in the zone ``+00:00``."""
    return int(datetime.fromisoformat((text + zone).decode()).timestamp()) * 1000


Open = dict[str, tuple[int, bytes]]
"""Lines that have begun: stream → (milliseconds, what there is of it)."""


def read(data: bytes, begun: Open, *, last: bool = False) -> tuple[list[tuple[int, bytes]], int]:
    """(milliseconds, text) of the lines that end in ``data``, and how many bytes of it were read. What is no line of a
    monitor's is passed over. ``begun`` is what an earlier call left of unfinished ones, and is changed to what this one
    leaves. ``last``: nothing will follow, so that pieces are all that there is of a line."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while (end := data.find(b"\n", at)) >= 0:
        words = data[at:end].split(b" ", 3)
        at = end + 1
        if len(words) != 4 or len(words[0]) < 26:
            continue
        moment, stream, kind, text = words
        try:
            when = _second(moment[:19], moment[29:] or b"+00:00") + int(moment[20:23])
        except ValueError:
            continue
        if kind == b"F" and not begun:
            found.append((when, text))
        else:
            _join(found, begun, stream.decode(errors="replace"), (when, text), whole=kind == b"F")
    if last:
        found += begun.values()
        begun.clear()
    return found, at


def _join(found: list[tuple[int, bytes]], begun: Open, stream: str, piece: tuple[int, bytes], *, whole: bool) -> None:
    """A piece of a line behind those before it, or the end of it."""
    when, before = begun.pop(stream, (piece[0], b""))
    text = before + piece[1]
    if whole or len(text) >= LARGEST:
        found.append((when, text))
    else:
        begun[stream] = (when, text)


def tail(data: bytes, count: int) -> bytes:
    """The text of the last lines, as ``docker logs --tail`` gives them."""
    if count <= 0:
        return b""
    return b"".join(text + b"\n" for _, text in read(data, {}, last=True)[0][-count:])
