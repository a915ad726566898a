"""Rates, crons and times: AWS's examples, clocks that change, and properties against plain definitions."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.schedules import ScheduleError, parse, ticks


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def series(expression: str, start: str, count: int, zone: str = "UTC") -> list[str]:
    """The next times, in the zone's own clock."""
    when, tz = at(start), ZoneInfo(zone)
    schedule = parse(expression, when, tz, at=True)
    found = []
    for _ in range(count):
        following = schedule.after(when)
        if following is None:
            break
        assert following > when
        when = following
        found.append(f"{datetime.fromtimestamp(when, tz):%Y-%m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        ("cron(0 10 * * ? *)", "2024-02-28T11:00", ["2024-02-29 10:00", "2024-03-01 10:00"]),
        ("cron(15 12 * * ? *)", "2024-01-01T12:15", ["2024-01-02 12:15"]),
        ("cron(0 18 ? * MON-FRI *)", "2024-01-05T18:00", ["2024-01-08 18:00", "2024-01-09 18:00"]),
        ("cron(0 8 1 * ? *)", "2024-01-01T08:00", ["2024-02-01 08:00", "2024-03-01 08:00"]),
        ("cron(0/10 * ? * MON-FRI *)", "2024-01-05T23:50", ["2024-01-08 00:00", "2024-01-08 00:10"]),
        ("cron(0/5 8-17 ? * MON-FRI *)", "2024-01-05T17:55", ["2024-01-08 08:00", "2024-01-08 08:05"]),
        ("cron(0 9 ? * 2#1 *)", "2024-01-01T09:00", ["2024-02-05 09:00", "2024-03-04 09:00"]),
        ("cron(0 9 ? * 6L *)", "2024-01-26T09:00", ["2024-02-23 09:00", "2024-03-29 09:00"]),
        ("cron(0 9 ? * L *)", "2024-01-05T00:00", ["2024-01-06 09:00", "2024-01-13 09:00"]),
        ("cron(0 9 L * ? *)", "2024-01-31T09:00", ["2024-02-29 09:00", "2024-03-31 09:00"]),
        ("cron(0 9 LW * ? *)", "2024-01-31T09:00", ["2024-02-29 09:00", "2024-03-29 09:00"]),
        ("cron(0 9 15W * ? *)", "2024-06-01T00:00", ["2024-06-14 09:00", "2024-07-15 09:00", "2024-08-15 09:00"]),
        ("cron(0 9 1W * ? *)", "2024-05-31T00:00", ["2024-06-03 09:00", "2024-07-01 09:00"]),
        ("cron(0 0 29 2 ? *)", "2024-03-01T00:00", ["2028-02-29 00:00"]),
        ("cron(0 0 1 jan ? 2030/10)", "2024-03-01T00:00", ["2030-01-01 00:00", "2040-01-01 00:00"]),
        ("cron(0 0 ? * FRI-MON *)", "2024-01-04T00:00", ["2024-01-05 00:00", "2024-01-06 00:00", "2024-01-07 00:00"]),
        ("cron(0 0 31 2 ? *)", "2024-01-01T00:00", []),
        ("cron(0 0 1 1 ? 2020)", "2024-01-01T00:00", []),
        ("rate(5 minutes)", "2024-01-01T00:01", ["2024-01-01 00:06", "2024-01-01 00:11"]),
        ("rate(1 day)", "2024-01-01T00:01", ["2024-01-02 00:01"]),
        ("at(2024-05-05T12:00:00)", "2024-01-01T00:00", ["2024-05-05 12:00"]),
        ("at(2023-05-05T12:00:00)", "2024-01-01T00:00", []),
    ],
)
def test_what_comes_next(expression: str, start: str, expected: list[str]) -> None:
    assert series(expression, start, max(1, len(expected))) == expected


def test_a_time_that_does_not_exist_is_left_out_and_one_that_comes_twice_comes_once() -> None:
    berlin = "Europe/Berlin"
    spring = series("cron(30 2 * * ? *)", "2024-03-29T12:00", 3, berlin)
    assert spring == ["2024-03-30 02:30", "2024-04-01 02:30", "2024-04-02 02:30"]
    autumn = series("cron(30 2 * * ? *)", "2024-10-26T12:00", 2, berlin)
    assert autumn == ["2024-10-27 02:30", "2024-10-28 02:30"]
    noon = series("cron(0 12 * * ? *)", "2024-03-30T12:00", 2, berlin)
    assert noon == ["2024-03-31 12:00", "2024-04-01 12:00"]
    assert series("at(2024-07-01T08:00:00)", "2024-01-01T00:00", 1, "America/New_York") == ["2024-07-01 08:00"]


