"""How bytes get into files: through the page cache, where whoever pulls what was just pushed finds them."""

from __future__ import annotations

import os
from collections.abc import Sequence

STEP = 64 << 10
"""Bytes of a short blob that are written at a time. The kernel takes a run of pages as long as the write. A virtual machine
gives its host long runs of free memory back, and to touch one first takes 3 ms of CPU time a mebibyte instead of 0.5; short
runs stay. But a long file in short runs is sent a tenth slower: long blobs are written as they come."""


def write_all(file: int, pieces: Sequence[bytes | memoryview], step: int | None = None) -> None:
    """``step``: bytes that are written at a time, None for each piece as it is. Raises OSError, and then some may have been
    written."""
    for piece in pieces:
        view = memoryview(piece)
        while view:
            view = view[os.write(file, view[:step]) :]
