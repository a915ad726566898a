"""How bytes get into files.

Through the page cache, where whoever pulls what was just pushed finds them; or, where the page cache is dear, around it, and
then the disk is asked to bring them there. To find pages, copy into them and write them back takes 0.3 ms of CPU time a
mebibyte, but 2.5 in a virtual machine whose host gives memory only when it is touched first, more than all else that a push
costs. What the disk brings we do not touch first: there and back take 0.5 ms.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

RESERVE = 1 << 20
"""Bytes of memory that a thread has for writes around the page cache, one after the other."""
BLOCK = 4096
"""Bytes. Memory, offset and length of such a write are multiples of the disk's block, which is this or a part of it."""
DEAR = 1e-9
"""Seconds of CPU time a byte from which on the page cache is dear."""
PROBE = 32
"""Of so many writes one goes through the page cache all the same, to learn what that costs by now."""
WEIGHT = 0.3
"""Of the last write among those before it."""
IOV_MAX = 1024


class _Reserve(threading.local):
    def __init__(self) -> None:
        self.view = memoryview(mmap.mmap(-1, RESERVE))


_reserve = _Reserve()


def write_all(file: int, pieces: Sequence[bytes | memoryview]) -> None:
    """Raises OSError, and then some may have been written."""
    done = os.writev(file, pieces) if 0 < len(pieces) <= IOV_MAX else 0
    for piece in pieces:
        view = memoryview(piece)[done:]
        done = max(done - len(piece), 0)
        while view:
            view = view[os.write(file, view) :]


class Writer:
    """Appends to files; chooses the way. ``clock`` is the calling thread's CPU time in seconds. Used by several threads."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._cost = 0.0
        self._turn = 0

    def append(self, file: int, pieces: Sequence[bytes], at: int) -> None:
        """``file`` is open for appending and ``at`` bytes long. Raises OSError, and then some may have been written."""
        size = sum(map(len, pieces))
        if size < BLOCK:
            write_all(file, pieces)
        elif self._is_dear():
            _write_around(file, pieces, at)
        else:
            began = self._clock()
            write_all(file, pieces)
            self._cost += WEIGHT * ((self._clock() - began) / size - self._cost)

    def _is_dear(self) -> bool:
        if self._cost < DEAR:
            return False
        self._turn += 1
        return self._turn % PROBE != 0


def _write_around(file: int, pieces: Sequence[bytes], at: int) -> None:
    view, waiting = _reserve.view, deque(memoryview(piece) for piece in pieces)
    while waiting:
        first = last = at % BLOCK
        while waiting and last < RESERVE:
            piece = waiting.popleft()
            taken = min(len(piece), RESERVE - last)
            view[last : last + taken] = piece[:taken]
            last += taken
            if taken < len(piece):
                waiting.appendleft(piece[taken:])
        _write_portion(file, view[:last], first, at)
        at += last - first


def _write_portion(file: int, view: memoryview, first: int, at: int) -> None:
    """``view`` from ``first`` on, which lies in its block as ``at`` lies in the file's. Parts of a block go through the page
    cache, and all that the file system wants so."""
    begin = min(-(-first // BLOCK) * BLOCK, len(view))
    end = max(len(view) - len(view) % BLOCK, begin)
    if first < begin:
        write_all(file, [view[first:begin]])
    done = _write_blocks(file, view[begin:end]) if begin < end else 0
    if done:
        with suppress(OSError):  # advice: without it the bytes come when they are wanted
            os.posix_fadvise(file, at - first + begin, done, os.POSIX_FADV_WILLNEED)
    if begin + done < len(view):
        write_all(file, [view[begin + done :]])


def _write_blocks(file: int, view: memoryview) -> int:
    """How many bytes the file system took around the page cache. Raises OSError."""
    done = 0
    try:
        fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND | os.O_DIRECT)
        while done < len(view):
            done += os.write(file, view[done:])
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
    return done
