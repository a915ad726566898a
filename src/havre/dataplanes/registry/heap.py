"""The C library's heap, told to keep for the next upload what one leaves.

By default it gives large pieces back to the kernel at once, which then has to find, clear and map pages for each piece of a
body anew.
"""

from __future__ import annotations

from functools import cache

KEPT = 32 << 20
"""Bytes that may stay with the process."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of glibc's mallopt(3); other C libraries have none, and are left as they are."""


@cache
def keep_what_is_freed() -> None:
    """Once a process, when it first gets a long body: who pushes nothing pays nothing, not even the import."""
    import ctypes

    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(_TRIM_THRESHOLD, KEPT)
        tune(_MMAP_THRESHOLD, KEPT)
