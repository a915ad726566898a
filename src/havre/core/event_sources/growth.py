"""How many batches of a queue are under way at once: a few at first, more while more at once get more done.

Lambda adds up to 300 a minute while there are messages. Here machines are few: where batches take much longer than they did
when there were fewer of them, the machines are full, and more would only make each slower, up to its time-out.
"""

from __future__ import annotations

FIRST, STEP, MOST = 5, 5, 1000
EVERY = 1.0
"""Seconds between two looks."""
FULL = 2.5
"""So many times as long as at best: the machines are full."""
_REMEMBERED = 200


class Growth:
    """``most`` batches, whatever happens, and ``least`` of them from the first on."""

    def __init__(self, most: int = MOST, least: int = FIRST) -> None:
        self._most = most
        self._least = min(least, most)
        self._took: list[float] = []
        self._best = 0.0
        self._looked: float | None = None
        self._short = False
        self.allowed = self._least

    def ended(self, seconds: float) -> None:
        """A batch was dealt with, in so many seconds."""
        if len(self._took) < _REMEMBERED:
            self._took.append(seconds)

    def wanted(self) -> None:
        """There is another batch, and no room for it."""
        self._short = True

    def drained(self) -> None:
        """There is nothing more to do: it begins small again."""
        self.allowed, self._short = self._least, False

    def look(self, now: float) -> None:
        """As often as one likes. Where none has ended since the last look, more are begun: they may be slow ones."""
        if self._looked is None:
            self._looked = now
        if now < self._looked + EVERY:
            return
        if self._took and self._full(_median(self._took)):
            self.allowed = max(self._least, self.allowed * 3 // 4)
        elif self._short:
            self.allowed = min(self._most, self.allowed + STEP)
        self._took, self._short, self._looked = [], False, now

    def _full(self, usual: float) -> bool:
        """``usual``: how long a batch takes now. What the fewest take is what it is compared with."""
        self._best = usual if self.allowed == self._least else min(self._best or usual, usual)
        return usual > FULL * self._best


def _median(took: list[float]) -> float:
    from statistics import median  # not before a queue is polled: it loads a megabyte

    return median(took)
