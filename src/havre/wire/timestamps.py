"""Timestamps on the wire: seconds since the epoch here, ISO 8601 or HTTP dates there."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HTTP = re.compile(
    r"(?:[A-Z][a-z]{2}, )?(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d)(\.\d{1,9})? (?:GMT|UTC|[+-]0000)"
)
_NUMBER = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,12})?(?:[eE][+-]?\d{1,2})?")


def iso8601(seconds: float) -> str:
    """``2026-11-24T03:44:00Z``, with milliseconds where there are any."""
    when = _EPOCH + timedelta(milliseconds=round(seconds * 1000))
    text = f"{when.year:04d}-{when.month:02d}-{when.day:02d}T{when.hour:02d}:{when.minute:02d}:{when.second:02d}"
    return f"{text}.{when.microsecond // 1000:03d}Z" if when.microsecond else f"{text}Z"


def http_date(seconds: float) -> str:
    """``Tue, 24 Nov 2026 03:44:00 GMT``."""
    when = _EPOCH + timedelta(seconds=int(seconds))
    date = f"{_DAYS[when.weekday()]}, {when.day:02d} {_MONTHS[when.month - 1]} {when.year:04d}"
    return f"{date} {when.hour:02d}:{when.minute:02d}:{when.second:02d} GMT"


def render(seconds: float, form: str) -> str:
    """``form``: iso8601, rfc822 or unixtimestamp."""
    if form == "rfc822":
        return http_date(seconds)
    if form == "unixtimestamp":
        return f"{seconds:.0f}" if seconds == int(seconds) else repr(round(seconds, 3))
    return iso8601(seconds)


def parse(text: str) -> float:
    """Any of the forms. Raises ValueError."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    found = _HTTP.fullmatch(text)
    if found:
        day, month, year, hour, minute, second, part = found.groups()
        if month not in _MONTHS:
            raise ValueError(f"no such month: {month}")
        when = datetime(int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=UTC)
        return (when - _EPOCH).total_seconds() + float(part or 0)
    if len(text) > 40 or not text[:4].isdecimal():
        raise ValueError(f"not a timestamp: {text[:40]!r}")
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return (when - _EPOCH).total_seconds()
