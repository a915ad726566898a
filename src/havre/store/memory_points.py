"""Data points of metrics in memory: for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count

from havre.store.points import STEPS, Known, Merge, Point, Sample, Series, merged


class MemoryPoints:
    """``fault``, when set, is called before each write; what it raises (Temporary) is what a failing disk would do."""

    def __init__(self, merge: Merge) -> None:
        self._merge = merge
        self._ids: dict[Series, int] = {}
        self._numbers = count(1)
        self._points: dict[int, dict[tuple[int, int], Point]] = {}
        self.fault: Callable[[], None] | None = None

    @property
    def is_there(self) -> bool:
        return bool(self._ids)

    async def write(self, samples: Sequence[Sample]) -> None:
        if self.fault is not None:
            self.fault()
        for series, step, point in samples:
            id = self._ids.get(series) or self._ids.setdefault(series, next(self._numbers))
            self._put(id, step, point)

    def _put(self, id: int, step: int, point: Point) -> None:
        held = self._points.setdefault(id, {})
        old = held.get((step, point.at))
        held[step, point.at] = point if old is None else merged([point, old], point.at, self._merge)

    def series(
        self, account: str, region: str, namespace: str = "", metric: str = "", since: int | None = None
    ) -> Sequence[Known]:
        found = []
        for series in sorted(self._ids):
            last = max(at for _, at in self._points[self._ids[series]])
            fits = series.namespace == (namespace or series.namespace) and series.metric == (metric or series.metric)
            if fits and series[:2] == (account, region) and (since is None or last >= since):
                found.append(Known(self._ids[series], series, last))
        return found

    def read(self, ids: Sequence[int], start: int, end: int, values: bool) -> Sequence[Point]:
        found = [
            point if values else Point(point.at, point.count, point.sum, point.least, point.most)
            for id in ids
            for (_, at), point in self._points.get(id, {}).items()
            if start <= at < end
        ]
        found.sort(key=lambda point: point.at)
        return found

    async def roll(self, before: Mapping[int, int]) -> int:
        went = 0
        for step in STEPS:
            for id, held in self._points.items():
                for key in [key for key in held if key[0] == step and key[1] < before[step]]:
                    point = held.pop(key)
                    went += 1
                    if step != STEPS[-1]:
                        longer = STEPS[STEPS.index(step) + 1]
                        self._put(id, longer, merged([point], point.at // longer * longer, self._merge))
        for series in [series for series, id in self._ids.items() if not self._points[id]]:
            del self._points[self._ids.pop(series)]
        return went

    async def reset(self) -> None:
        self._ids.clear()
        self._points.clear()

    async def close(self) -> None:
        return None
