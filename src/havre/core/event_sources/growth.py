"""How many batches of a queue are under way at once: a few at first, more while there is more to do than gets done."""

from __future__ import annotations

FIRST, PER_SECOND, MOST = 5, 5.0, 1000
"""Lambda begins with five batches at once, and adds up to 300 a minute."""


def allowed(now: float, busy_since: float | None, most: int = MOST) -> int:
    """Batches at most, of a queue that has had more messages than were asked for since ``busy_since`` (None: it has not).
    Times in seconds."""
    grown = 0 if busy_since is None else int((now - busy_since) * PER_SECOND)
    return min(most, FIRST + grown)
