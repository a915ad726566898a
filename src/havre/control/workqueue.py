"""Which keys of one reconciler are due: each once, one run of a key at a time, no wake-up lost. No I/O, no own clock."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Hashable
from itertools import islice
from random import Random
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
SPARE = 64
CHOICE = 64
"""Among how many keys chance chooses."""


class WorkQueue(Generic[K]):
    """Fresh wake-ups come before those of a resync. A key that is woken while it runs becomes due again afterwards."""

    def __init__(self) -> None:
        self._fresh: OrderedDict[K, None] = OrderedDict()
        self._stale: OrderedDict[K, None] = OrderedDict()
        self._running: dict[K, float] = {}
        self._again: dict[K, bool] = {}
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0

    def wake(self, key: K, fresh: bool = True) -> None:
        """The key is due now."""
        if key in self._running:
            self._again[key] = fresh or self._again.get(key, False)
        elif fresh:
            self._stale.pop(key, None)
            self._fresh[key] = None
        elif key not in self._fresh:
            self._stale[key] = None

    def wake_at(self, key: K, when: float) -> None:
        """The key is due then, unless something wakes it earlier; the earliest time asked for counts."""
        known = self._due.get(key)
        if known is None or when < known:
            self._due[key] = when
            self._count += 1
            heapq.heappush(self._heap, (when, self._count, key))
            if len(self._heap) > SPARE + 2 * len(self._due):
                self._sweep()

    def _sweep(self) -> None:
        """Forget timers that are off: some of them would stay for days."""
        self._heap = [(when, n, key) for n, (key, when) in enumerate(self._due.items())]
        self._count = len(self._heap)
        heapq.heapify(self._heap)

    def next_time(self) -> float | None:
        """When the next timer goes off."""
        while self._heap:
            when, _, key = self._heap[0]
            if self._due.get(key) == when:
                return when
            heapq.heappop(self._heap)
        return None

    def ring(self, now: float) -> None:
        """Wake the keys whose time has come."""
        while (when := self.next_time()) is not None and when <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._due[key]
            self.wake(key)

    def take(self, now: float, chance: Random | None = None) -> K | None:
        """The next key to run, or one of the next if ``chance`` is to choose; None when none is due. Its timer is off
        then: whoever runs it says when to look again."""
        ready = self._fresh or self._stale
        if not ready:
            return None
        position = 0 if chance is None else chance.randrange(min(len(ready), CHOICE))
        key = next(islice(ready, position, None))
        del ready[key]
        self._due.pop(key, None)
        self._running[key] = now
        return key

    def done(self, key: K) -> None:
        """The run has ended."""
        del self._running[key]
        fresh = self._again.pop(key, None)
        if fresh is not None:
            self.wake(key, fresh)

    @property
    def ready(self) -> int:
        return len(self._fresh) + len(self._stale)

    @property
    def running(self) -> int:
        return len(self._running)

    def oldest(self, now: float) -> float:
        """For how many seconds the longest run has been under way; 0 when none is."""
        return now - min(self._running.values()) if self._running else 0.0
