"""Statistics of what was measured within a period: CloudWatch's five, and those that need the values themselves.

The edges of a range given in per cent are cut by weight: of the values on an edge only the part within counts. A range given
in values leaves its lower end out and takes its upper end in, as CloudWatch does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from havre.core.metrics.values import Values, together

SIMPLE = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)", re.IGNORECASE)
_SHORT = re.compile(r"(tm|wm|tc|ts)(\d{1,2}(?:\.\d{1,10})?|100)", re.IGNORECASE)
_RANGE = re.compile(r"(TM|WM|TC|TS|PR)\(([^:()]*):([^:()]*)\)", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+(?:\.\d{1,10})?")
_LOW, _HIGH = 25.0, 75.0
"""Per cent between which the interquartile mean is taken."""


class Summary(msgspec.Struct, frozen=True):
    """What is known of a period with at least one value; ``values`` None where only the rest is."""

    count: float
    total: float
    least: float
    most: float
    values: Values | None = None


Statistic = Callable[[Summary], float | None]
"""None where it cannot be told: of values that are not known one by one, or negative."""


def combine(many: Sequence[Summary]) -> Summary:
    """At least one."""
    known = [each.values for each in many if each.values is not None]
    return Summary(
        sum(each.count for each in many),
        sum(each.total for each in many),
        min(each.least for each in many),
        max(each.most for each in many),
        together(known) if len(known) == len(many) else None,
    )


def _average(summary: Summary) -> float | None:
    return summary.total / summary.count if summary.count else None


_SIMPLE: dict[str, Statistic] = {
    "SampleCount": lambda summary: summary.count,
    "Average": _average,
    "Sum": lambda summary: summary.total,
    "Minimum": lambda summary: summary.least,
    "Maximum": lambda summary: summary.most,
}


def needs_values(name: str) -> bool:
    return name not in _SIMPLE


def statistic(name: str) -> Statistic | None:
    """By its name as CloudWatch spells it (``Average``, ``p99.9``, ``tm90``, ``TM(10%:90%)``, ``PR(:300)``, ``IQM``); None
    for what is no statistic."""
    if name in _SIMPLE:
        return _SIMPLE[name]
    if name.upper() == "IQM":
        return _of_values(lambda values: _mean(_between(values, _LOW, _HIGH)))
    if found := _PERCENTILE.fullmatch(name):
        percent = float(found[1])
        return _of_values(lambda values: percentile(values, percent))
    if found := _SHORT.fullmatch(name):
        return _ranged(found[1].upper(), 0.0, float(found[2]), True)
    if found := _RANGE.fullmatch(name):
        return _read_range(found[1].upper(), found[2].strip(), found[3].strip())
    return None


def _of_values(compute: Callable[[Values], float | None]) -> Statistic:
    def tell(summary: Summary) -> float | None:
        if summary.values is None or summary.least < 0:
            return None
        return compute(summary.values)

    return tell


def _read_range(kind: str, low: str, high: str) -> Statistic | None:
    """``low`` and ``high`` are both per cent, or both values; one of them may be left out."""
    percent = low.endswith("%") or high.endswith("%")
    if not (low or high) or (percent and kind == "PR"):
        return None
    ends = []
    for text, open_end in ((low, 0.0 if percent else float("-inf")), (high, 100.0 if percent else float("inf"))):
        if text and text.endswith("%") != percent:
            return None
        number = text.removesuffix("%")
        if text and not _NUMBER.fullmatch(number):
            return None
        ends.append(float(number) if text else open_end)
    if ends[0] >= ends[1] or (percent and not 0 <= ends[0] < ends[1] <= 100):
        return None
    return _ranged(kind, ends[0], ends[1], percent)


def _ranged(kind: str, low: float, high: float, percent: bool) -> Statistic:
    def within(values: Values) -> list[tuple[float, float]]:
        if percent:
            return _between(values, low, high)
        return [(value, count) for value, count in values.items() if low < value <= high]

    def winsorized(values: Values) -> float | None:
        kept = within(values)
        if not kept:
            return None
        least, most = min(value for value, _ in kept), max(value for value, _ in kept)
        return _mean([(min(max(value, least), most), count) for value, count in values.items()])

    compute: dict[str, Callable[[Values], float | None]] = {
        "TM": lambda values: _mean(within(values)),
        "WM": winsorized,
        "TC": lambda values: sum(count for _, count in within(values)),
        "TS": lambda values: sum(value * count for value, count in within(values)),
        "PR": lambda values: 100 * sum(count for _, count in within(values)) / sum(values.values()),
    }
    return _of_values(compute[kind])


def percentile(values: Values, percent: float) -> float | None:
    """The least value that at least so many per cent of the values do not exceed."""
    ordered = sorted(values.items())
    wanted = sum(count for _, count in ordered) * percent / 100
    seen = 0.0
    for value, count in ordered:
        seen += count
        if seen >= wanted * (1 - 1e-12):
            return value
    return ordered[-1][0] if ordered else None


def _between(values: Values, low: float, high: float) -> list[tuple[float, float]]:
    """Values with as much of their counts as lies between ``low`` and ``high`` per cent of all."""
    ordered = sorted(values.items())
    everything = sum(count for _, count in ordered)
    first, last = everything * low / 100, everything * high / 100
    found, seen = [], 0.0
    for value, count in ordered:
        part = min(seen + count, last) - max(seen, first)
        if part > 0:
            found.append((value, part))
        seen += count
    return found


def _mean(weighed: Sequence[tuple[float, float]]) -> float | None:
    weight = sum(count for _, count in weighed)
    return sum(value * count for value, count in weighed) / weight if weight else None
