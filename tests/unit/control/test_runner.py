"""The runner: no wake-up lost, no key twice at once, everything converges after failures and crashes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.control.fakes import TANK, Clock, Fill, Level, level, loop_world, make, want

from havre.control.runner import Runner
from havre.control.workqueue import WorkQueue
from havre.kernel.effects import Effect, Plan, Update
from havre.kernel.errors import Permanent, Temporary


class Crash(BaseException):
    """The process dies here."""


async def test_converges_step_by_step() -> None:
    store, world, tanks = make()
    runner = Runner([tanks], store, world)
    await want(store, "a", 5)
    await want(store, "b", 2)
    assert await runner.drain() > 0
    assert (tanks.real, level(store, "a"), level(store, "b")) == ({"a": 5, "b": 2}, 5, 2)
    await want(store, "a", 3)
    await runner.drain()
    assert (tanks.real["a"], level(store, "a")) == (3, 3)


async def test_looks_at_everything_at_the_start() -> None:
    store, world, tanks = make()
    await want(store, "a", 1)
    await Runner([tanks], store, world).drain()
    assert level(store, "a") == 1


async def test_an_update_that_changes_nothing_is_not_written() -> None:
    store, world, tanks = make()
    runner = Runner([tanks], store, world)
    await want(store, "a", 1)
    await runner.drain()
    revision = store.revision
    runner.wake("test.tank", "a")
    await runner.drain()
    assert store.revision == revision


async def test_a_temporary_failure_is_tried_again_not_before_its_time() -> None:
    clock = Clock()
    store, world, tanks = make(clock)
    runner = Runner([tanks], store, world)
    failing = True

    async def fail(effect: Fill) -> None:
        if failing:
            raise Temporary("the tap is closed", after=7)

    tanks.before = fail
    await want(store, "a", 1)
    await runner.drain()
    progress = runner.progress()["test.tank"]
    assert (progress.failures, progress.failing) == (1, 1)
    assert await runner.explain("tank/a") == [
        "The tank has 0 of 1 litres.",
        "The last attempt failed: the tap is closed. Next attempt in 7 s.",
    ]
    failing = False
    when = runner.next_time()
    assert when is not None and when >= clock.now + 7
    clock.now = when - 0.1
    assert await runner.drain() == 0
    clock.now = when
    await runner.drain()
    assert level(store, "a") == 1
    assert await runner.explain("tank/a") == []
    assert runner.progress()["test.tank"].failing == 0


async def test_back_off_grows_to_a_limit() -> None:
    clock = Clock()
    store, world, tanks = make(clock)
    runner = Runner([tanks], store, world)

    async def fail(effect: Fill) -> None:
        raise Permanent("no such tap")

    tanks.before = fail
    tanks.resync = 0
    await want(store, "a", 1)
    delays = []
    for _ in range(15):
        await runner.drain()
        when = runner.next_time()
        assert when is not None
        delays.append(when - clock.now)
        clock.now = when
    assert delays[0] < 0.3 and delays[-1] >= 60 and max(delays) <= 72
    assert delays[:9] == sorted(delays[:9])


async def test_an_answer_to_a_failure_is_written() -> None:
    store, world, tanks = make()
    runner = Runner([tanks], store, world)

    async def fail(effect: Fill) -> None:
        raise Permanent("no such tap")

    def answer(effect: Effect, failure: Exception) -> Plan:
        tank = store.get(TANK, "", "", "a")
        return Plan(writes=(Update(tank, status=Level(0, str(failure))),))

    tanks.before, tanks.on_failure = fail, answer
    await want(store, "a", 1)
    await runner.drain()
    tank = store.get(TANK, "", "", "a")
    assert tank is not None and tank.status.problem == "no such tap"


async def test_a_bug_in_one_key_does_not_stop_the_others() -> None:
    store, world, tanks = make()
    runner = Runner([tanks], store, world)

    async def fail(effect: Fill) -> None:
        if effect.tank == "a":
            raise ZeroDivisionError

    tanks.before = fail
    await want(store, "a", 1)
    await want(store, "b", 1)
    await runner.drain()
    assert level(store, "b") == 1
    assert runner.progress()["test.tank"].failing == 1


async def test_a_conflict_is_observed_again_at_once() -> None:
    store, world, tanks = make()
    runner = Runner([tanks], store, world)

    async def interfere(effect: Fill) -> None:
        tanks.after = None
        await want(store, "a", 2)

    tanks.after = interfere
    await want(store, "a", 1)
    await runner.drain()
    assert level(store, "a") == 2
    assert runner.progress()["test.tank"].conflicts == 1


async def test_drain_tells_when_it_does_not_settle() -> None:
    store, world, tanks = make()
    runner = Runner([tanks], store, world)
    await want(store, "a", 100)
    with pytest.raises(RuntimeError):
        await runner.drain(limit=10)


@pytest.mark.looptime
async def test_runs_side_by_side_but_never_a_key_twice() -> None:
    store, world, tanks = loop_world()
    runner = Runner([tanks], store, world)
    most = 0

    async def slow(effect: Fill) -> None:
        nonlocal most
        most = max(most, len(tanks.running))
        await asyncio.sleep(1)

    tanks.before = slow
    loop = asyncio.create_task(runner.run())
    began = asyncio.get_running_loop().time()
    for n in range(5):
        await want(store, f"t{n}", 3)
    await asyncio.sleep(1.5)
    for n in range(5):
        await want(store, f"t{n}", 4)
    while any(level(store, f"t{n}") != 4 for n in range(5)):
        await asyncio.sleep(0.5)
    assert asyncio.get_running_loop().time() - began < 10
    assert most == 5
    loop.cancel()
    await asyncio.wait([loop])
    assert not tanks.running


@pytest.mark.looptime
async def test_resync_finds_what_no_change_told() -> None:
    store, world, tanks = loop_world()
    runner = Runner([tanks], store, world)
    loop = asyncio.create_task(runner.run())
    await want(store, "a", 2)
    await asyncio.sleep(1)
    tanks.real["a"] = 0
    await asyncio.sleep(700)
    assert tanks.real["a"] == 2
    loop.cancel()
    await asyncio.wait([loop])


@pytest.mark.looptime
async def test_wake_at_is_kept_while_it_runs_as_a_loop() -> None:
    store, world, tanks = loop_world()
    times: list[float] = []

    def decide(seen: object) -> Plan:
        times.append(world.now())
        return Plan(wake_at=world.now() + 5)

    tanks.decide = decide  # type: ignore[method-assign]
    loop = asyncio.create_task(Runner([tanks], store, world).run())
    await want(store, "a", 2)
    await asyncio.sleep(16)
    assert [round(t - times[0]) for t in times] == [0, 5, 10, 15]
    loop.cancel()
    await asyncio.wait([loop])


class Faults:
    """What goes wrong at each effect, by a script: before it happens, or after it has."""

    def __init__(self, script: list[str]) -> None:
        self.script = list(script)
        self.now = "ok"

    async def before(self, effect: Fill) -> None:
        self.now = self.script.pop() if self.script else "ok"
        self._raise({"temporary": Temporary("not now"), "crash": Crash(), "bug": ZeroDivisionError()})

    async def after(self, effect: Fill) -> None:
        self._raise({"lost answer": Temporary("no answer"), "crash after": Crash()})

    def _raise(self, faults: dict[str, BaseException]) -> None:
        if self.now in faults:
            raise faults[self.now]


FAULTS = ["ok", "ok", "temporary", "lost answer", "crash", "crash after", "bug"]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    wishes=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4)), min_size=1, max_size=12),
    script=st.lists(st.sampled_from(FAULTS), max_size=30),
)
def test_converges_whatever_fails_and_wherever_it_crashes(
    seed: int, wishes: list[tuple[str, int]], script: list[str]
) -> None:
    async def simulate() -> None:
        clock = Clock()
        store, world, tanks = make(clock, seed)
        faults = Faults(script)
        tanks.before, tanks.after = faults.before, faults.after
        runner = Runner([tanks], store, world)
        todo = list(wishes)
        while True:
            try:
                if todo and world.chance.random() < 0.3:
                    await want(store, *todo.pop(0))
                elif not await runner.step() and not todo:
                    when = runner.next_time()
                    if when is None or when > clock.now + 300:  # nothing but the resync
                        break
                    clock.now = when
            except Crash:
                runner = Runner([tanks], store, world)
        for name, litres in dict(wishes).items():
            assert (level(store, name), tanks.real.get(name, 0)) == (litres, litres)

    asyncio.run(simulate())


@pytest.mark.looptime
@pytest.mark.parametrize("seed", range(5))
async def test_no_wake_up_is_lost_under_concurrency(seed: int) -> None:
    store, world, tanks = loop_world(seed)

    async def linger(effect: Fill) -> None:
        await asyncio.sleep(world.chance.choice([0, 0, 0.01, 0.3]))
        if world.chance.random() < 0.1:
            raise Temporary("not now", after=0.1)

    tanks.before = tanks.after = linger
    tanks.resync = 0
    loop = asyncio.create_task(Runner([tanks], store, world).run())
    last: dict[str, int] = {}
    for _ in range(60):
        name = world.chance.choice("abcdef")
        last[name] = world.chance.randrange(4)
        await want(store, name, last[name])
        await asyncio.sleep(world.chance.choice([0, 0.01, 0.2]))
    await asyncio.sleep(120)
    assert {name: tanks.real.get(name, 0) for name in last} == last
    assert {name: level(store, name) for name in last} == last
    loop.cancel()
    await asyncio.wait([loop])


async def test_a_listing_that_fails_once_stops_no_timer() -> None:
    clock = Clock()
    store, world, tanks = make(clock)
    listing, failures = tanks.all_keys, 1

    def all_keys() -> Iterable[str]:
        nonlocal failures
        if clock.now > 1500 and failures:
            failures -= 1
            raise ZeroDivisionError
        return listing()

    tanks.all_keys = all_keys  # type: ignore[method-assign]
    runner = Runner([tanks], store, world)
    await want(store, "a", 1)
    await runner.drain()
    tanks.real["a"] = 0
    clock.now = 1700.0
    await runner.drain()
    when = runner.next_time()
    assert when is not None and when > clock.now
    clock.now = when
    await runner.drain()
    assert tanks.real["a"] == 1


@pytest.mark.looptime
async def test_a_listing_that_fails_in_the_loop_is_tried_again() -> None:
    store, world, tanks = loop_world()
    listing, broken = tanks.all_keys, False
    tanks.all_keys = lambda: 1 / 0 if broken else listing()  # type: ignore[method-assign, assignment]
    loop = asyncio.create_task(Runner([tanks], store, world).run())
    await want(store, "a", 2)
    await asyncio.sleep(1)
    broken, tanks.real["a"] = True, 0
    await asyncio.sleep(1000)
    broken = False
    await asyncio.sleep(700)
    assert tanks.real["a"] == 2
    loop.cancel()
    await asyncio.wait([loop])


async def test_explaining_what_cannot_be_looked_at_says_why() -> None:
    store, world, tanks = make()
    runner = Runner([tanks], store, world)
    await want(store, "a", 1)

    async def observe(key: str) -> None:
        raise Temporary("the meter does not answer")

    tanks.observe = observe  # type: ignore[method-assign, assignment]
    assert await runner.explain("tank/a") == ["It cannot be looked at now: the meter does not answer."]


def test_a_timer_that_is_set_again_and_again_takes_no_memory() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for n in range(10_000):
        queue.wake("a")
        assert queue.take(float(n)) == "a"
        queue.done("a")
        queue.wake_at("a", 1e9)
        queue.wake_at("b", 2e9 - n)
    assert len(queue._heap) < 300
    assert queue.next_time() == 1e9
    queue.ring(1e9)
    assert queue.take(1e9) == "a" and queue.take(1e9) is None
    queue.ring(2e9)
    assert queue.take(2e9) == "b"
