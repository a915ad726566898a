"""Metrics of AWS services: what happens is added in passing (a microsecond each) and put away every few seconds.

What a crash takes is what was added since: metrics of services are best effort, as in AWS. What users put themselves
(PutMetricData) does not go through here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from havre.control.tasks import Tasks
from havre.kernel.errors import Temporary

if TYPE_CHECKING:
    from havre.store.points import Points, Sample

log = logging.getLogger("havre.metrics")
EVERY = 5.0
"""Seconds between what is added and its being put away."""
MINUTE = 60
LOOK = 50.0
"""The second of a minute in which looks are taken at what is not counted in passing: what is told of a minute was in it."""
MOST_VALUES = 100_000
"""Values that wait in memory; when there are more, they are put away at once."""
MOST_SAMPLES = 20_000
"""Sums by minute that wait for a disk that refuses; what is beyond is lost, and the log says how many."""

Dimensions = tuple[tuple[str, str], ...]
"""Pairs of name and value, in any order."""
_Key = tuple[str, str, str, str, Dimensions, str]


class Tally(NamedTuple):
    """Value → how often it was seen within the minute that ``at`` (seconds since the epoch) is in, or within the second
    where ``step`` is 1."""

    account: str
    region: str
    namespace: str
    name: str
    dimensions: Dimensions
    unit: str
    at: float
    values: Mapping[float, float]
    step: int = MINUTE


def until_look(now: float) -> float:
    """Seconds until the next one, a minute at most."""
    return (LOOK - now) % MINUTE or MINUTE


class Metrics(Protocol):
    """Handed to services as ``call.metrics`` and ``deps.metrics``."""

    def add(
        self,
        account: str,
        region: str,
        namespace: str,
        name: str,
        dimensions: Dimensions = (),
        value: float = 1.0,
        unit: str = "Count",
    ) -> None:
        """One value, measured now. ``namespace`` as ``AWS/Lambda``, ``unit`` one of CloudWatch's. Never fails."""
        ...

    def put(self, tally: Tally) -> None:
        """Values that somebody has counted himself. Never fails."""
        ...

    def feed(self, drain: Callable[[], None]) -> Callable[[], None]:
        """``drain`` puts what somebody counts himself: it is called before anything is put away, or read. Gives what he
        calls when there is something to drain: it is put away within EVERY seconds. Cheap."""
        ...


class Unmetered:
    """Where nobody keeps metrics."""

    __slots__ = ()

    def add(self, *measured: object, **named: object) -> None:
        return None

    def put(self, tally: Tally) -> None:
        return None

    def feed(self, drain: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


UNMETERED = Unmetered()


class Recorder:
    """``open`` gives where points are kept, when the first ones are put away."""

    def __init__(self, now: Callable[[], float], open: Callable[[], Points]) -> None:
        self._now = now
        self._open = open
        self._until = 0.0
        self._minute: dict[_Key, list[float]] = {}
        self._gathered: dict[int, dict[_Key, list[float]]] = {}
        """Start of the minute, in seconds since the epoch → what was added in it; the present one's is ``_minute``."""
        self._tallies: list[Tally] = []
        self._drains: list[Callable[[], None]] = []
        self._waiting: list[Sample] = []
        self._left = MOST_VALUES
        self._timer: asyncio.TimerHandle | None = None
        self._writing = asyncio.Lock()
        self._tasks = Tasks()

    def add(
        self,
        account: str,
        region: str,
        namespace: str,
        name: str,
        dimensions: Dimensions = (),
        value: float = 1.0,
        unit: str = "Count",
    ) -> None:
        if self._now() >= self._until:
            self._turn()
        key = (account, region, namespace, name, dimensions, unit)
        values = self._minute.get(key)
        if values is None:
            self._minute[key] = [value]
        else:
            values.append(value)
        self._left -= 1
        if self._left <= 0 or self._timer is None:
            self._schedule()

    def put(self, tally: Tally) -> None:
        self._tallies.append(tally)
        self._wake()

    def feed(self, drain: Callable[[], None]) -> Callable[[], None]:
        self._drains.append(drain)
        return self._wake

    def _wake(self) -> None:
        if self._timer is None:
            self._schedule()

    def _turn(self) -> None:
        """A new minute."""
        start = int(self._now()) // MINUTE * MINUTE
        self._until = start + MINUTE
        self._minute = self._gathered.setdefault(start, {})

    def _schedule(self) -> None:
        """Nothing runs while nothing is added."""
        delay = EVERY if self._left > 0 else 0.0
        if self._left <= 0:
            self._left = MOST_VALUES
            if self._timer is not None:
                self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay, self._due)

    def _due(self) -> None:
        self._tasks.spawn(self.flush(), "metrics")

    def _taken(self) -> list[Sample]:
        """What was added since, by series and minute."""
        for drain in self._drains:
            drain()
        gathered, self._gathered, self._until = self._gathered, {}, 0.0
        tallies, self._tallies = self._tallies, []
        self._minute, self._left = {}, MOST_VALUES
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for start, by_key in gathered.items():
            tallies += [Tally(*key, start, Counter(values)) for key, values in by_key.items()]
        return [_sample(tally) for tally in tallies if tally.values]

    async def flush(self) -> None:
        """Put away what was added; what the disk refuses is tried again with the next."""
        async with self._writing:
            self._waiting += self._taken()
            if not self._waiting:
                return
            lost = len(self._waiting) - MOST_SAMPLES
            if lost > 0:
                log.error("%d sums of metrics are lost: they cannot be written", lost)
                del self._waiting[:lost]
            try:
                await self._open().write(self._waiting)
            except Temporary as refused:
                log.warning("metrics wait: %s", refused)
                self._schedule()
            else:
                self._waiting = []

    async def close(self) -> None:
        """Put away what there is."""
        await self.flush()
        await self._tasks.close()


def _sample(tally: Tally) -> Sample:
    from havre.core.metrics.values import encode, summary
    from havre.store.points import Point, Sample, Series

    account, region, namespace, name, dimensions, unit, at, values, step = tally
    point = Point(int(at) // step * step, *summary(values), encode(values))
    return Sample(Series(account, region, namespace, name, tuple(sorted(dimensions)), unit), step, point)
