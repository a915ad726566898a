"""Token buckets of routes."""

from __future__ import annotations

from collections.abc import Callable, Hashable

_MOST = 10_000


class Buckets:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[Hashable, tuple[float, float]] = {}

    def take(self, key: Hashable, limits: tuple[float, float] | None) -> bool:
        """``limits``: requests at once, and a second; None for as many as come."""
        if limits is None:
            return True
        burst, rate = limits
        now = self._clock()
        held, since = self._buckets.get(key, (burst, now))
        held = min(burst, held + (now - since) * rate)
        if key not in self._buckets and len(self._buckets) >= _MOST:
            self._buckets.clear()
        taken = held >= 1
        self._buckets[key] = (held - taken, now)
        return taken
