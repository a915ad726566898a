"""What every home of data points promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from havre.core.metrics.values import decode, encode, merge
from havre.store.memory_points import MemoryPoints
from havre.store.points import Point, Points, Sample, Series
from havre.store.sqlite.points import ROLLED_AT_ONCE, SqlitePoints

NEVER = {1: 0, 60: 0, 300: 0, 3600: 0}


@pytest.fixture(params=["memory", "sqlite"])
async def points(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Points]:
    made: Points = MemoryPoints(merge) if request.param == "memory" else SqlitePoints(tmp_path / "metrics.db", merge)
    yield made
    await made.close()


def series(metric: str = "M", unit: str = "None", region: str = "us-east-1", **dimensions: str) -> Series:
    return Series("1", region, "N", metric, tuple(sorted(dimensions.items())), unit)


def point(at: int, value: float, count: float = 1.0) -> Point:
    return Point(at, count, value * count, value, value, encode({value: count}))


def read(points: Points, metric: str = "M", start: int = 0, end: int = 1 << 40, values: bool = True) -> list[Point]:
    return list(points.read([k.id for k in points.series("1", "us-east-1", "N", metric)], start, end, values))


async def test_points_of_the_same_time_become_one(points: Points) -> None:
    assert list(points.series("1", "us-east-1")) == []
    await points.write([Sample(series(), 60, point(120, 5.0)), Sample(series(), 60, point(120, 1.0))])
    await asyncio.gather(*(points.write([Sample(series(), 60, point(120, 5.0, 2.0))]) for _ in range(10)))
    (found,) = read(points)
    assert (found.at, found.count, found.sum, found.least, found.most) == (120, 22.0, 106.0, 1.0, 5.0)
    assert decode(found.values) == {5.0: 21.0, 1.0: 1.0}
    assert read(points, values=False)[0].values == b""


async def test_series_are_found_by_what_names_them(points: Points) -> None:
    await points.write(
        [
            Sample(series("B", a="1"), 60, point(60, 1.0)),
            Sample(series("A"), 60, point(600, 1.0)),
            Sample(series("A", "Bytes"), 60, point(6000, 1.0)),
            Sample(series("A", region="eu-west-1"), 60, point(60, 1.0)),
        ]
    )
    assert [(k.series.metric, k.series.unit, k.last) for k in points.series("1", "us-east-1")] == [
        ("A", "Bytes", 6000),
        ("A", "None", 600),
        ("B", "None", 60),
    ]
    assert [k.series.dimensions for k in points.series("1", "us-east-1", "N", "B")] == [(("a", "1"),)]
    assert [k.last for k in points.series("1", "us-east-1", "N", since=600)] == [6000, 600]
    assert list(points.series("1", "us-east-1", "Other")) == []
    assert list(points.series("2", "us-east-1")) == []


async def test_a_range_is_read_in_order_of_time(points: Points) -> None:
    await points.write(
        [Sample(series(), step, point(at, 1.0)) for step, at in ((60, 120), (1, 61), (300, 0), (60, 180))]
    )
    assert [p.at for p in read(points)] == [0, 61, 120, 180]
    assert [p.at for p in read(points, start=61, end=180)] == [61, 120]


async def test_what_grows_old_is_rolled_up_and_goes_in_the_end(points: Points) -> None:
    await points.write([Sample(series(), 1, point(at, float(at))) for at in (0, 1, 60, 119, 120)])
    assert await points.roll(NEVER) == 0
    assert await points.roll({**NEVER, 1: 120}) == 4
    assert [(p.at, p.count, p.sum) for p in read(points)] == [(0, 2.0, 1.0), (60, 2.0, 179.0), (120, 1.0, 120.0)]
    assert decode(read(points)[1].values) == {60.0: 1.0, 119.0: 1.0}
    await points.write([Sample(series(), 1, point(5, 7.0))])
    await points.roll({1: 1000, 60: 1000, 300: 1000, 3600: 0})
    assert [(p.at, p.count) for p in read(points)] == [(0, 6.0)]
    await points.roll({1: 0, 60: 0, 300: 0, 3600: 1})
    assert list(points.series("1", "us-east-1")) == []
    await points.write([Sample(series(), 60, point(60, 1.0))])
    assert [p.at for p in read(points)] == [60]


async def test_more_points_than_are_rolled_at_once_lose_nothing(points: Points) -> None:
    many = ROLLED_AT_ONCE + 100
    await points.write([Sample(series(), 1, point(at, 1.0)) for at in range(many)])
    assert await points.roll({**NEVER, 1: many}) == many
    assert sum(p.count for p in read(points)) == many
    assert len(read(points)) == -(-many // 60)


async def test_a_reset_leaves_nothing(points: Points) -> None:
    await points.reset()
    await points.write([Sample(series(), 60, point(60, 1.0))])
    await points.reset()
    assert list(points.series("1", "us-east-1")) == []
    await points.write([Sample(series(), 60, point(60, 2.0))])
    assert [p.sum for p in read(points)] == [2.0]


async def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    first = SqlitePoints(tmp_path / "metrics.db", merge)
    assert not list(tmp_path.iterdir()), "no file before the first point"
    await first.write([Sample(series(), 60, point(60, 1.0))])
    await first.close()
    second = SqlitePoints(tmp_path / "metrics.db", merge)
    assert second.is_there
    await second.write([Sample(series(), 60, point(60, 2.0)), Sample(series("X"), 60, point(60, 9.0))])
    assert [p.sum for p in read(second)] == [3.0]
    assert [p.sum for p in read(second, "X")] == [9.0]
    await second.close()
