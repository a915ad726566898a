"""Timers that are not set for every call, on a loop whose time is virtual."""

from __future__ import annotations

import asyncio

import pytest

from havre.control.functions.alarm import CONFIRM, Alarm, Confirming, Deadline

pytestmark = pytest.mark.looptime


def steady() -> float:
    return asyncio.get_running_loop().time()


async def test_an_alarm_rings_at_the_earliest_moment() -> None:
    rung: list[float] = []
    alarm = Alarm(steady, lambda: rung.append(steady()))
    alarm.by(5.0)
    alarm.by(9.0)
    alarm.by(2.0)
    alarm.by(float("inf"))
    await asyncio.sleep(20)
    assert rung == [pytest.approx(2.0)], "once: what is asked for later is asked for again when it has rung"
    alarm.by(25.0)
    alarm.off()
    await asyncio.sleep(20)
    assert len(rung) == 1


async def test_a_deadline_that_moves_on_passes_once() -> None:
    passed: list[float] = []
    deadline = Deadline(steady, lambda: passed.append(steady()))
    deadline.set(2.0)
    await asyncio.sleep(1)
    deadline.set(4.0)
    await asyncio.sleep(9)
    assert passed == [pytest.approx(4.0)]


async def test_a_deadline_that_comes_nearer_is_not_late() -> None:
    passed: list[float] = []
    deadline = Deadline(steady, lambda: passed.append(steady()))
    deadline.set(10.0)
    deadline.set(1.0)
    await asyncio.sleep(20)
    assert passed == [pytest.approx(1.0)]
    deadline.set(21.0)
    deadline.off()
    await asyncio.sleep(20)
    assert len(passed) == 1


async def test_what_nobody_confirms_is_dropped_after_a_while() -> None:
    dropped: list[str] = []
    confirming = Confirming(dropped.append)
    confirming.begin(["a", "b"])
    confirming.confirm("a")
    await asyncio.sleep(CONFIRM - 1)
    assert not dropped
    await asyncio.sleep(2)
    assert dropped == ["b"]
    confirming.begin(["c"])
    confirming.stop()
    await asyncio.sleep(CONFIRM + 1)
    assert dropped == ["b"]
