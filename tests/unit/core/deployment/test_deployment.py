"""What a rolling deployment promises: never below its minimum by stopping, never above its maximum, it ends, and a
rollback ends at the old revision. Held by properties over tasks that live, crash and recover by chance."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from havre.core.deployment import (
    Breaker,
    RolloutView,
    Step,
    TaskView,
    Wish,
    back_off,
    bounds,
    judge,
    roll,
    spread,
    threshold,
)

OLD, NEW = "ecs-svc/1", "ecs-svc/2"
PLACES = ("a", "b", "c", "d")


class World:
    """Tasks, and what happens to them. ``outcome(task)`` says how one of a deployment turns out: ok or crash."""

    def __init__(self, draw, desired, deployment=OLD, count=None):
        self.draw = draw
        self.clock = 0.0
        self.n = 0
        self.tasks = []
        self.outcome = lambda task: "ok"
        for _ in range(desired if count is None else count):
            self.start(deployment, "running", healthy=True)

    def start(self, deployment, phase="starting", healthy=False, place=""):
        self.n += 1
        self.clock += 1
        where = place or PLACES[self.n % len(PLACES)]
        self.tasks.append(
            TaskView(f"t{self.n:04d}", deployment, phase, healthy=healthy, created=self.clock, zone=where, place=where)
        )

    def change(self, id, **what):
        self.tasks = [replace(t, **what) if t.id == id else t for t in self.tasks]

    def apply(self, step, primary):
        for id, _ in step.stop:
            self.change(id, wanted=False)
        if step.at:
            for place in step.at:
                self.start(primary, place=place)
        else:
            for _ in range(step.start):
                self.start(primary)

    def progress(self, task):
        """One phase further."""
        if not task.wanted:
            if task.phase in ("starting", "running"):
                self.change(task.id, phase="ending", healthy=False)
            elif task.phase == "ending":
                self.change(task.id, phase="stopped")
        elif task.phase == "starting":
            self.change(task.id, phase="running")
        elif task.phase == "running" and self.outcome(task) == "crash":
            self.change(task.id, phase="ending", healthy=False, failed=True)
        elif task.phase == "running":
            self.change(task.id, healthy=True, settles=None)
        elif task.phase == "ending":
            self.change(task.id, phase="stopped", healthy=False)

    def some_progress(self):
        moving = [t for t in self.tasks if t.phase != "stopped"]
        for task in moving:
            if self.draw(st.booleans()):
                self.progress(task)

    def all_progress(self):
        for task in list(self.tasks):
            self.progress(task)

    @property
    def alive(self):
        return [t for t in self.tasks if t.alive]

    @property
    def healthy(self):
        return sum(1 for t in self.alive if t.healthy)

    @property
    def counted(self):
        return sum(1 for t in self.tasks if t.counted)


def stepped(world, wish):
    """One step of ``roll``, held to what it promises."""
    minimum, maximum = bounds(wish.desired, wish.minimum_percent, wish.maximum_percent)
    step = roll(wish, world.tasks)
    going = {id for id, _ in step.stop}
    assert len(going) == len(step.stop), "a task is stopped once"
    assert going <= {t.id for t in world.alive}, "only what runs, or is to, is stopped"
    given_up = [t for t in world.alive if t.id in going and t.healthy and not t.failing]
    before, counted = world.healthy, world.counted
    world.apply(step, wish.primary)
    if given_up:
        assert world.healthy >= min(minimum, before), "stopping took the service below its minimum"
    assert world.counted <= max(counted, maximum), "starting took the service above its maximum"
    assert not any(t.protected for t in world.tasks if t.id in going and not t.failing)
    return step


percents = st.tuples(st.integers(0, 100), st.integers(100, 300))


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(0, 12), st.integers(0, 12), percents)
def test_whatever_happens_a_step_keeps_to_minimum_and_maximum(data, desired, there, percent):
    world = World(data.draw, there, OLD)
    wish = Wish(NEW, desired, *percent)
    for _ in range(data.draw(st.integers(1, 12))):
        wish = replace(
            wish,
            desired=data.draw(st.sampled_from([wish.desired, data.draw(st.integers(0, 12))])),
            unplaced=data.draw(st.booleans()),
            stalled=data.draw(st.sampled_from([False, False, True])),
        )
        stepped(world, wish)
        world.some_progress()
        for task in world.alive:
            what = data.draw(
                st.sampled_from(["", "", "", "", "fail", "misplace", "protect", "crash", "sicken", "settle"])
            )
            if what == "fail" and task.phase == "running":
                world.change(task.id, healthy=False, failing="Task failed container health checks")
            elif what == "misplace":
                world.change(task.id, misplaced=True)
            elif what == "protect":
                world.change(task.id, protected=not task.protected)
            elif what == "crash":
                world.change(task.id, phase="ending", healthy=False, failed=True)
            elif what == "sicken":
                world.change(task.id, healthy=False)
            elif what == "settle" and task.phase == "running":
                world.change(task.id, healthy=False, settles=9.0)


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(0, 12), st.integers(0, 15), percents)
def test_it_always_ends_where_the_configuration_allows_it(data, desired, there, percent):
    world = World(data.draw, there, OLD)
    wish = Wish(NEW, desired, *percent)
    minimum, maximum = bounds(desired, *percent)
    for _ in range(data.draw(st.integers(0, 6))):
        stepped(world, wish)
        world.some_progress()
    step = None
    for _ in range(12 * (desired + there) + 12):
        step = stepped(world, wish)
        world.all_progress()
    if minimum >= desired and maximum <= desired and there and desired:
        assert step.stuck and world.healthy >= minimum
        return
    assert sorted({t.deployment for t in world.alive} or {NEW}) == [NEW]
    assert len(world.alive) == world.healthy == desired
    assert step.start == 0 and not step.stop and not step.stuck
    assert all(t.phase == "stopped" for t in world.tasks if not t.alive)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 10), st.sampled_from([(100, 200), (50, 200), (100, 150), (0, 100), (50, 100)]))
def test_a_deployment_that_crashes_rolls_back_to_the_old_revision(data, desired, percent):
    world = World(data.draw, desired, OLD)
    world.outcome = lambda task: "crash" if task.deployment == NEW else "ok"
    minimum, maximum = bounds(desired, *percent)
    if minimum >= desired and maximum <= desired:
        return
    breaker = Breaker(enable=True, rollback=True)
    views = {OLD: RolloutView(OLD, 1, "COMPLETED", was_completed=True), NEW: RolloutView(NEW, 2)}
    primary, rolled_back, states = NEW, False, []
    for _ in range(60 + 20 * desired):
        rollout = judge(views[primary], list(views.values()), world.tasks, desired, breaker)
        views[primary] = replace(
            views[primary],
            state=rollout.state,
            failures=rollout.failures,
            failed=rollout.failed,
            counted=rollout.counted,
        )
        states.append((primary, rollout.state))
        if rollout.back_to:
            assert not rolled_back, "a rollback is never rolled back"
            rolled_back, primary = True, rollout.back_to
            views[primary] = replace(views[primary], state="IN_PROGRESS", rolling_back=True, failures=0)
            continue
        stepped(world, Wish(primary, desired, *percent, stalled=rollout.state == "FAILED"))
        world.all_progress()
    assert rolled_back and (NEW, "FAILED") in states
    assert views[NEW].failed >= threshold(breaker, desired)
    assert states[-1] == (OLD, "COMPLETED")
    assert {t.deployment for t in world.alive} == {OLD} and world.healthy == desired


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 10))
def test_without_a_breaker_a_crashing_deployment_takes_nothing_down(data, desired):
    world = World(data.draw, desired, OLD)
    world.outcome = lambda task: "crash" if task.deployment == NEW else "ok"
    wish = Wish(NEW, desired)
    for _ in range(30):
        stepped(world, wish)
        world.some_progress()
        assert sum(1 for t in world.alive if t.deployment == OLD and t.healthy) == desired


def task(id, deployment, phase="running", **what):
    return TaskView(id, deployment, phase, **what)


def test_it_is_stuck_only_when_nothing_is_on_its_way():
    old = [task("a", OLD, healthy=True), task("b", OLD, healthy=True)]
    wish = Wish(NEW, 2, 100, 150)
    assert roll(wish, old) == Step(start=1)
    assert not roll(wish, [*old, task("c", NEW, "starting")]).stuck
    assert not roll(Wish(NEW, 2, 50, 100), [old[0], replace(old[1], wanted=False)]).stuck, "its place comes free"
    assert roll(Wish(NEW, 1, 100, 150), old[:1]).stuck, "one and a half is one"


def test_tasks_that_have_yet_to_settle_are_not_ended_below_the_minimum():
    old = [task("a", OLD, healthy=True), *(task(id, OLD, settles=3.0) for id in "bcd")]
    going = {id for id, _ in roll(Wish(NEW, 4, 50, 100), old).stop}
    assert len(going) == 2 and "a" not in going
    assert len(roll(Wish(NEW, 4, 50, 100), [replace(t, settles=None) for t in old]).stop) == 3


# DAEMON


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sets(st.sampled_from(PLACES)), st.integers(0, 99))
def test_a_daemon_runs_once_on_each_place(data, places, percent):
    world = World(data.draw, 0)
    wish = Wish(NEW, 0, percent, 100, places=tuple(sorted(places)))
    for place in data.draw(st.sets(st.sampled_from(PLACES))):
        world.start(OLD, "running", healthy=True, place=place)

    def step():
        minimum = bounds(len(places), percent, 100)[0]
        before = world.healthy
        chosen = spread(wish, world.tasks)
        left = [t for t in world.alive if t.id in dict(chosen.stop) and t.healthy and t.place in places]
        world.apply(chosen, NEW)
        if left:
            assert world.healthy >= min(minimum, before)
        for place in PLACES:
            assert sum(1 for t in world.tasks if t.place == place and t.phase != "stopped") <= 1
        return chosen

    for _ in range(data.draw(st.integers(0, 5))):
        step()
        world.some_progress()
    for _ in range(40):
        last = step()
        world.all_progress()
    assert sorted(t.place for t in world.alive) == sorted(places)
    assert not last.start and not last.stop
    if bounds(len(places), percent, 100)[0] < len(places):
        assert {t.deployment for t in world.alive} <= {NEW} and not last.stuck
    else:
        assert last.stuck == any(t.deployment == OLD for t in world.alive)


def test_a_daemon_task_that_fails_is_replaced_in_its_place():
    world = World(None, 0)
    world.start(NEW, "running", healthy=True, place="a")
    world.change("t0001", failing="Task failed container health checks", healthy=False)
    wish = Wish(NEW, 0, 0, 100, places=("a",))
    first = spread(wish, world.tasks)
    assert first.stop == (("t0001", "Task failed container health checks"),) and not first.at
    world.apply(first, NEW)
    while world.tasks[0].phase != "stopped":
        world.progress(world.tasks[0])
    assert spread(wish, world.tasks).at == ("a",)


# Scaling in


def test_scaling_in_takes_the_sick_then_the_fullest_zone_then_the_youngest():
    tasks = [
        TaskView("sick", NEW, "running", created=1, zone="b", place="b"),
        TaskView("a-old", NEW, "running", healthy=True, created=2, zone="a", place="a"),
        TaskView("a-new", NEW, "running", healthy=True, created=3, zone="a", place="a"),
        TaskView("b-one", NEW, "running", healthy=True, created=4, zone="b", place="b"),
    ]

    def gone(desired):
        return [id for id, _ in roll(Wish(NEW, desired), tasks).stop]

    assert gone(3) == ["sick"]
    assert gone(2) == ["sick", "a-new"]
    assert set(gone(0)) == {"sick", "a-old", "a-new", "b-one"}


def test_what_is_protected_stays():
    tasks = [TaskView(f"t{n}", NEW, "running", healthy=True, protected=n == 0, created=n) for n in range(2)]
    assert [id for id, _ in roll(Wish(NEW, 0), tasks).stop] == ["t1"]
    assert roll(Wish(OLD, 2), tasks).start == 2


def test_healthy_tasks_do_not_leave_for_protected_ones_that_are_sick():
    tasks = [TaskView(f"sick{n}", NEW, "running", protected=True, created=n) for n in range(2)]
    tasks += [TaskView(f"well{n}", NEW, "running", healthy=True, created=n) for n in range(2)]
    assert roll(Wish(NEW, 2), tasks).stop == ()
    old = [TaskView(f"old{n}", OLD, "running", healthy=True, created=n) for n in range(2)]
    assert len(roll(Wish(NEW, 2), [*tasks, *old]).stop) == 2


def test_without_room_old_tasks_make_it_down_to_the_minimum():
    tasks = [TaskView(f"t{n}", OLD, "running", healthy=True, created=n) for n in range(4)]
    assert roll(Wish(NEW, 4, 50, 200), tasks).stop == ()
    assert len(roll(Wish(NEW, 4, 50, 200, unplaced=True), tasks).stop) == 2
    assert roll(Wish(NEW, 4, 100, 200, unplaced=True), tasks).stop == ()


# AWS's arithmetic


@pytest.mark.parametrize(
    ("desired", "percent", "expected"),
    [(4, (50, 100), (2, 4)), (1, (50, 100), (1, 1)), (3, (50, 150), (2, 4)), (0, (100, 200), (0, 0))],
)
def test_the_minimum_is_rounded_up_and_the_maximum_down(desired, percent, expected):
    assert bounds(desired, *percent) == expected


@pytest.mark.parametrize(
    ("breaker", "desired", "expected"),
    [
        (Breaker(), 1, 3),
        (Breaker(), 25, 13),
        (Breaker(), 400, 200),
        (Breaker(), 800, 200),
        (Breaker(kind="COUNT", value=1), 100, 1),
        (Breaker(kind="UNBOUNDED_PERCENT", value=50), 800, 400),
        (Breaker(kind="UNBOUNDED_PERCENT", value=1), 1, 1),
    ],
)
def test_the_breaker_trips_at_half_of_the_service_between_3_and_200(breaker, desired, expected):
    assert threshold(breaker, desired) == expected


def test_failures_in_a_row_end_with_a_task_that_became_healthy():
    view = RolloutView(NEW, 2)
    breaker = Breaker(enable=True)
    failed = [TaskView(f"f{n}", NEW, "stopped", wanted=True, failed=True, created=n) for n in (1.0, 2.0)]
    good = TaskView("good", NEW, "running", healthy=True, created=3.0)
    late = TaskView("late", NEW, "stopped", failed=True, created=4.0)
    assert judge(view, [view], failed, 2, breaker).failures == 2
    both = judge(view, [view], [*failed, good], 2, breaker)
    assert (both.failures, both.failed) == (0, 2)
    assert judge(view, [view], [*failed, good, late], 2, breaker).failures == 1
    never = Breaker(enable=True, reset=False)
    assert judge(view, [view], [*failed, good, late], 2, never).state == "FAILED"


def test_failures_are_counted_once_and_outlive_their_tasks():
    view = RolloutView(NEW, 2, failures=2, failed=2, counted=("f1", "f2"))
    seen = [TaskView("f2", NEW, "stopped", failed=True), TaskView("f3", NEW, "stopped", failed=True)]
    found = judge(view, [view], seen, 5, Breaker())
    assert (found.failures, found.failed, found.counted) == (3, 3, ("f2", "f3"))


def test_the_last_completed_deployment_is_the_one_to_go_back_to():
    views = [
        RolloutView("a", 1, "COMPLETED", was_completed=True),
        RolloutView("b", 2, "COMPLETED", was_completed=True),
        RolloutView("c", 3, "STOPPED"),
        RolloutView("d", 4, failures=3),
    ]
    breaker = Breaker(enable=True, rollback=True)
    assert judge(views[3], views, [], 1, breaker).back_to == "b"
    assert judge(views[3], [views[3]], [], 1, breaker) == replace(
        judge(views[3], views, [], 1, breaker), state="FAILED", back_to=""
    )


def test_tasks_that_keep_failing_are_started_ever_more_slowly():
    waits = [back_off(failures, 1) for failures in range(30)]
    assert waits[:3] == [0.0, 0.0, 0.0] and waits == sorted(waits)
    assert waits[-1] == 900.0
