"""How bytes get into files.

Through the page cache, where whoever pulls what was just pushed finds them; or, for short files that are written whole,
around it where it is dear. Its pages have to be found, copied into and written back: that takes 0.3 ms of CPU time a
mebibyte, but 2.5 in a virtual machine whose host gives memory only when it is touched, more than all else that a push costs.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import threading
import time
from collections.abc import Callable, Sequence

LONGEST = 1 << 20
"""Bytes of a file that may go around the page cache; as many a thread has in reserve for it."""
BLOCK = 4096
"""Bytes. Memory, offset and length of such a write are multiples of the disk's block, which is this or a part of it."""
DEAR = 1e-9
"""Seconds of CPU time a byte from which on the page cache is dear."""
PROBE = 32
"""Of so many files one goes through the page cache all the same, to learn what that costs by now."""
WEIGHT = 0.3
"""Of the last file among those before it."""
IOV_MAX = 1024


class _Reserve(threading.local):
    def __init__(self) -> None:
        self.view = memoryview(mmap.mmap(-1, LONGEST))


_reserve = _Reserve()


def write_all(file: int, pieces: Sequence[bytes | memoryview]) -> None:
    """Raises OSError, and then some may have been written."""
    done = os.writev(file, pieces) if 0 < len(pieces) <= IOV_MAX else 0
    for piece in pieces:
        view = memoryview(piece)[done:]
        done = max(done - len(piece), 0)
        while view:
            view = view[os.write(file, view) :]


class WholeFiles:
    """``clock`` is the calling thread's CPU time in seconds. Used by several threads."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._cost = 0.0
        self._turn = 0

    def write(self, file: int, pieces: Sequence[bytes]) -> None:
        """All that will ever be in ``file``, which is empty and open for writing. Raises OSError, and then some may have
        been written."""
        size = sum(map(len, pieces))
        if size < BLOCK or size > LONGEST:
            write_all(file, pieces)
        elif self._is_dear() and _bypass(file, True):
            _write_around(file, pieces, size)
        else:
            began = self._clock()
            write_all(file, pieces)
            self._cost += WEIGHT * ((self._clock() - began) / size - self._cost)

    def _is_dear(self) -> bool:
        if self._cost < DEAR:
            return False
        self._turn += 1
        return self._turn % PROBE != 0


def _write_around(file: int, pieces: Sequence[bytes], size: int) -> None:
    """Through the page cache goes what is left of a block at the end, and all that the file system wants so."""
    view, at = _reserve.view, 0
    for piece in pieces:
        view[at : at + len(piece)] = piece
        at += len(piece)
    done = _write_blocks(file, view[: size - size % BLOCK])
    if done < size:
        _bypass(file, False)
        write_all(file, [view[done:size]])


def _write_blocks(file: int, view: memoryview) -> int:
    """How many bytes the file system took that way. Raises OSError."""
    done = 0
    try:
        while done < len(view):
            done += os.write(file, view[done:])
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return done


def _bypass(file: int, wanted: bool) -> bool:
    """Whether writes to ``file`` go around the page cache from now on; False where that cannot be had."""
    flags = fcntl.fcntl(file, fcntl.F_GETFL)
    try:
        fcntl.fcntl(file, fcntl.F_SETFL, flags | os.O_DIRECT if wanted else flags & ~os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return wanted
