"""How many pollers work on a queue at once: a few at first, more while there is more to do than they get done."""

from __future__ import annotations

FIRST, PER_SECOND, MOST = 5, 5.0, 1000
"""Lambda begins with five batches at once, and adds up to 300 a minute."""


def allowed(now: float, busy_since: float | None, most: int = MOST) -> int:
    """Pollers at most, of a queue that has had more messages than one poller takes since ``busy_since`` (None: it has
    not). Times in seconds."""
    if busy_since is None:
        return 1
    return min(most, FIRST + int((now - busy_since) * PER_SECOND))
