"""An expression, read: what comes next."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Protocol

import msgspec

from havre.core.schedules.fields import HOUR, LAST_YEAR, MINUTE, MONTH, YEAR, Days, ScheduleError, days

__all__ = ["At", "Cron", "Rate", "Schedule", "ScheduleError", "parse"]

_FORM = re.compile(r"(rate|cron|at)\(([^()]*)\)\Z")
_RATE = re.compile(r"([1-9][0-9]{0,8}) (minute|minutes|hour|hours|day|days)\Z")
_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\Z", re.ASCII)
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}


class Schedule(Protocol):
    def after(self, when: float) -> float | None:
        """The first time later than ``when``, None when there is none any more. Seconds since the epoch."""
        ...


class Rate(msgspec.Struct, frozen=True):
    """Every ``period`` seconds, counted from ``start``. The start itself is no time of it."""

    period: float
    start: float

    def after(self, when: float) -> float | None:
        if when < self.start:
            return self.start + self.period
        return self.start + (math.floor((when - self.start) / self.period) + 1) * self.period


class At(msgspec.Struct, frozen=True):
    """Once."""

    time: float

    def after(self, when: float) -> float | None:
        return self.time if self.time > when else None


class Cron:
    """By the clock of a time zone. What a change of that clock leaves out is left out; what it repeats comes once."""

    def __init__(
        self,
        minutes: frozenset[int],
        hours: frozenset[int],
        days: Days,
        months: frozenset[int],
        years: frozenset[int],
        zone: tzinfo,
    ) -> None:
        self._minutes, self._hours, self._days = sorted(minutes), sorted(hours), days
        self._months, self._years, self._zone = sorted(months), sorted(years), zone

    def after(self, when: float) -> float | None:
        if when >= _end():
            return None
        local = datetime.fromtimestamp(max(when, 0.0), self._zone).replace(tzinfo=None, fold=0)
        for found in self._from(local):
            at = self._exists(found)
            if at is not None and at > when:
                return at
        return None

    def _exists(self, local: datetime) -> float | None:
        aware = local.replace(tzinfo=self._zone)
        at = aware.timestamp()
        back = datetime.fromtimestamp(at, self._zone).replace(tzinfo=None, fold=0)
        return at if back == local else None

    def _from(self, start: datetime) -> Iterator[datetime]:
        """Local times from an hour before ``start`` on (clocks may go back), in order."""
        for year in self._years[bisect_left(self._years, start.year) :]:
            for month in self._months:
                if (year, month) < (start.year, start.month):
                    continue
                for day in self._days.of(year, month):
                    if (year, month, day) < (start.year, start.month, start.day):
                        continue
                    today = (year, month, day) == (start.year, start.month, start.day)
                    for hour in self._hours[bisect_left(self._hours, start.hour - 1) if today else 0 :]:
                        for minute in self._minutes:
                            yield datetime(year, month, day, hour, minute)  # noqa: DTZ001 (the zone comes later)


def _end() -> float:
    return datetime(LAST_YEAR + 1, 1, 2, tzinfo=UTC).timestamp()


def parse(expression: str, start: float, zone: tzinfo = UTC, *, at: bool = False) -> Schedule:
    """``start`` is what ``rate`` counts from; ``at``: whether ``at(…)`` is one. Raises ScheduleError."""
    form = _FORM.match(expression)
    if form is None or (form[1] == "at" and not at):
        raise ScheduleError(f"{expression} is no schedule expression")
    kind, inner = form[1], form[2]
    if kind == "rate":
        return _rate(inner, start)
    return _cron(inner, zone) if kind == "cron" else _at(inner, zone)


def _rate(inner: str, start: float) -> Rate:
    found = _RATE.match(inner)
    if found is None or found[2].endswith("s") != (int(found[1]) > 1):
        raise ScheduleError(f"rate({inner}) is no rate")
    return Rate(float(int(found[1]) * _SECONDS[found[2].removesuffix("s")]), start)


def _at(inner: str, zone: tzinfo) -> At:
    if not _AT.match(inner):
        raise ScheduleError(f"at({inner}) is no time")
    try:
        return At(datetime.fromisoformat(inner).replace(tzinfo=zone).timestamp())
    except (ValueError, OverflowError):
        raise ScheduleError(f"at({inner}) is no time") from None


def _cron(inner: str, zone: tzinfo) -> Cron:
    fields = inner.upper().split()
    if len(fields) != 6:
        raise ScheduleError("cron() has six fields")
    minute, hour, day_of_month, month, day_of_week, year = fields
    return Cron(
        MINUTE.values(minute),
        HOUR.values(hour),
        days(day_of_month, day_of_week),
        MONTH.values(month),
        YEAR.values(year),
        zone,
    )
