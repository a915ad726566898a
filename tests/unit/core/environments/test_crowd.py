"""The machine of environments that work on several invocations at once."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from havre.core.environments import Fleet, Rules, Step
from havre.core.environments.crowd import Crowd, CrowdRules, Shared

POOLS = ("a", "b")
MEMORY, SLOTS, MOST = 2048, 3, 2


def crowd(memory: int = 100 * MEMORY, most: int = SLOTS) -> Crowd:
    made = Crowd(Fleet(Rules(memory=memory)), CrowdRules())
    made.know("a", MEMORY, most)
    return made


def begun(c: Crowd, steps: Iterable[Step], now: float, slots: int = SLOTS) -> list[Shared]:
    """Each environment that is to start has, with so many workers."""
    found = []
    for step in steps:
        if step.what == "start":
            assert isinstance(step.member, Shared)
            c.started(step.member, now)
            for _ in range(slots):
                c.offered(step.member)
            found.append(step.member)
    return found


def test_invocations_are_spread_over_environments_and_slots() -> None:
    c = crowd()
    one, two = begun(c, c.keep("a", 2, 0.0), 0.0)
    taken = [c.take("a") for _ in range(2 * SLOTS)]
    assert {taken[0], taken[1]} == {one, two}
    assert one.running == two.running == SLOTS
    assert c.take("a") is None


def test_who_finds_no_slot_waits_a_moment_for_one_and_is_refused_then() -> None:
    c = crowd()
    (one,) = begun(c, c.keep("a", 1, 0.0), 0.0, slots=1)
    assert c.take("a") is one
    assert c.wait("a", "first", 1.0)
    assert not c.wait("a", "second", 1.0)
    assert c.done(one, 1.05) == []
    assert c.offered(one) == "first"
    assert c.wait("a", "third", 2.0)
    assert c.wake_at(2.0) == 2.0 + c.rules.patience
    assert [s.what for s in c.tick(2.0)] == []
    assert [(s.what, s.ticket) for s in c.tick(2.2)] == [("refuse", "third")]


def test_workers_that_ask_for_more_at_once_have_as_many_invocations_as_there_may_be_and_no_more() -> None:
    c = crowd(most=4)
    (one,) = begun(c, c.keep("a", 1, 0.0), 0.0, slots=2)
    assert c.counts("a").slots == 2
    for _ in range(4):
        assert c.take("a") is one
        assert c.offered(one) is None
    assert (one.running, one.free, c.counts("a").slots) == (4, 2, 4)
    assert c.take("a") is None
    assert c.wait("a", "fifth", 1.0)
    assert c.offered(one) is None
    assert [(s.what, s.member, s.ticket) for s in c.done(one, 1.01)] == [("give", one, "fifth")]
    assert (one.running, one.free) == (4, 2)


def test_nobody_waits_where_there_is_no_environment() -> None:
    c = crowd()
    assert not c.wait("a", "x", 0.0)
    c.keep("a", 1, 0.0)
    assert not c.wait("a", "x", 0.0)


def test_one_that_leaves_ends_with_its_last_invocation() -> None:
    c = crowd()
    one, two = begun(c, c.keep("a", 2, 0.0), 0.0)
    assert c.take("a") is one and c.take("a") is two
    assert c.keep("a", 0, 1.0) == []
    assert c.take("a") is None
    assert [s.what for s in c.done(one, 2.0)] == ["end"]
    assert c.offered(two) is None
    assert [s.what for s in c.done(two, 2.0)] == ["end"]
    assert c.counts("a").ready == 0


def test_what_has_no_room_is_tried_again_and_told() -> None:
    c = crowd(memory=2 * MEMORY)
    begun(c, c.keep("a", 3, 0.0), 0.0)
    assert c.counts("a").ready == 2 and c.counts("a").short
    assert c.wake_at(0.0) == c.rules.retry
    begun(c, c.keep("a", 2, 1.0), 1.0)
    assert not c.counts("a").short


def test_one_whose_credentials_end_is_replaced_before_it_goes() -> None:
    c = crowd()
    (one,) = begun(c, c.keep("a", 1, 0.0), 0.0)
    one.expires = 1000.0
    assert c.wake_at(1.0) == 1000.0 - c.rules.lead
    (two,) = begun(c, c.tick(945.0), 945.0)
    assert c.counts("a").ready == 2
    assert c.take("a") is one
    assert c.tick(1000.0) == [] and one.leaving
    assert [s.member for s in c.done(one, 1001.0)] == [one]
    assert c.take("a") is two


def test_an_environment_that_fails_is_replaced_later_and_one_that_worked_at_once() -> None:
    c = crowd()
    steps = c.keep("a", 1, 0.0)
    assert isinstance(steps[0].member, Shared)
    assert c.gone(steps[0].member, 0.0, failed=True) == []
    (one,) = begun(c, c.tick(c.rules.retry), c.rules.retry)
    assert [s.what for s in c.gone(one, 20.0)] == ["start"]


def test_a_pool_that_is_retired_is_forgotten_with_its_last_environment() -> None:
    c = crowd()
    (one,) = begun(c, c.keep("a", 1, 0.0), 0.0, slots=1)
    c.take("a")
    c.wait("a", "late", 0.0)
    assert [(s.what, s.ticket) for s in c.retire("a", 1.0)] == [("refuse", "late")]
    assert c.knows("a")
    c.done(one, 2.0)
    assert not c.knows("a")


def test_what_is_lent_is_given_back_to_environments_of_the_usual_kind() -> None:
    fleet = Fleet(Rules(memory=MEMORY))
    c = Crowd(fleet, CrowdRules())
    c.know("a", MEMORY, 1)
    fleet.know("usual", 128)
    begun(c, c.keep("a", 1, 0.0), 0.0)
    assert [s.what for s in fleet.wait("usual", "t", 0.0)] == ["refuse"]
    c.keep("a", 0, 1.0)
    assert fleet.memory == 0
    assert [s.what for s in fleet.wait("usual", "t", 1.0)] == ["start"]


class Random(RuleBasedStateMachine):
    """No slot is used twice, no ticket lost, and there are never more environments than are wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.fleet = Fleet(Rules(memory=6 * MEMORY))
        self.crowd = Crowd(self.fleet, CrowdRules())
        self.now = 0.0
        self.tickets = 0
        self.starting: list[Shared] = []
        self.running: list[Shared] = []
        self.resting: list[Shared] = []
        """One entry for each worker that is at work on nothing: it asks, or goes."""
        self.waiting: set[object] = set()
        self.ended: set[str] = set()

    def do(self, steps: Iterable[Step]) -> None:
        for step in steps:
            member = step.member
            if step.what == "start":
                assert isinstance(member, Shared)
                self.starting.append(member)
            elif step.what == "end":
                assert isinstance(member, Shared) and member.running == 0
                self.ended.add(member.id)
                self.starting = [m for m in self.starting if m is not member]
                self.resting = [m for m in self.resting if m is not member]
            elif step.what == "refuse":
                self.waiting.remove(step.ticket)
            elif step.what == "give":
                assert isinstance(member, Shared)
                self.waiting.remove(step.ticket)
                self.running.append(member)

    @rule(pool=st.sampled_from(POOLS), count=st.integers(0, 5))
    def keep(self, pool: str, count: int) -> None:
        self.crowd.know(pool, MEMORY, MOST)
        self.do(self.crowd.keep(pool, count, self.now))

    @rule(pool=st.sampled_from(POOLS))
    def retire(self, pool: str) -> None:
        self.do(self.crowd.retire(pool, self.now))

    @precondition(lambda self: self.starting)
    @rule(data=st.data(), well=st.booleans())
    def begin(self, data: st.DataObject, well: bool) -> None:
        member = self.starting.pop(data.draw(st.integers(0, len(self.starting) - 1)))
        if well:
            self.do(self.crowd.started(member, self.now))
            if member.id not in self.ended:
                self.resting += [member] * SLOTS
        else:
            self.do(self.crowd.gone(member, self.now, failed=True))

    @precondition(lambda self: self.resting)
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        member = self.resting.pop(data.draw(st.integers(0, len(self.resting) - 1)))
        ticket = self.crowd.offered(member)
        if ticket is not None:
            self.waiting.remove(ticket)
            self.running.append(member)

    @precondition(lambda self: any(m.free for pool in POOLS for m in self.crowd.members(pool)))
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        """A worker that waits ends."""
        members = [m for pool in POOLS for m in self.crowd.members(pool) if m.free]
        self.crowd.withdrawn(members[data.draw(st.integers(0, len(members) - 1))], waited=True)

    @rule(pool=st.sampled_from(POOLS))
    def invoke(self, pool: str) -> None:
        member = self.crowd.take(pool)
        if member is not None:
            assert not member.leaving and member.id not in self.ended
            self.running.append(member)
            return
        self.tickets += 1
        if self.crowd.wait(pool, self.tickets, self.now):
            self.waiting.add(self.tickets)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        member = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.resting.append(member)
        self.do(self.crowd.done(member, self.now))

    @rule(by=st.floats(0, 30))
    def time(self, by: float) -> None:
        self.now += by
        self.do(self.crowd.tick(self.now))

    @invariant()
    def counts_hold(self) -> None:
        members = [m for pool in POOLS for m in self.crowd.members(pool)]
        for member in members:
            assert member.free >= 0
            assert member.running == sum(m is member for m in self.running)
            resting = sum(m is member for m in self.resting)
            assert member.running <= MOST
            assert member.free + member.running + member.resting <= SLOTS
            assert member.resting <= resting
        for pool in POOLS:
            counts = self.crowd.counts(pool)
            assert sum(not m.leaving for m in self.crowd.members(pool)) <= counts.wanted
        assert self.fleet.memory == MEMORY * len(members) <= 6 * MEMORY


TestRandom = Random.TestCase
TestRandom.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
