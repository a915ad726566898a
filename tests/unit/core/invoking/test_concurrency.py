"""Slots are exact, limits hold, and what is refused costs nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from havre.core.invoking.concurrency import (
    CONCURRENT,
    CONCURRENT_RESERVED,
    FEW,
    GROWTH,
    IDLE,
    RATE,
    REASONS,
    TOO_FAST,
    TOO_FAST_RESERVED,
    Concurrency,
    Pool,
    Share,
    Slot,
)


def admitted(found: Slot | str) -> Slot:
    assert isinstance(found, Slot), found
    return found


def test_a_reservation_of_zero_throttles_all() -> None:
    counts = Concurrency(0.0)
    assert counts.admit(Share("f", reserved=0), Pool(), 0.0) == CONCURRENT_RESERVED


def test_the_unreserved_pool_is_what_reservations_leave() -> None:
    counts, pool = Concurrency(0.0), Pool(limit=10, set_aside=8)
    slots = [admitted(counts.admit(Share(name), pool, 0.0)) for name in ("a", "b")]
    assert counts.admit(Share("c"), pool, 0.0) == CONCURRENT
    assert isinstance(counts.admit(Share("r", reserved=1), pool, 0.0), Slot)
    counts.release(slots[0])
    assert isinstance(counts.admit(Share("c"), pool, 0.0), Slot)


def test_provisioned_environments_come_first_and_take_nothing_from_the_pool() -> None:
    counts, pool = Concurrency(0.0), Pool(limit=1)
    share = Share("f", "1", provisioned=2)
    first = [admitted(counts.admit(share, pool, 0.0)) for _ in range(2)]
    assert all(s.provisioned for s in first) and counts.unreserved == 0 and counts.provisioned("f", "1") == 2
    spilled = admitted(counts.admit(share, pool, 0.0))
    assert not spilled.provisioned and counts.unreserved == 1
    assert counts.admit(share, pool, 0.0) == CONCURRENT
    counts.release(first[0])
    assert admitted(counts.admit(share, pool, 0.0)).provisioned


def test_functions_that_come_and_go_are_forgotten_and_nothing_else_changes() -> None:
    counts, pool = Concurrency(0.0), Pool(limit=100_000)
    runs_on = [admitted(counts.admit(Share("long"), pool, 0.0, synchronous=False)) for _ in range(int(GROWTH))]
    for n in range(20 * FEW):
        counts.release(admitted(counts.admit(Share(f"f{n}"), pool, n * 10.0)))
    assert len(counts._functions) <= 2 * FEW
    now = 200 * FEW + 0.0
    assert counts.running("long") == len(runs_on)
    assert isinstance(counts.admit(Share("long"), pool, now), Slot)
    for slot in runs_on:
        counts.release(slot)
    assert counts.running("long") == 1


def test_provisioned_environments_are_part_of_the_reservation() -> None:
    counts, pool = Concurrency(0.0), Pool()
    latest, kept = Share("f", reserved=3, held=2), Share("f", "1", 3, provisioned=2, held=2)
    one = admitted(counts.admit(latest, pool, 0.0))
    assert counts.admit(latest, pool, 0.0) == CONCURRENT_RESERVED
    assert all(admitted(counts.admit(kept, pool, 0.0)).provisioned for _ in range(2))
    assert counts.admit(kept, pool, 0.0) == CONCURRENT_RESERVED
    counts.release(one)
    assert not admitted(counts.admit(kept, pool, 0.0)).provisioned, "the one that is left is anybody's"


def test_synchronous_invocations_are_ten_a_second_for_each_unit_of_concurrency() -> None:
    counts, share = Concurrency(0.0), Share("f", reserved=2)
    for _ in range(2 * RATE):
        counts.release(admitted(counts.admit(share, Pool(), 0.0)))
    assert counts.admit(share, Pool(), 0.0) == TOO_FAST_RESERVED
    assert isinstance(counts.admit(share, Pool(), 0.0, synchronous=False), Slot)
    counts.release(admitted(counts.admit(share, Pool(), 0.05)))
    unreserved = Concurrency(0.0)
    for _ in range(3 * RATE):
        unreserved.release(admitted(unreserved.admit(Share("f"), Pool(limit=3), 0.0)))
    assert unreserved.admit(Share("g"), Pool(limit=3), 0.0) == TOO_FAST


def test_a_function_grows_by_a_thousand_and_then_by_a_hundred_a_second() -> None:
    counts, pool = Concurrency(0.0), Pool(limit=5000)
    slots = [admitted(counts.admit(Share("f"), pool, 0.0, False)) for _ in range(int(GROWTH))]
    assert counts.admit(Share("f"), pool, 0.0, False) == TOO_FAST
    assert isinstance(counts.admit(Share("g"), pool, 0.0, False), Slot), "each function grows by itself"
    for _ in range(100):
        slots.append(admitted(counts.admit(Share("f"), pool, 1.0, False)))
    assert counts.admit(Share("f"), pool, 1.0, False) == TOO_FAST
    for slot in slots:
        counts.release(slot)
    again = [admitted(counts.admit(Share("f"), pool, 1.0, False)) for _ in range(1100)]
    assert len(again) == 1100, "environments that are there cost no growth"


def test_idle_environments_are_forgotten() -> None:
    counts, pool = Concurrency(0.0), Pool(limit=5000)
    for slot in [admitted(counts.admit(Share("f"), pool, 0.0, False)) for _ in range(1000)]:
        counts.release(slot)
    later = IDLE + 1.0
    slots = [counts.admit(Share("f"), pool, later, False) for _ in range(1001)]
    assert [s for s in slots if isinstance(s, str)] == [TOO_FAST]


def test_a_limit_that_shrinks_keeps_what_runs_and_lets_nobody_in() -> None:
    counts = Concurrency(0.0)
    slots = [admitted(counts.admit(Share("f"), Pool(), 0.0)) for _ in range(5)]
    assert counts.admit(Share("f", reserved=5), Pool(), 0.0) == CONCURRENT_RESERVED
    counts.release(slots[0])
    assert isinstance(counts.admit(Share("f", reserved=5), Pool(), 0.0), Slot)


class Machine(RuleBasedStateMachine):
    """Against a count of the slots themselves."""

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.counts = Concurrency(self.now)
        self.open: list[Slot] = []
        self.limit = 20
        self.reserved: dict[str, int | None] = {"a": None, "b": 3, "c": None}
        self.provisioned = {"a": 0, "b": 0, "c": 2}

    @property
    def pool(self) -> Pool:
        aside = sum(r for r in self.reserved.values() if r is not None)
        aside += sum(p for name, p in self.provisioned.items() if self.reserved[name] is None)
        return Pool(self.limit, aside)

    @rule(name=st.sampled_from("abc"), synchronous=st.booleans())
    def admit(self, name: str, synchronous: bool) -> None:
        reserved, provisioned = self.reserved[name], self.provisioned[name]
        share = Share(name, "1", reserved, provisioned, held=provisioned)
        running = sum(s.function == name for s in self.open)
        spilled = sum(s.function == name and not s.provisioned for s in self.open)
        unreserved = sum(s.unreserved for s in self.open)
        found = self.counts.admit(share, self.pool, self.now, synchronous)
        if isinstance(found, str):
            assert found in REASONS
            if found == CONCURRENT_RESERVED:
                assert reserved is not None and (running >= reserved or spilled >= reserved - provisioned)
            if found == CONCURRENT:
                assert reserved is None and unreserved >= self.pool.unreserved
            return
        assert reserved is None or running < reserved
        assert reserved is None or found.provisioned or spilled < reserved - provisioned
        assert not found.unreserved or unreserved < self.pool.unreserved
        self.open.append(found)

    @rule(index=st.integers(0, 100), twice=st.booleans())
    def release(self, index: int, twice: bool) -> None:
        if self.open:
            slot = self.open.pop(index % len(self.open))
            self.counts.release(slot)
            if twice:
                self.counts.release(slot)

    @rule(seconds=st.floats(0.0, 400.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=st.sampled_from("abc"), reserved=st.none() | st.integers(0, 6))
    def reserve(self, name: str, reserved: int | None) -> None:
        self.reserved[name] = reserved

    @rule(name=st.sampled_from("abc"), count=st.integers(0, 4))
    def provision(self, name: str, count: int) -> None:
        self.provisioned[name] = count

    @invariant()
    def counts_are_exact(self) -> None:
        for name in "abc":
            assert self.counts.running(name) == sum(s.function == name for s in self.open)
            ready = sum(s.provisioned and s.function == name for s in self.open)
            assert self.counts.provisioned(name, "1") == ready
        assert self.counts.unreserved == sum(s.unreserved for s in self.open)


TestMachine = Machine.TestCase


@given(st.integers(0, 50), st.integers(1, 60))
def test_no_more_than_the_limit_run(limit: int, asked: int) -> None:
    counts = Concurrency(0.0)
    found = [counts.admit(Share("f"), Pool(limit), 0.0) for _ in range(asked)]
    assert sum(isinstance(each, Slot) for each in found) == min(limit, asked)
