"""The events of one function that wait: those that are due, in order, and those that are due later."""

from __future__ import annotations

import heapq
from collections import deque

from havre.core.invoking.pace import EVERY, FIRST, SILENT, pace, slower
from havre.services.lambda_.invoking.events import Event, Where


class Line:
    """In memory. ``width`` is how many run at once at most."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self.width = FIRST
        self.running = 0
        self._ready: deque[tuple[int, Event]] = deque()
        self._later: list[tuple[float, int, Event]] = []
        self._through = 0
        self._looked = 0.0
        self._paused = 0.0

    def __len__(self) -> int:
        return len(self._ready) + len(self._later) + self.running

    @property
    def ready(self) -> int:
        return len(self._ready)

    def add(self, number: int, event: Event, now: float) -> None:
        if event.tried.due > now:
            heapq.heappush(self._later, (event.tried.due, number, event))
        else:
            self._ready.append((number, event))

    def take(self, now: float) -> tuple[int, Event] | None:
        """The next one that may begin now."""
        while self._later and self._later[0][0] <= now:
            _, number, event = heapq.heappop(self._later)
            self._ready.append((number, event))
        self._look(now)
        if self.running >= self.width or now < self._paused or not self._ready:
            return None
        self.running += 1
        return self._ready.popleft()

    def next_time(self, now: float) -> float | None:
        """When something may be due that is not now."""
        times = [self._later[0][0]] if self._later else []
        if self._ready:
            times.append(self._paused if self._paused > now else self._look_at)
        return min(times, default=None)

    def ended(self, through: bool) -> None:
        """One is not running any more; ``through``: the function ran."""
        self.running -= 1
        if through:
            self._through += 1

    @property
    def _look_at(self) -> float:
        return self._looked + (EVERY if self._through else SILENT)

    def _look(self, now: float) -> None:
        """At the pace, when it is time."""
        if now < self._look_at:
            return
        since = now - self._looked
        if since < SILENT * 2:
            self.width = pace(self.width, len(self._ready), self.running, self._through / since)
        self._through, self._looked = 0, now

    def held_up(self, now: float) -> None:
        """A throttle, or machines without room: fewer at once, and none for a moment."""
        if now >= self._paused:
            self.width = slower(self.width)
            self._paused = now + EVERY
