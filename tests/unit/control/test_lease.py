"""A lease: one holder at a time, also when clocks and stores misbehave."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.control.fakes import Clock

from havre.control.lease import LEASE, Lease
from havre.kernel.world import World
from havre.store.memory import MemoryStore


def two(clock: Clock) -> tuple[Lease, Lease]:
    world = World(clock, Random(1))
    store = MemoryStore([LEASE], world)
    return Lease(store, world, "scheduler", "one"), Lease(store, world, "scheduler", "two")


async def test_the_second_waits_until_the_first_lets_go() -> None:
    one, two_ = two(Clock())
    assert await one.acquire() and one.held
    assert not await two_.acquire() and not two_.held
    await one.release()
    assert not one.held
    assert await two_.acquire() and two_.held
    assert (one.term, two_.term) == (1, 2)


async def test_a_holder_stops_believing_before_another_may_take_it() -> None:
    clock = Clock()
    one, two_ = two(clock)
    assert await one.acquire()
    clock.now += 14.0
    assert not one.held and not await two_.acquire()
    clock.now += 1.1
    assert await two_.acquire()
    assert not await one.acquire()


async def test_releasing_what_another_has_does_nothing() -> None:
    one, two_ = two(Clock())
    assert await one.acquire()
    await two_.release()
    assert one.held and not await two_.acquire()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("12rR"), st.floats(0, 20)), max_size=40))
def test_never_two_hold_it_and_terms_only_grow(steps: list[tuple[str, float]]) -> None:
    import asyncio

    async def run() -> None:
        clock = Clock()
        one, other = two(clock)
        last = 0
        for step, wait in steps:
            clock.now += wait
            lease = one if step in "1r" else other
            if step in "12":
                if await lease.acquire():
                    assert lease.term >= last
                    last = lease.term
            else:
                await lease.release()
            assert not (one.held and other.held)

    asyncio.run(run())
