"""When an alarm changes its state: data points of its last periods, those that are missing, and the words for it.

As many periods as are evaluated, and two more, are looked at: where some are missing, older data points take their place.
Only what then is still missing is treated as the alarm says.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

OK, ALARM, INSUFFICIENT = "OK", "ALARM", "INSUFFICIENT_DATA"
BREACHING, NOT_BREACHING, IGNORE, MISSING = "breaching", "notBreaching", "ignore", "missing"
MINUTE = 60
_OFFSET = re.compile(r"(?:UTC)?([+-])(\d{2}):(\d{2})")
_FARTHEST = 14 * 3600
BEYOND = 2
"""Periods that are looked at beyond those that are evaluated."""
_SHOWN = 5
"""Data points that a reason lists."""
COMPARISONS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


class Check(msgspec.Struct, frozen=True):
    """``periods`` are evaluated, of which ``to_alarm`` have to breach; None: all of them, and the reason says no number."""

    comparison: str
    threshold: float
    periods: int
    to_alarm: int | None = None
    missing: str = MISSING
    least_samples: float = 0.0
    """A data point that was made of fewer values says nothing: the state stays as it is."""

    @property
    def range(self) -> int:
        """Periods that are looked at."""
        return self.periods + BEYOND

    @property
    def needed(self) -> int:
        return self.to_alarm or self.periods


class Reading(NamedTuple):
    """A period: its beginning in seconds since the epoch, its value (None: missing), how many values that was made of."""

    at: int
    value: float | None
    samples: float | None = None


class Verdict(NamedTuple):
    """``state`` None: it stays as it is. ``evaluated``: the readings that decided, newest first."""

    state: str | None
    reason: str = ""
    evaluated: Sequence[Reading] = ()


def window_end(now: float, period: int, aligned: bool, offset: int = 0) -> int:
    """Where the periods that are looked at end: with the last whole minute (or period, if that is shorter), or, where they
    are ``aligned``, with the last period of the clock that is ``offset`` seconds before UTC."""
    step = period if aligned else min(period, MINUTE)
    return (int(now) + offset) // step * step - offset


def offset_of(zone: str) -> int | None:
    """Seconds by which clocks are before UTC (``UTC``, ``+05:30``, ``UTC-03:00``); None for what is no such offset."""
    found = _OFFSET.fullmatch(zone)
    if found is None:
        return 0 if zone == "UTC" else None
    seconds = int(found[2]) * 3600 + int(found[3]) * MINUTE
    if seconds > _FARTHEST or seconds % (5 * MINUTE):
        return None
    return -seconds if found[1] == "-" else seconds


def judge(check: Check, readings: Sequence[Reading]) -> Verdict:
    """``readings`` are the last ``check.range`` periods, newest first."""
    real = [each for each in readings if each.value is not None][: check.periods]
    if real and min(each.samples or 0.0 for each in real) < check.least_samples:
        return Verdict(None)
    absent = check.periods - len(real)
    breaching = [each for each in real if _breaches(check, each)]
    evaluated = real or list(readings[: check.periods])
    if not real:
        return _nothing_known(check, evaluated)
    filled = absent if check.missing == BREACHING else 0
    if len(breaching) + filled >= check.needed:
        return Verdict(ALARM, _crossed(check, breaching, absent, True), evaluated)
    if absent and check.missing in (MISSING, IGNORE) and _premature(check, real, breaching, readings):
        if check.missing == IGNORE:
            return Verdict(None)
        return Verdict(ALARM, _crossed(check, breaching, 0, True), evaluated)
    kept = [each for each in real if each not in breaching]
    if not kept:  # too few breach, and nothing else is known
        stated = replace(check, to_alarm=check.needed)
        return Verdict(OK, _crossed(stated, real, absent, True), evaluated)
    return Verdict(OK, _crossed(check, kept, absent, False), evaluated)


def _breaches(check: Check, reading: Reading) -> bool:
    assert reading.value is not None
    return COMPARISONS[check.comparison][0](reading.value, check.threshold)


def _premature(
    check: Check, real: Sequence[Reading], breaching: Sequence[Reading], readings: Sequence[Reading]
) -> bool:
    """All that is there breaches, and has done so for long enough: what is missing is not waited for."""
    return len(breaching) == len(real) and readings.index(real[-1]) + 1 >= check.needed


def _nothing_known(check: Check, evaluated: Sequence[Reading]) -> Verdict:
    if check.missing == IGNORE:
        return Verdict(None)
    if check.missing == MISSING:
        unknown = f"{_many(check.periods, 'datapoint')} {_were(check.periods)} unknown"
        return Verdict(INSUFFICIENT, f"Insufficient Data: {unknown}.", evaluated)
    state = ALARM if check.missing == BREACHING else OK
    received = f"no datapoints were received for {_many(check.periods, 'period')}"
    return Verdict(state, f"Threshold Crossed: {received}{_treated(check, check.periods)}.", evaluated)


def _treated(check: Check, absent: int) -> str:
    if not absent or check.missing not in (BREACHING, NOT_BREACHING):
        return ""
    how = "Breaching" if check.missing == BREACHING else "NonBreaching"
    return f" and {_many(absent, 'missing datapoint')} {_were(absent)} treated as [{how}]"


def _crossed(check: Check, told: Sequence[Reading], absent: int, breaching: bool) -> str:
    """``told`` are the data points that decided, newest first."""
    count = len(told)
    how = f"{'' if breaching else 'not '}{COMPARISONS[check.comparison][1]} the threshold ({number(check.threshold)})"
    many = f"{count} out of the last {check.periods} datapoints" if check.to_alarm else _many(count, "datapoint")
    shown = ", ".join(f"{number(each.value or 0.0)} ({_time(each.at)})" for each in told[:_SHOWN])
    tail = _treated(check, absent) + _least(check, breaching)
    if count > _SHOWN:
        return f"Threshold Crossed: {many} {_were(count)} {how}{tail}. The most recent datapoints: [{shown}]."
    return f"Threshold Crossed: {many} [{shown}] {_were(count)} {how}{tail}."


def _least(check: Check, breaching: bool) -> str:
    if not check.to_alarm:
        return ""
    least = check.to_alarm if breaching else check.periods - check.to_alarm + 1
    return f" (minimum {_many(least, 'datapoint')} for {'OK -> ALARM' if breaching else 'ALARM -> OK'} transition)"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def number(value: float) -> str:
    """As Java writes a double."""
    text = repr(float(value))
    mantissa, exponent, power = text.partition("e")
    if not exponent:
        return text
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(power)}"


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%d/%m/%y %H:%M:%S")


def least_samples(statistic: str) -> float:
    """Values that a percentile needs to mean something; 0 for any other statistic."""
    if not statistic.lower().startswith("p") or not statistic[1:].replace(".", "").isdecimal():
        return 0.0
    part = float(statistic[1:]) / 100
    if not 0 < part < 1:
        return 0.0
    return 10 / (1 - part) if part >= 0.5 else 10 / part
