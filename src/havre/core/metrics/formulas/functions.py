"""The functions of expressions, by name."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from typing import NamedTuple

from havre.core.metrics.formulas.series import Line, Many, Value, each, fold
from havre.core.metrics.formulas.syntax import FormulaError, Name, Node

MOST_POINTS = 100_800
"""Points that a series which is made up (FILL, TIME_SERIES) may have."""


class Span(NamedTuple):
    """Seconds since the epoch that are asked for: ``start`` <= at < ``end``."""

    start: int
    end: int

    def grid(self, period: int) -> range:
        """The times at which values of this period stand."""
        return range(self.start, self.end, max(period, 1))


def _over(of: Callable[[Sequence[float]], float], empty: float | None = None) -> Callable[[Sequence[Value]], Value]:
    """Of one series a number; of several a series."""

    def compute(given: Sequence[Value]) -> Value:
        (value,) = given
        if isinstance(value, Many):
            return fold(value.lines, of)
        if isinstance(value, Line):
            numbers = list(value.points.values())
            if not numbers:
                return math.nan if empty is None else empty
            return of(numbers)
        return of([value])

    return compute


def _lines(of: Callable[[Line], Line]) -> Callable[[Sequence[Value]], Value]:
    def compute(given: Sequence[Value]) -> Value:
        (value,) = given
        if isinstance(value, Many):
            return Many(tuple(of(line) for line in value.lines))
        return of(_line(value))

    return compute


def _line(value: Value) -> Line:
    if not isinstance(value, Line):
        raise FormulaError("A time series is needed as the argument")
    return value


def _differences(of: Callable[[int, float, int, float], float]) -> Callable[[Line], Line]:
    def compute(line: Line) -> Line:
        found = {at: of(before, old, at, new) for (before, old), (at, new) in pairwise(line.points.items())}
        return line._replace(points=found)

    return compute


def _running(line: Line) -> Line:
    return line._replace(points=dict(zip(line.points, accumulate(line.points.values()), strict=True)))


def _clock(of: Callable[[datetime], int]) -> Callable[[Sequence[Value]], Value]:
    """What the time of each value is, in UTC."""

    def tell(line: Line) -> Line:
        return line._replace(points={at: float(of(datetime.fromtimestamp(at, UTC))) for at in line.points})

    return _lines(tell)


def _unary(of: Callable[[float], float | None]) -> Callable[[Sequence[Value]], Value]:
    return lambda given: each(given[0], of)


def _count(given: Sequence[Value]) -> Value:
    (value,) = given
    if not isinstance(value, Many):
        raise FormulaError("METRIC_COUNT needs an array of time series")
    return float(len(value.lines))


def _period(given: Sequence[Value]) -> Value:
    return float(_line(given[0]).period)


def _edge(place: int) -> Callable[[Sequence[Value]], Value]:
    def compute(given: Sequence[Value]) -> Value:
        (value,) = given
        if not isinstance(value, Many) or not value.lines:
            raise FormulaError("FIRST and LAST need an array of time series that is not empty")
        return value.lines[place]

    return compute


def _with_values(given: Sequence[Value]) -> Value:
    (value,) = given
    if isinstance(value, Many):
        return Many(tuple(line for line in value.lines if line.points))
    return _line(value)


PLAIN: Mapping[str, Callable[[Sequence[Value]], Value]] = {
    "ABS": _unary(abs),
    "AVG": _over(statistics.fmean),
    "DATE": _clock(lambda at: at.day),
    "DAY": _clock(lambda at: at.isoweekday()),
    "EPOCH": _clock(lambda at: int(at.timestamp())),
    "HOUR": _clock(lambda at: at.hour),
    "MINUTE": _clock(lambda at: at.minute),
    "MONTH": _clock(lambda at: at.month),
    "YEAR": _clock(lambda at: at.year),
    "CEIL": _unary(lambda value: float(math.ceil(value)) if math.isfinite(value) else None),
    "DIFF": _lines(_differences(lambda before, old, at, new: new - old)),
    "DIFF_TIME": _lines(_differences(lambda before, old, at, new: float(at - before))),
    "FIRST": _edge(0),
    "FLOOR": _unary(lambda value: float(math.floor(value)) if math.isfinite(value) else None),
    "LAST": _edge(-1),
    "LOG": _unary(lambda value: math.log(value) if value > 0 else None),
    "LOG10": _unary(lambda value: math.log10(value) if value > 0 else None),
    "MAX": _over(max),
    "METRIC_COUNT": _count,
    "MIN": _over(min),
    "PERIOD": _period,
    "RATE": _lines(_differences(lambda before, old, at, new: (new - old) / (at - before))),
    "REMOVE_EMPTY": _with_values,
    "RUNNING_SUM": _lines(_running),
    "STDDEV": _over(statistics.pstdev),
    "SUM": _over(math.fsum, 0.0),
}
"""Of one argument each."""
SPECIAL = ("FILL", "IF", "METRICS", "SEARCH", "SLICE", "SORT", "TIME_SERIES")
"""What needs more than the values of its arguments: see ``evaluate``."""


SORTED_BY: Mapping[str, Callable[[Sequence[float]], float]] = {
    "AVG": statistics.fmean,
    "MAX": max,
    "MIN": min,
    "SUM": math.fsum,
}


def sort(lines: Sequence[Line], by: str, order: str, most: float | None) -> Many:
    """Series without values come last. Raises FormulaError."""
    if by not in SORTED_BY or order not in ("ASC", "DESC") or (most is not None and most < 0):
        raise FormulaError("SORT takes an array of time series, AVG, MAX, MIN or SUM, ASC or DESC, and a number")
    full = sorted(
        (line for line in lines if line.points),
        key=lambda line: SORTED_BY[by](list(line.points.values())),
        reverse=order == "DESC",
    )
    found = [*full, *(line for line in lines if not line.points)]
    return Many(tuple(found[: None if most is None else int(most)]))


def fill(line: Line, how: Node, value: Value | None, span: Span) -> Line:
    """``how`` is REPEAT, LINEAR, or what ``value`` was computed from: a number, or a series."""
    grid = span.grid(line.period)
    if len(grid) > MOST_POINTS:
        raise FormulaError("FILL would make too many data points")
    if isinstance(how, Name) and how.value.upper() in ("REPEAT", "LINEAR"):
        known = sorted(line.points)
        made = {at: _guess(line, known, at, how.value.upper() == "LINEAR") for at in grid if at not in line.points}
    elif isinstance(value, Line):
        made = {at: value.points.get(at) for at in grid if at not in line.points}
    elif isinstance(value, float):
        made = {at: value for at in grid if at not in line.points}
    else:
        raise FormulaError("FILL needs a number, a time series, REPEAT or LINEAR as its second argument")
    filled = {**line.points, **{at: new for at, new in made.items() if new is not None}}
    return line._replace(points=dict(sorted(filled.items())))


def _guess(line: Line, known: Sequence[int], at: int, linear: bool) -> float | None:
    """The value before; or the one on the straight line between those before and behind."""
    place = bisect_left(known, at)
    if place == 0 or (linear and place == len(known)):
        return None
    before = known[place - 1]
    if not linear:
        return line.points[before]
    behind = known[place]
    old, new = line.points[before], line.points[behind]
    return old + (new - old) * (at - before) / (behind - before)


def choose(given: Sequence[Value]) -> Value:
    """IF: without a third argument there is no value where the condition does not hold."""
    condition, then, otherwise = given[0], given[1], given[2] if len(given) > 2 else None
    if isinstance(condition, Many) or isinstance(then, Many) or isinstance(otherwise, Many):
        raise FormulaError("IF takes time series and numbers, and no arrays of time series")
    if not isinstance(condition, Line):
        chosen = then if condition else otherwise
        if chosen is None:
            raise FormulaError("IF has no value")
        return chosen
    found = {at: _at(then if holds else otherwise, at) for at, holds in condition.points.items()}
    return condition._replace(points={at: value for at, value in found.items() if value is not None})


def _at(value: float | Line | None, at: int) -> float | None:
    return value.points.get(at) if isinstance(value, Line) else value
