"""The machine of environments, driven by whatever may happen in whatever order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from havre.core.environments import Fleet, Member, Phase, Rules, Step, usable

RULES = Rules(memory=1000, rest=1.0, idle=50.0, idle_under_pressure=5.0, settle=0.5, retry=10.0, most=6)
POOLS = {"small": 100, "large": 400}


class World(RuleBasedStateMachine):
    """Carries out the steps as a node does, and remembers who was promised what."""

    def __init__(self) -> None:
        super().__init__()
        self.fleet = Fleet(RULES)
        self.now = 0.0
        self.tickets = 0
        self.waiting: dict[int, str] = {}
        self.running: dict[int, Member] = {}
        self.alive: dict[str, Member] = {}
        self.kept: dict[str, int] = {}
        for pool, memory in POOLS.items():
            self.fleet.know(pool, memory)

    def do(self, steps: list[Step]) -> None:
        for step in steps:
            if step.what == "start":
                assert step.member is not None and step.member.id not in self.alive
                self.alive[step.member.id] = step.member
            elif step.what == "end":
                assert step.member is not None and step.member not in self.running.values(), "busy ones are let alone"
                assert self.kept.get(step.pool, 0) == 0 or not step.member.kept, "kept ones are kept"
                del self.alive[step.member.id]
            elif step.what == "give":
                assert step.member is not None
                self.give(step.ticket, step.member)  # type: ignore[arg-type]
            elif step.what == "refuse":
                del self.waiting[step.ticket]  # type: ignore[arg-type]
            elif step.what == "freeze":
                assert step.member is not None and step.member.phase is Phase.IDLE

    def give(self, ticket: int, member: Member) -> None:
        assert self.waiting.pop(ticket) == member.pool, "an environment serves one function"
        assert member not in self.running.values(), "one invocation at a time"
        self.running[ticket] = member
        member.frozen = False

    def some(self, phase: Phase, index: int) -> Member | None:
        found = [m for m in self.alive.values() if m.phase is phase]
        return found[index % len(found)] if found else None

    @rule(pool=st.sampled_from(sorted(POOLS)))
    def invoke(self, pool: str) -> None:
        self.fleet.know(pool, POOLS[pool])
        self.tickets += 1
        self.waiting[self.tickets] = pool
        member = self.fleet.take(pool, self.now)
        if member is not None:
            self.give(self.tickets, member)
        else:
            self.do(self.fleet.wait(pool, self.tickets, self.now))

    @rule(index=st.integers(0, 20))
    def get_ready(self, index: int) -> None:
        if (member := self.some(Phase.STARTING, index)) is not None:
            self.settle(member)

    def settle(self, member: Member) -> None:
        ticket = self.fleet.settled(member, self.now)
        if ticket is not None:
            self.give(ticket, member)  # type: ignore[arg-type]
        elif self.fleet.urgent:
            self.do(self.fleet.tick(self.now))

    @rule(index=st.integers(0, 20), claims=st.booleans())
    def fail_to_start(self, index: int, claims: bool) -> None:
        member = self.some(Phase.STARTING, index)
        if member is None:
            return
        if claims and not member.kept and (ticket := self.fleet.claim(member, self.now)) is not None:
            self.give(ticket, member)  # type: ignore[arg-type]
            return
        del self.alive[member.id]
        self.do(self.fleet.gone(member, self.now, failed=True))

    @rule(index=st.integers(0, 20), for_good=st.booleans())
    def cannot_be_made(self, index: int, for_good: bool) -> None:
        member = self.some(Phase.STARTING, index)
        if member is None:
            return
        del self.alive[member.id]
        self.fleet.drop(member)
        for ticket in self.fleet.refuse(member.pool, self.now, for_good=for_good):
            del self.waiting[ticket]  # type: ignore[arg-type]
        self.do(self.fleet.gone(member, self.now, failed=True))

    @precondition(lambda self: self.running)
    @rule(index=st.integers(0, 20))
    def answer(self, index: int) -> None:
        ticket = sorted(self.running)[index % len(self.running)]
        self.fleet.answered(self.running.pop(ticket), self.now)

    @rule(index=st.integers(0, 20))
    def ask_for_more(self, index: int) -> None:
        if (member := self.some(Phase.SETTLING, index)) is not None:
            self.settle(member)

    @rule(index=st.integers(0, 20), phase=st.sampled_from([Phase.BUSY, Phase.SETTLING, Phase.IDLE]))
    def spoil(self, index: int, phase: Phase) -> None:
        if (member := self.some(phase, index)) is not None:
            self.running = {t: m for t, m in self.running.items() if m is not member}
            self.fleet.spoilt(member, self.now)
            assert member.phase is not Phase.IDLE

    @precondition(lambda self: self.alive)
    @rule(index=st.integers(0, 20))
    def die(self, index: int) -> None:
        member = self.alive.pop(sorted(self.alive)[index % len(self.alive)])
        self.running = {t: m for t, m in self.running.items() if m is not member}
        self.do(self.fleet.gone(member, self.now))

    @rule(seconds=st.sampled_from([0.1, 0.6, 2.0, 12.0, 60.0]), pressure=st.booleans())
    def pass_time(self, seconds: float, pressure: bool) -> None:
        self.now += seconds
        self.do(self.fleet.tick(self.now, pressure=pressure))

    @rule(scarce=st.booleans())
    def look_at_the_machine(self, scarce: bool) -> None:
        self.fleet.scarce = scarce

    @rule(pool=st.sampled_from(sorted(POOLS)), count=st.integers(0, 2))
    def keep(self, pool: str, count: int) -> None:
        self.fleet.know(pool, POOLS[pool])
        self.fleet.revive(pool)
        self.kept[pool] = count
        self.do(self.fleet.keep(pool, count, self.now))

    @rule(pool=st.sampled_from(sorted(POOLS)))
    def retire(self, pool: str) -> None:
        self.kept[pool] = 0
        self.do(self.fleet.retire(pool))

    @precondition(lambda self: self.waiting)
    @rule(index=st.integers(0, 20))
    def give_up(self, index: int) -> None:
        ticket = sorted(self.waiting)[index % len(self.waiting)]
        assert self.fleet.give_up(self.waiting.pop(ticket), ticket)

    @invariant()
    def both_agree(self) -> None:
        assert {m.id for m in self.fleet.members()} == set(self.alive)
        assert self.fleet.memory == sum(m.memory for m in self.alive.values())

    @invariant()
    def memory_holds(self) -> None:
        assert self.fleet.memory <= RULES.memory

    @invariant()
    def descriptors_hold(self) -> None:
        assert len(self.alive) <= RULES.most

    @invariant()
    def nobody_waits_beside_an_idle_one(self) -> None:
        for pool in self.waiting.values():
            idle = [m for m in self.alive.values() if m.pool == pool and m.phase is Phase.IDLE and m.expires > self.now]
            assert not idle

    def teardown(self) -> None:
        """Once nothing hinders, everybody is served, and what nobody keeps comes to its end."""
        self.fleet.scarce = False
        for _ in range(200):
            for member in tuple(self.alive.values()):
                if member.phase is Phase.STARTING:
                    self.settle(member)
            for ticket in tuple(self.running):
                self.fleet.answered(self.running.pop(ticket), self.now)
            for member in tuple(self.alive.values()):
                if member.phase is Phase.SETTLING:
                    self.settle(member)
            if self.running or any(m.phase is Phase.STARTING for m in self.alive.values()):
                continue
            due = self.fleet.wake_at(self.now)
            if due == float("inf"):
                break
            self.now = due
            self.do(self.fleet.tick(self.now))
        assert not self.waiting and not self.running
        assert all(m.kept for m in self.alive.values())
        for pool, count in self.kept.items():
            if sum(POOLS[p] * n for p, n in self.kept.items()) <= RULES.memory:
                assert sum(m.pool == pool for m in self.alive.values()) == count


TestFleet = World.TestCase


def started(fleet: Fleet, steps: list[Step], now: float = 0.0) -> list[Member]:
    found = [s.member for s in steps if s.what == "start" and s.member]
    for member in found:
        fleet.settled(member, now)
    return found


def test_the_one_that_was_used_last_is_taken() -> None:
    fleet = Fleet(RULES)
    fleet.know("p", 1)
    one, two = started(fleet, fleet.wait("p", "a", 0) + fleet.wait("p", "b", 0))
    for member in (one, two):
        fleet.answered(member, 1)
        fleet.settled(member, 1)
    assert fleet.take("p", 2) is two and fleet.take("p", 2) is one and fleet.take("p", 2) is None


def test_kept_ones_are_taken_first() -> None:
    fleet = Fleet(RULES)
    fleet.know("p", 1)
    [usual] = started(fleet, fleet.wait("p", "a", 0))
    fleet.answered(usual, 1)
    fleet.settled(usual, 1)
    [kept] = started(fleet, fleet.keep("p", 1, 1), 1)
    assert fleet.take("p", 2) is kept


def test_one_that_has_answered_is_waited_for_a_moment() -> None:
    fleet = Fleet(RULES)
    fleet.know("p", 1)
    [member] = started(fleet, fleet.wait("p", "a", 0))
    fleet.answered(member, 1.0)
    assert fleet.wait("p", "b", 1.0) == []
    assert fleet.wake_at(1.0) == 1.5
    assert [s.what for s in fleet.tick(1.5)] == ["start"]


def test_a_free_one_is_as_good_as_a_new_one() -> None:
    fleet = Fleet(RULES)
    fleet.know("p", 1)
    [member] = started(fleet, fleet.wait("p", "a", 0))
    [step] = fleet.wait("p", "b", 1)
    fleet.answered(member, 2)
    assert step.what == "start" and fleet.settled(member, 2) == "b"


def test_rest_and_end() -> None:
    fleet = Fleet(RULES)
    fleet.know("p", 1)
    [member] = started(fleet, fleet.wait("p", "a", 0))
    fleet.answered(member, 0)
    fleet.settled(member, 0)
    assert fleet.wake_at(0) == 1.0
    assert [s.what for s in fleet.tick(1.0)] == ["freeze"] and member.frozen
    assert fleet.wake_at(1.0) == 6.0, "memory may be short by then"
    assert fleet.tick(6.0) == []
    assert fleet.wake_at(49.0) == 50.0
    assert fleet.tick(49.0) == []
    assert [s.what for s in fleet.tick(49.0, pressure=True)] == ["end"]


def test_where_memory_is_scarce_one_begins_in_the_place_of_others_alone() -> None:
    fleet = Fleet(RULES)
    fleet.know("p", 100)
    fleet.know("q", 150)
    fleet.scarce = True
    one, two = started(fleet, fleet.wait("p", "a", 0)), started(fleet, fleet.wait("p", "b", 0))
    assert one and not two, "the first harms nobody: none but it could be the cause"
    assert fleet.wake_at(0) == 0.5, "it is looked at again"
    fleet.scarce = False
    two = started(fleet, fleet.tick(0.5), 0.5)
    for member in (*one, *two):
        fleet.answered(member, 1)
        fleet.settled(member, 1)
    fleet.scarce = True
    assert [s.what for s in fleet.wait("q", "c", 2)] == ["end", "end", "start"]


def test_where_none_can_be_made_one_at_work_is_waited_for_and_others_are_tried_after_a_moment() -> None:
    fleet = Fleet(RULES)
    fleet.know("p", 1)
    [member] = started(fleet, fleet.wait("p", "a", 0))
    [start] = fleet.wait("p", "b", 1)
    assert start.member is not None
    fleet.drop(start.member)
    assert fleet.refuse("p", 1, for_good=False) == [] and fleet.gone(start.member, 1, failed=True) == []
    assert fleet.wait("p", "c", 1.2) == [] and fleet.wake_at(1.2) == 1.5
    assert [s.what for s in fleet.tick(1.5)] == ["start", "start"]
    fleet.answered(member, 2)
    assert fleet.settled(member, 2) == "b"


def test_there_are_no_more_than_there_are_descriptors_for() -> None:
    fleet = Fleet(Rules(memory=1000, most=2))
    fleet.know("p", 1)
    fleet.know("q", 1)
    one, _ = started(fleet, [*fleet.wait("p", "a", 0), *fleet.wait("p", "b", 0), *fleet.wait("p", "c", 0)])
    assert fleet.lend(1, 0) is None and [s.what for s in fleet.wait("q", "d", 0)] == ["refuse"]
    fleet.answered(one, 1)
    assert fleet.settled(one, 1) == "c"
    fleet.answered(one, 2)
    fleet.settled(one, 2)
    assert [s.what for s in fleet.wait("q", "e", 3)] == ["end", "start"]


def test_snap_start_restores_and_makes_the_next_one_ready() -> None:
    fleet = Fleet(RULES)
    fleet.know("p", 1, snap_start=True)
    [start] = fleet.park("p", 1, 0)
    assert start.member is not None
    assert fleet.parked_now(start.member, 1) == []
    steps = fleet.wait("p", "a", 2)
    assert [(s.what, s.ticket) for s in steps] == [("restore", "a"), ("start", None)]


def test_freezing_many_leaves_time_for_others() -> None:
    fleet = Fleet(Rules(memory=1000))
    fleet.know("p", 1)
    steps = [step for ticket in range(10) for step in fleet.wait("p", ticket, 0)]
    for member in started(fleet, steps):
        fleet.answered(member, 0)
        fleet.settled(member, 0)
    frozen = 0
    while frozen < 10:
        now = fleet.wake_at(1.0)
        assert now == 1.0, "at once again"
        some = [step.what for step in fleet.tick(now)]
        assert 0 < len(some) <= 4 and set(some) == {"freeze"}
        frozen += len(some)


def test_one_that_is_kept_has_its_successor_before_it_ends() -> None:
    fleet = Fleet(RULES)
    fleet.know("p", 1)
    [first] = started(fleet, fleet.keep("p", 1, 0), 0)
    first.use_for(1000.0, 0)
    fleet.tick(1.0)
    assert fleet.wake_at(1.0) == first.renew_at == 940.0
    [second] = started(fleet, fleet.tick(940.0), 940.0)
    second.use_for(1000.0, 940.0)
    fleet.tick(941.0)
    assert fleet.ready("p") == 1 and not [s for s in fleet.tick(999.0) if s.what != "freeze"]
    [end] = fleet.tick(1000.0)
    assert (end.what, end.member) == ("end", first)
    assert fleet.take("p", 1000.0) is second


def test_one_whose_credentials_have_ended_hides_no_other() -> None:
    """A machine may have slept: what was due then is done when it wakes."""
    fleet = Fleet(RULES)
    fleet.know("p", 1)
    kept = started(fleet, fleet.keep("p", 2, 0), 0)
    kept[0].use_for(1000.0, 0)
    kept[1].use_for(10.0, 0)
    assert fleet.take("p", 500.0) is kept[0] and fleet.take("p", 500.0) is None
    [free] = started(fleet, fleet.wait("p", "a", 500.0)[:1], 500.0)
    fleet.answered(free, 501.0)
    fleet.settled(free, 501.0)
    assert fleet.take("p", 502.0) is free


@given(left=st.floats(0, 90_000), timeout=st.floats(1, 900), asked=st.floats(0, 100_000))
def test_no_invocation_outlives_the_credentials_of_its_environment(left: float, timeout: float, asked: float) -> None:
    fleet = Fleet(RULES)
    fleet.know("p", 1)
    [member] = started(fleet, fleet.keep("p", 1, 0), 0)
    member.use_for(usable(left, timeout), 0)
    taken = fleet.take("p", asked)
    if taken is not None and asked > 1.0:
        assert asked + timeout <= left
    assert taken is not None or asked >= left - timeout - 301
