"""What expressions compute with: numbers, time series, several time series."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from havre.core.metrics.formulas.syntax import FormulaError


class Line(NamedTuple):
    """A time series: seconds since the epoch → value, in the order of time; each value stands for ``period`` seconds."""

    points: Mapping[int, float]
    period: int
    label: str = ""


class Many(NamedTuple):
    lines: tuple[Line, ...]


Value: TypeAlias = float | Line | Many
Unary = Callable[[float], float | None]
Operator = Callable[[float, float], float | None]
"""None: there is no value (a division by zero)."""


def each(value: Value, of: Unary) -> Value:
    if isinstance(value, Many):
        return Many(tuple(_each_of(line, of) for line in value.lines))
    if isinstance(value, Line):
        return _each_of(value, of)
    found = of(value)
    if found is None:
        raise FormulaError("The expression has no value")
    return found


def _each_of(line: Line, of: Unary) -> Line:
    return line._replace(points={at: new for at, old in line.points.items() if (new := of(old)) is not None})


def pair(left: Value, right: Value, of: Operator) -> Value:
    """Two series have a value where both have one. Several series are taken one by one."""
    if isinstance(left, Many) and isinstance(right, Many):
        if len(left.lines) != len(right.lines):
            raise FormulaError("Arrays of time series must be of the same size")
        found = [pair(a, b, of) for a, b in zip(left.lines, right.lines, strict=True)]
        return Many(tuple(line for line in found if isinstance(line, Line)))
    if isinstance(left, Many):
        return Many(tuple(_as_line(pair(line, right, of)) for line in left.lines))
    if isinstance(right, Many):
        return Many(tuple(_as_line(pair(left, line, of), line.label) for line in right.lines))
    if isinstance(left, Line) and isinstance(right, Line):
        both = [(at, of(value, right.points[at])) for at, value in left.points.items() if at in right.points]
        period = max(left.period, right.period)
        return Line({at: value for at, value in both if value is not None}, period, left.label)
    if isinstance(left, Line):
        scalar = right
        return _each_of(left, lambda value: of(value, scalar))  # type: ignore[arg-type]
    if isinstance(right, Line):
        number = left
        return _each_of(right, lambda value: of(number, value))
    found_number = of(left, right)
    if found_number is None:
        raise FormulaError("The expression has no value")
    return found_number


def _as_line(value: Value, label: str = "") -> Line:
    if not isinstance(value, Line):
        raise FormulaError("A time series is needed")
    return value._replace(label=label) if label else value


def fold(lines: Sequence[Line], of: Callable[[Sequence[float]], float]) -> Line:
    """One series of what is there at each time."""
    gathered: dict[int, list[float]] = {}
    for line in lines:
        for at, value in line.points.items():
            gathered.setdefault(at, []).append(value)
    points = {at: of(values) for at, values in sorted(gathered.items())}
    return Line(points, max((line.period for line in lines), default=0))
