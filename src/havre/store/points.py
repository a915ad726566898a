"""Points: the port behind which data points of metrics are kept, outside the store because they are many and merge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

STEPS = (1, 60, 300, 3600)
"""Seconds that a data point may span; a sweep moves points from one to the next as they grow old."""
Merge = Callable[[Sequence[bytes]], bytes]
"""Makes one of the ``values`` of several points."""


class Series(NamedTuple):
    """What data points belong to. ``dimensions`` are pairs of name and value in the order of names."""

    account: str
    region: str
    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    unit: str


class Point(msgspec.Struct, frozen=True):
    """What was measured within a step from ``at`` (seconds since the epoch, a multiple of the step). ``values`` says how
    often which value was seen, in whatever form ``Merge`` understands; b"" when that was not read, or is not known."""

    at: int
    count: float
    sum: float
    least: float
    most: float
    values: bytes = b""


class Sample(NamedTuple):
    """A point on its way in; it is merged with what is there."""

    series: Series
    step: int
    point: Point


class Known(NamedTuple):
    """A series that there is. ``last``: the time of its latest point, in seconds."""

    id: int
    series: Series
    last: int


class Points(Protocol):
    @property
    def is_there(self) -> bool:
        """False as long as nothing was ever written: then nothing has to be opened."""
        ...

    async def write(self, samples: Sequence[Sample]) -> None:
        """All or nothing, and durable when it returns. Concurrent writes share one commit. Raises Temporary."""
        ...

    def series(
        self, account: str, region: str, namespace: str = "", metric: str = "", since: int | None = None
    ) -> Sequence[Known]:
        """Those with a point at ``since`` or later, in their order; namespace and metric, where given, are exact."""
        ...

    def read(self, ids: Sequence[int], start: int, end: int, values: bool) -> Sequence[Point]:
        """All points of these series with start <= at < end, of every step, in order of time. Without ``values`` those
        are left out."""
        ...

    async def roll(self, before: Mapping[int, int]) -> int:
        """Merge points into the next longer step (behind the last one: drop them) that are older than ``before`` says for
        their step, in seconds since the epoch; drop series that have nothing left. Gives how many points went."""
        ...

    async def reset(self) -> None: ...

    async def close(self) -> None: ...


def merged(points: Sequence[Point], at: int, merge: Merge) -> Point:
    """Several points, at least one, as one that begins at ``at``."""
    return Point(
        at,
        sum(p.count for p in points),
        sum(p.sum for p in points),
        min(p.least for p in points),
        max(p.most for p in points),
        points[0].values if len(points) == 1 else merge([p.values for p in points]),
    )
