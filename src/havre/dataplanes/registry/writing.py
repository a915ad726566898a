"""How bytes get into files.

A file that is written whole goes around the page cache. Through it, pages have to be found, copied into and written back;
in a virtual machine whose host gives memory only when it is touched, that took 2.5 ms a mebibyte, more than all else that a
push costs. Longer files go through it nevertheless: whoever pulls what was just pushed is served from it.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import threading
from collections.abc import Sequence

LONGEST = 1 << 20
"""Bytes of a file that goes around the page cache; as many a thread has in reserve for it."""
BLOCK = 4096
"""Bytes. Memory, offset and length of such a write are multiples of the disk's block, which is this or a part of it."""
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


def write_whole(file: int, pieces: Sequence[bytes]) -> None:
    """All that will ever be in ``file``, which is empty and open for writing. Through the page cache goes what is too long,
    what is left of a block at the end, and everything where the file system wants it so. Raises OSError, and then some may
    have been written."""
    size = sum(map(len, pieces))
    if size < BLOCK or size > LONGEST or not _bypass(file, True):
        write_all(file, pieces)
        return
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
