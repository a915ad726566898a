"""How many events of one function's queue are run side by side: as few as keep up, so that a burst of quick events does not
start hundreds of environments."""

from __future__ import annotations

FIRST = 8
EVERY = 0.1
"""Seconds between two looks at the pace."""
SILENT = 1.0
"""Seconds until the next look when nothing has got through meanwhile: environments may be starting."""
PATIENCE = 5.0
"""Seconds in which what is ready should be through."""
GROWTH = 1.25
MOST = 1000


def pace(now: int, ready: int, running: int, through: float) -> int:
    """How many at once from now on. ``now``: how many so far, ``ready``: events that wait, ``through``: events a second that
    have lately got through."""
    if ready == 0 or running < now:
        return now
    if ready <= PATIENCE * through:
        return now
    return min(MOST, max(now + 1, int(now * GROWTH)))


def slower(now: int) -> int:
    """After a throttle, or when the machines have no room."""
    return max(1, now // 2)
