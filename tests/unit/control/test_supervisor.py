"""The loops of a process: in order, in reverse, again where they may be, and never silently gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from havre.control.supervisor import Loop, LoopFault, Supervisor
from havre.kernel.world import World

pytestmark = pytest.mark.looptime


def supervisor(*loops: Loop, patience: float = 10.0) -> Supervisor:
    return Supervisor(loops, World(lambda: asyncio.get_running_loop().time(), Random(1)), patience)


def forever(name: str, story: list[str]) -> Loop:
    async def run() -> None:
        story.append(f"{name} begins")
        try:
            await asyncio.Event().wait()
        finally:
            story.append(f"{name} ends")

    return Loop(name, run)


def failing(name: str, times: int, *, essential: bool) -> Loop:
    left = times

    async def run() -> None:
        nonlocal left
        await asyncio.sleep(1)
        if left:
            left -= 1
            raise ValueError("broken")
        await asyncio.Event().wait()

    return Loop(name, run, essential=essential)


async def started(s: Supervisor, seconds: float) -> asyncio.Task[None]:
    task = asyncio.create_task(s.run())
    await asyncio.sleep(seconds)
    return task


async def test_starts_in_order_and_stops_in_reverse() -> None:
    story: list[str] = []
    s = supervisor(forever("one", story), forever("two", story))
    task = await started(s, 1)
    assert s.healthy
    s.stop()
    await task
    assert story == ["one begins", "two begins", "two ends", "one ends"]
    assert {state.state for state in s.health().values()} == {"stopped"}


async def test_the_end_of_an_essential_loop_ends_the_process() -> None:
    story: list[str] = []
    s = supervisor(forever("one", story), failing("two", 1, essential=True))
    with pytest.raises(LoopFault, match="two: broken"):
        await s.run()
    assert story == ["one begins", "one ends"]
    assert s.health()["two"].state == "failed"


async def test_a_loop_that_returns_has_failed() -> None:
    async def run() -> None:
        return

    with pytest.raises(LoopFault, match="returned"):
        await supervisor(Loop("quick", run)).run()


async def test_another_loop_is_started_again_with_back_off() -> None:
    s = supervisor(failing("one", 3, essential=False))
    task = await started(s, 1.2)
    assert (s.health()["one"].state, s.healthy) == ("restarting", False)
    await asyncio.sleep(10)
    assert (s.health()["one"].state, s.health()["one"].restarts) == ("running", 3)
    s.stop()
    await task


def deaf(until: Callable[[], bool]) -> Loop:
    """Swallows cancellations until then."""

    async def run() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if until():
                    raise

    return Loop("deaf", run)


async def test_a_swallowed_cancellation_is_repeated() -> None:
    asked: list[None] = []
    s = supervisor(deaf(lambda: asked.append(None) or len(asked) > 2))
    task = await started(s, 1)
    s.stop()
    await task
    assert (s.health()["deaf"].state, len(asked)) == ("stopped", 3)


async def test_a_loop_that_never_stops_is_given_up_by_name() -> None:
    over = False
    s = supervisor(deaf(lambda: over), patience=5.0)
    task = await started(s, 1)
    s.stop()
    await task
    assert (s.health()["deaf"].state, s.health()["deaf"].error) == ("failed", "did not stop")
    over = True


async def test_an_error_on_the_way_out_is_no_fault() -> None:
    async def run() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("cannot clean up") from None

    s = supervisor(Loop("one", run))
    task = await started(s, 1)
    s.stop()
    await task
    assert s.health()["one"].state == "stopped"
