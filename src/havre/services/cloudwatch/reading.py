"""Reading metrics: the data points of a metric, gathered into periods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from havre.core.metrics.statistics import Statistic, Summary, combine, needs_values, statistic
from havre.core.metrics.values import decode
from havre.services.cloudwatch.errors import validation
from havre.services.cloudwatch.names import Dimensions
from havre.store.points import Points

SHORT = (1, 5, 10, 20, 30)
"""Periods below a minute, in seconds; all others are whole minutes."""
MINUTE, HOUR, DAY = 60, 3600, 86_400
_DIVISIONS = ((15 * DAY, MINUTE), (63 * DAY, 5 * MINUTE))
"""Age of a start → to what it is rounded down, in seconds; those that are older to hours."""


MOST_READ, VALUES_COST = 1_000_000, 5
"""Data points that one request reads at most; of one whose values are read as well counts so many times."""


class Budget:
    """What a request may still read: it is read while others wait."""

    def __init__(self) -> None:
        self._left = MOST_READ

    def spend(self, points: int, values: bool) -> None:
        """Raises ApiError when that was too much."""
        self._left -= points * (VALUES_COST if values else 1)
        if self._left < 0:
            raise validation("The request reads too many data points. Ask for less time, or for fewer metrics.")


def is_period(period: int) -> bool:
    return period in SHORT or (period > 0 and period % MINUTE == 0)


def rounded(start: float, period: int, now: float) -> int:
    """The beginning of the first period, as CloudWatch rounds what was asked for."""
    age = now - start
    division = next((d for limit, d in _DIVISIONS if age < limit), HOUR)
    if period < MINUTE and age < 3 * HOUR:
        division = period
    return int(start // division * division)


def by_unit(
    points: Points, account: str, region: str, namespace: str, metric: str, dimensions: Dimensions
) -> Mapping[str, int]:
    """Unit → the series of this very metric that has it, in the order of units."""
    known = points.series(account, region, namespace, metric)
    return {each.series.unit: each.id for each in known if each.series.dimensions == dimensions}


def periods(
    points: Points, ids: Sequence[int], start: int, end: int, period: int, values: bool, budget: Budget | None = None
) -> Sequence[tuple[int, Summary]]:
    """Beginnings of the periods that hold anything, and what they hold, in order. ``end`` is left out."""
    gathered: dict[int, list[Summary]] = {}
    found = points.read(ids, start, end, values)
    if budget is not None:
        budget.spend(len(found), values)
    for point in found:
        begin = point.at - (point.at - start) % period
        told = Summary(point.count, point.sum, point.least, point.most, decode(point.values))
        gathered.setdefault(begin, []).append(told)
    return [(at, many[0] if len(many) == 1 else combine(many)) for at, many in gathered.items()]


def measure(
    points: Points, id: int, span: tuple[int, int, int], name: str, budget: Budget
) -> Mapping[int, tuple[float, float]]:
    """Beginning of a period → one statistic, and how many values it was made of. ``span``: start, end, and period.
    ``name`` is a statistic's. Raises ApiError."""
    compute: Statistic | None = statistic(name)
    if compute is None:
        raise ValueError(name)
    told = periods(points, [id], *span, needs_values(name), budget)
    return {at: (value, summary.count) for at, summary in told if (value := compute(summary)) is not None}