@pytest.mark.parametrize(
    "expression",
    [
        "", "cron()", "rate()", "rate(0 minutes)", "rate(1 minutes)", "rate(5 minute)", "rate(5 seconds)", "rate(-1 day)",
        "rate(1.5 hours)", "cron(* * * * * *)", "cron(* * ? * ? *)", "cron(0 10 * * ?)", "cron(60 10 * * ? *)",
        "cron(0 24 * * ? *)", "cron(0 10 32 * ? *)", "cron(0 10 * 13 ? *)", "cron(0 10 ? * 8 *)", "cron(0 10 ? * MON#6 *)",
        "cron(0 10 * * ? 2200)", "cron(0/0 10 * * ? *)", "cron(5-1 10 * * ? *)", "cron(0 10 40W * ? *)",
        "CRON(0 10 * * ? *)", "cron(0/² 10 * * ? *)", "rate(٣ minutes)",
        "cron(0 10 * FOO ? *)", "at(2024-13-01T00:00:00)", "at(2024-01-01)", "rate(1 minute) ", "cron(² * * * ? *)",
    ],
)  # fmt: skip
def test_what_is_no_expression(expression: str) -> None:
    with pytest.raises(ScheduleError):
        parse(expression, 0.0, at=True)


def test_at_is_for_those_who_take_it() -> None:
    with pytest.raises(ScheduleError):
        parse("at(2024-01-01T00:00:00)", 0.0)


@given(st.text(alphabet="0123456789 */-,?LW#()cronatemiusM", max_size=30))
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    for whole in (text, f"cron({text})", f"rate({text})"):
        try:
            parse(whole, 0.0, at=True).after(1.7e9)
        except ScheduleError:
            pass


@given(
    st.integers(0, 59), st.sets(st.integers(0, 23), min_size=1), st.sets(st.integers(1, 7), min_size=1),
    st.integers(0, 4_000_000_000),
)  # fmt: skip
def test_the_next_time_is_the_first_that_fits(minute: int, hours: set[int], weekdays: set[int], start: int) -> None:
    hour_list, weekday_list = ",".join(map(str, hours)), ",".join(map(str, weekdays))
    found = parse(f"cron({minute} {hour_list} ? * {weekday_list} *)", 0.0).after(start)
    moment = datetime.fromtimestamp(start, UTC).replace(second=0) + timedelta(minutes=1)
    moment += timedelta(minutes=(minute - moment.minute) % 60)
    while moment.hour not in hours or (calendar.weekday(*moment.timetuple()[:3]) + 1) % 7 + 1 not in weekdays:
        moment += timedelta(hours=1)
    assert found == moment.timestamp()


@given(st.integers(1, 5000), st.floats(0, 1e9), st.floats(0, 1e9))
def test_rates_keep_their_beat(minutes: int, start: float, when: float) -> None:
    schedule = parse(f"rate({minutes} {'minute' if minutes == 1 else 'minutes'})", start)
    following = schedule.after(when)
    assert following is not None and following > when
    assert abs((following - start) / (60 * minutes) - round((following - start) / (60 * minutes))) < 1e-6
    assert following - max(when, start) <= 60 * minutes + 1e-3


@given(st.integers(0, 300), st.integers(1, 60))
def test_no_tick_is_missed_and_none_comes_twice(minutes_away: int, most: int) -> None:
    schedule = parse("rate(1 minute)", 0.0)
    come, due = ticks(schedule, 60.0, 60.0 * minutes_away, most)
    assert come == [60.0 * n for n in range(max(1, minutes_away - most + 1), minutes_away + 1)]
    assert due == 60.0 * (max(minutes_away, 0) + 1)
    assert ticks(schedule, due, 60.0 * minutes_away)[0] == []
    assert ticks(schedule, None, 1e9) == ([], None)
