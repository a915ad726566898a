"""How bytes get into files: through the page cache, where whoever pulls what was just pushed finds them.

That takes 0.4 ms of CPU time a mebibyte; but 3 in a virtual machine whose host hands memory out when it is touched first,
more than all else that a push costs. While new pages are so dear, a write takes over those of what was pushed long before:
that is dropped from the page cache, and what the kernel has just got back it hands out next.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

BLOCK = 4096
"""Bytes. Shorter writes are neither timed nor given pages."""
DEAR = 1e-9
"""Seconds of CPU time a byte from which on new pages are dear."""
PROBE = 32
"""Of so many writes one gets new pages all the same, to learn what they cost by now."""
WEIGHT = 0.3
"""Of the last write among those before it."""
KEPT = 256 << 20
"""Bytes pushed last that stay in the page cache."""
KNOWN = 2 * KEPT
"""Bytes pushed last of which pages may be taken."""
IOV_MAX = 1024


def write_all(file: int, pieces: Sequence[bytes | memoryview]) -> None:
    """Raises OSError, and then some may have been written."""
    done = os.writev(file, pieces) if 0 < len(pieces) <= IOV_MAX else 0
    for piece in pieces:
        view = memoryview(piece)[done:]
        done = max(done - len(piece), 0)
        while view:
            view = view[os.write(file, view) :]


class Pushed:
    """Files that were pushed, the oldest first, as far as they are in the page cache. Used by several threads."""

    def __init__(self) -> None:
        self._files: deque[tuple[str, int, int]] = deque()
        self._size = 0
        self._lock = threading.Lock()

    def add(self, path: Path, size: int) -> None:
        """``path`` is durable and never changes."""
        with self._lock:
            self._files.append((os.fspath(path), 0, size))
            self._size += size
            while self._size > KNOWN:
                _, start, end = self._files.popleft()
                self._size -= end - start

    def give_back(self, size: int) -> bool:
        """So many bytes of the oldest leave the page cache; False when there is too little of them."""
        with self._lock:
            if self._size - size < KEPT:
                return False
            parts = self._take(size)
        for path, start, length in parts:
            with suppress(OSError):  # it was removed meanwhile, or the file system takes no advice
                _drop(path, start, length)
        return True

    def _take(self, size: int) -> list[tuple[str, int, int]]:
        parts = []
        self._size -= size
        while size:
            path, start, end = self._files.popleft()
            length = min(size, end - start)
            parts.append((path, start, length))
            size -= length
            if start + length < end:
                self._files.appendleft((path, start + length, end))
        return parts


def _drop(path: str, start: int, length: int) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(file, start, length, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


class Writer:
    """``clock`` is the calling thread's CPU time in seconds. Used by several threads."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self.pushed = Pushed()
        self._clock = clock
        self._cost = 0.0
        self._turn = 0

    def write(self, file: int, pieces: Sequence[bytes]) -> None:
        """Append. Raises OSError, and then some may have been written."""
        size = sum(map(len, pieces))
        if size < BLOCK or (self._is_dear() and self.pushed.give_back(size)):
            write_all(file, pieces)
            return
        began = self._clock()
        write_all(file, pieces)
        self._cost += WEIGHT * ((self._clock() - began) / size - self._cost)

    def _is_dear(self) -> bool:
        if self._cost < DEAR:
            return False
        self._turn += 1
        return self._turn % PROBE != 0
