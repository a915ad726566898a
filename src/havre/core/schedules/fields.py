"""The fields of an AWS cron expression: minutes, hours, days, months, weekdays, years."""

from __future__ import annotations

import calendar
import re

import msgspec


class ScheduleError(ValueError):
    """An expression that is none."""


MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
FIRST_YEAR, LAST_YEAR = 1970, 2199
_STEP = re.compile(r"[1-9][0-9]{0,3}\Z")
_NEAREST = re.compile(r"([0-9]{1,2})W\Z")
_LAST = re.compile(r"([0-9A-Z]{1,3})L\Z")
_NTH = re.compile(r"([0-9A-Z]{1,3})#([1-5])\Z")


class Field(msgspec.Struct, frozen=True):
    """What a field may hold: numbers from ``low`` to ``high``, and names that stand for them from ``low`` on."""

    low: int
    high: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        if text in self.names:
            return self.low + self.names.index(text)
        if not text.isdigit() or not text.isascii() or not self.low <= int(text) <= self.high:
            raise ScheduleError(f"{text} is not between {self.low} and {self.high}")
        return int(text)

    def values(self, text: str) -> frozenset[int]:
        """Of a list of numbers, ranges and steps. Raises ScheduleError."""
        found: set[int] = set()
        for part in text.split(","):
            found |= self._part(part)
        return frozenset(found)

    def _part(self, part: str) -> set[int]:
        reach, slash, step_text = part.partition("/")
        if slash and not _STEP.match(step_text):
            raise ScheduleError(f"{part} has no step")
        step = int(step_text) if slash else 1
        if reach == "*":
            return set(range(self.low, self.high + 1, step))
        first, dash, last = reach.partition("-")
        start = self.number(first)
        end = self.number(last) if dash else (self.high if slash else start)
        if end >= start:
            return set(range(start, end + 1, step))
        if self.names:  # FRI-MON goes around
            return set([*range(start, self.high + 1), *range(self.low, end + 1)][::step])
        raise ScheduleError(f"{part} ends before it begins")


MINUTE, HOUR, DAY = Field(0, 59), Field(0, 23), Field(1, 31)
MONTH, WEEKDAY, YEAR = Field(1, 12, MONTHS), Field(1, 7, WEEKDAYS), Field(FIRST_YEAR, LAST_YEAR)


class Days(msgspec.Struct, frozen=True):
    """Which days of a month: by number (``days``, ``last`` day, last working day, ``nearest`` working days), or by weekday
    (``weekdays``, the last of a month ``lasts``, the n-th ``nth``). Weekdays are AWS's: 1 is Sunday."""

    days: frozenset[int] = frozenset()
    last: bool = False
    last_working: bool = False
    nearest: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    lasts: frozenset[int] = frozenset()
    nth: frozenset[tuple[int, int]] = frozenset()

    def of(self, year: int, month: int) -> list[int]:
        """In order."""
        length = calendar.monthrange(year, month)[1]
        found = {day for day in self.days if day <= length}
        if self.last:
            found.add(length)
        if self.last_working:
            found.add(_working(year, month, length, length))
        found |= {_working(year, month, day, length) for day in self.nearest if day <= length}
        if self.weekdays or self.lasts or self.nth:
            found |= self._by_weekday(year, month, length)
        return sorted(found)

    def _by_weekday(self, year: int, month: int, length: int) -> set[int]:
        found = set()
        first = weekday(year, month, 1)
        for day in range(1, length + 1):
            which = (first + day - 2) % 7 + 1
            if (
                which in self.weekdays
                or (which in self.lasts and day + 7 > length)
                or (which, (day + 6) // 7) in self.nth
            ):
                found.add(day)
        return found


def weekday(year: int, month: int, day: int) -> int:
    """1 is Sunday."""
    return (calendar.weekday(year, month, day) + 1) % 7 + 1


def _working(year: int, month: int, day: int, length: int) -> int:
    """The working day nearest to a day, in the same month."""
    which = weekday(year, month, day)
    if which == 7:
        return day - 1 if day > 1 else day + 2
    if which == 1:
        return day + 1 if day < length else day - 2
    return day


def days(day_of_month: str, day_of_week: str) -> Days:
    """Exactly one of the two is ``?``. Raises ScheduleError."""
    if (day_of_month == "?") == (day_of_week == "?"):
        raise ScheduleError("One of day-of-month and day-of-week has to be ?")
    return _days_of_month(day_of_month) if day_of_week == "?" else _days_of_week(day_of_week)


def _days_of_month(text: str) -> Days:
    plain: list[str] = []
    last = last_working = False
    nearest: set[int] = set()
    for part in text.split(","):
        near = _NEAREST.match(part)
        if part == "L":
            last = True
        elif part == "LW":
            last_working = True
        elif near is not None:
            nearest.add(DAY.number(near[1]))
        else:
            plain.append(part)
    return Days(DAY.values(",".join(plain)) if plain else frozenset(), last, last_working, frozenset(nearest))


def _days_of_week(text: str) -> Days:
    plain: list[str] = []
    lasts: set[int] = set()
    nth: set[tuple[int, int]] = set()
    for part in text.split(","):
        last, numbered = _LAST.match(part), _NTH.match(part)
        if part == "L":
            plain.append("7")
        elif last is not None:
            lasts.add(WEEKDAY.number(last[1]))
        elif numbered is not None:
            nth.add((WEEKDAY.number(numbered[1]), int(numbered[2])))
        else:
            plain.append(part)
    found = WEEKDAY.values(",".join(plain)) if plain else frozenset()
    return Days(weekdays=found, lasts=frozenset(lasts), nth=frozenset(nth))
