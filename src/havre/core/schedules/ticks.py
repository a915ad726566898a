"""Which times of a schedule have come, those that passed while nobody looked among them."""

from __future__ import annotations

from collections import deque

from havre.core.schedules.expressions import Schedule

MOST = 60
"""So many missed times are made up for: the latest."""
LOOKED_AT = 100_000


def ticks(schedule: Schedule, due: float | None, now: float, most: int = MOST) -> tuple[list[float], float | None]:
    """The times from ``due`` up to ``now``, and the one after them (None when there is none). Seconds since the epoch."""
    come: deque[float] = deque(maxlen=most)
    for _ in range(LOOKED_AT):
        if due is None or due > now:
            break
        come.append(due)
        due = schedule.after(due)
    else:
        due = schedule.after(now)
    return list(come), due
