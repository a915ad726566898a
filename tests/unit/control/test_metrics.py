"""The recorder: what is added in passing arrives, by the minute, whatever the disk says."""

from __future__ import annotations

import asyncio

import pytest

from havre.control import metrics
from havre.control.metrics import EVERY, Recorder, Tally
from havre.core.metrics.values import decode, merge
from havre.kernel.errors import Temporary
from havre.store.memory_points import MemoryPoints

WHERE = ("1", "us-east-1", "AWS/Lambda")


class Clock:
    def __init__(self) -> None:
        self.now = 6000.0
        self.opened = 0
        self.points = MemoryPoints(merge)
        self.recorder = Recorder(lambda: self.now, self._open)

    def _open(self) -> MemoryPoints:
        self.opened += 1
        return self.points

    def read(self, name: str) -> list[tuple[int, float, float]]:
        ids = [known.id for known in self.points.series(*WHERE, name)]
        return [(p.at, p.count, p.sum) for p in self.points.read(ids, 0, 1 << 40, True)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_values_are_summed_up_by_the_minute(clock: Clock) -> None:
    add = clock.recorder.add
    for value in (1.0, 2.0, 2.0):
        add(*WHERE, "Duration", (("b", "2"), ("a", "1")), value, "Milliseconds")
    clock.now += 60
    add(*WHERE, "Duration", (("b", "2"), ("a", "1")), 7.0, "Milliseconds")
    assert clock.opened == 0, "nothing is opened before something is put away"
    await clock.recorder.flush()
    assert clock.read("Duration") == [(6000, 3.0, 5.0), (6060, 1.0, 7.0)]
    (known,) = clock.points.series(*WHERE)
    assert (known.series.dimensions, known.series.unit) == ((("a", "1"), ("b", "2")), "Milliseconds")
    add(*WHERE, "Duration", (("a", "1"), ("b", "2")), 1.0, "Milliseconds")
    await clock.recorder.flush()
    assert clock.read("Duration") == [(6000, 3.0, 5.0), (6060, 2.0, 8.0)]


async def test_what_others_counted_is_drained_first(clock: Clock) -> None:
    counted = {3.0: 2.0}

    def drain() -> None:
        clock.recorder.put(Tally(*WHERE, "Errors", (), "Count", 5999.0, dict(counted)))
        counted.clear()

    clock.recorder.feed(drain)()
    await clock.recorder.flush()
    assert clock.read("Errors") == [(5940, 2.0, 6.0)]
    await clock.recorder.flush()
    assert clock.read("Errors") == [(5940, 2.0, 6.0)], "an empty tally is none"


async def test_what_the_disk_refuses_is_tried_again(clock: Clock) -> None:
    def refuse() -> None:
        raise Temporary("full")

    clock.points.fault = refuse
    clock.recorder.add(*WHERE, "Errors")
    await clock.recorder.flush()
    assert clock.read("Errors") == []
    clock.points.fault = None
    clock.recorder.add(*WHERE, "Errors")
    await clock.recorder.close()
    assert clock.read("Errors") == [(6000, 2.0, 2.0)]


@pytest.mark.looptime
async def test_it_is_put_away_by_itself(clock: Clock) -> None:
    clock.recorder.add(*WHERE, "Errors")
    await asyncio.sleep(EVERY - 0.5)
    assert clock.read("Errors") == []
    await asyncio.sleep(1)
    assert clock.read("Errors") == [(6000, 1.0, 1.0)]


async def test_too_much_is_put_away_at_once(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_VALUES", 10)
    clock.recorder._left = 10
    for n in range(10):
        clock.recorder.add(*WHERE, "Duration", (), float(n))
    await asyncio.sleep(0.01)
    ((at, count, _),) = clock.read("Duration")
    assert (at, count) == (6000, 10.0)
    (known,) = clock.points.series(*WHERE)
    (point,) = clock.points.read([known.id], 0, 1 << 40, True)
    assert decode(point.values) == {float(n): 1.0 for n in range(10)}
