"""Data points grow coarser as AWS says."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Site
from havre.core.metrics.values import encode, merge
from havre.kernel.world import World
from havre.services.cloudwatch.facilities import Facilities
from havre.services.cloudwatch.reconcile.retention import DAY, HOUR, KEPT, Retention, Roll, Seen
from havre.store.memory import MemoryJournal, MemoryStore
from havre.store.memory_points import MemoryPoints
from havre.store.points import STEPS, Point, Sample, Series

NOW = 1_800_000_000.0


def made(points: MemoryPoints) -> Retention:
    async def flush() -> None:
        return None

    world = World(lambda: NOW, Random(1))
    deps = ReconcilerDeps(MemoryStore([], world), MemoryJournal(), world, Site(), None)  # type: ignore[arg-type]
    return Retention(deps, Facilities(lambda: points, flush, lambda: points.is_there))


async def swept(points: MemoryPoints) -> None:
    retention = made(points)
    seen = await retention.observe("all")
    assert seen is not None
    for effect in retention.decide(seen).effects:
        await retention.executors[type(effect)](effect)


async def test_points_are_kept_as_long_as_on_aws() -> None:
    ages = {1: 4 * HOUR, 60: 16 * DAY, 300: 64 * DAY, 3600: 456 * DAY}
    points = MemoryPoints(merge)
    for step, age in ages.items():
        for name, at in ((f"old{step}", NOW - age), (f"new{step}", NOW - KEPT[step] + 2 * HOUR)):
            series = Series("1", "r", "n", name, (), "None")
            point = Point(int(at) // step * step, 1.0, 1.0, 1.0, 1.0, encode({1.0: 1.0}))
            await points.write([Sample(series, step, point)])
    await swept(points)
    steps: dict[str, set[int]] = {}
    for known in points.series("1", "r"):
        steps[known.series.metric] = {step for step, _ in points._points[known.id]}
    assert steps == {**{f"new{s}": {s} for s in STEPS}, "old1": {60}, "old60": {300}, "old300": {3600}}


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 400 * DAY)), max_size=20))
def test_nothing_that_is_kept_is_lost(given_points: list[tuple[int, int]]) -> None:
    points = MemoryPoints(merge)
    series = Series("1", "r", "n", "m", (), "None")

    async def run() -> None:
        for step, age in given_points:
            at = int(NOW - age) // step * step
            await points.write([Sample(series, step, Point(at, 1.0, 2.0, 2.0, 2.0, encode({2.0: 1.0})))])
        await swept(points)

    asyncio.run(run())
    ids = [known.id for known in points.series("1", "r")]
    assert sum(point.count for point in points.read(ids, 0, 1 << 40, True)) == len(given_points)


def test_where_nothing_was_measured_nothing_is_opened() -> None:
    plan: Any = made(MemoryPoints(merge)).decide(Seen(NOW, False))
    assert (plan.effects, plan.wake_at) == ((), NOW + HOUR)
    (effect,) = made(MemoryPoints(merge)).decide(Seen(NOW, True)).effects
    assert isinstance(effect, Roll)
    assert all(before % HOUR == 0 for before in effect.before.values())
