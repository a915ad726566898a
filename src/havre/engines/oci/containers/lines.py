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


def read(data: bytes, *, last: bool = False) -> tuple[list[tuple[int, bytes]], int]:
    """(milliseconds, text) of the whole lines at the beginning, and how many bytes of ``data`` they were. What is no
    line of a monitor's is passed over. ``last``: nothing will follow, so that pieces are all that there is of a line."""
    found: list[tuple[int, bytes]] = []
    parts: dict[bytes, tuple[int, list[bytes], int]] = {}
    at = used = 0
    while (end := data.find(b"\n", at)) >= 0:
        words = data[at:end].split(b" ", 3)
        at = end + 1
        if len(words) == 4 and len(words[0]) >= 26:
            moment, stream, kind, text = words
            try:
                when = _second(moment[:19], moment[29:] or b"+00:00") + int(moment[20:23])
            except ValueError:
                continue
            if kind == b"F" and stream not in parts:
                found.append((when, text))
            else:
                first, pieces, size = parts.pop(stream, (when, [], 0))
                pieces.append(text)
                size += len(text)
                if kind == b"F" or size >= LARGEST:
                    found.append((first, b"".join(pieces)))
                else:
                    parts[stream] = (first, pieces, size)
        if not parts:
            used = at
    if parts and (
        last or (not used and len(data) >= WINDOW)
    ):  # at the end, or two streams that keep each other from an end
        found += [(first, b"".join(pieces)) for first, pieces, _ in parts.values()]
        used = at
    return found, used


def tail(data: bytes, count: int) -> bytes:
    """The text of the last lines, as ``docker logs --tail`` gives them. A line that has no beginning is left out."""
    if count <= 0:
        return b""
    return b"".join(text + b"\n" for _, text in read(data, last=True)[0][-count:])
