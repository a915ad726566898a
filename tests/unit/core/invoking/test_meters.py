"""What invocations count for: nothing is lost between the moments at which it is read, and concurrency comes to its end."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from havre.core.invoking.meters import Dimensions, Meters, Place, Reading, Run, Values, dimensions, place

START = 1_700_000_040.0
"""The beginning of a minute."""
F = place("f", "")
OWN: Dimensions = (("FunctionName", "f"), ("Resource", "f"))


def by_name(found: list[Reading], dims: Dimensions = (("FunctionName", "f"),)) -> dict[str, Values]:
    return {each.name: each.values for each in found if each.dimensions == dims}


def test_places_are_named_as_in_aws() -> None:
    assert place("f", "") == Place("f", "f")
    assert place("f", "$LATEST", "$LATEST") == Place("f", "f:$LATEST")
    assert place("f", "7", "7") == Place("f", "f:7")
    assert place("f", "live", "7") == Place("f", "f:live", "7")
    assert dimensions(place("f", "live", "7")) == (
        (("ExecutedVersion", "7"), ("FunctionName", "f"), ("Resource", "f:live")),
        (("FunctionName", "f"), ("Resource", "f:live")),
        (("FunctionName", "f"),),
        (),
    )


def test_an_invocation() -> None:
    meters = Meters(START)
    meters.began(F, START + 1, 1, 11).ended(12.5, False)
    meters.began(F, START + 2, 1, 11).ended(2.5, True)
    found = meters.drain(START + 3)
    assert {each.at for each in found} == {START}
    told = {
        "Invocations": {1.0: 2.0},
        "Errors": {0.0: 1.0, 1.0: 1.0},
        "Throttles": {0.0: 2.0},
        "Duration": {12.5: 1.0, 2.5: 1.0},
        "ConcurrentExecutions": {1.0: 2.0},
    }
    assert by_name(found) == by_name(found, OWN) == told
    assert by_name(found, ()) == told | {
        "UnreservedConcurrentExecutions": {1: 2.0},
        "ClaimedAccountConcurrency": {11: 2.0},
    }
    assert {each.name: each.unit for each in found}["Duration"] == "Milliseconds"
    assert meters.drain(START + 4) == []


def test_it_counts_for_the_minute_in_which_it_began() -> None:
    meters = Meters(START)
    run = meters.began(F, START + 59, 1, 1)
    first = meters.drain(START + 59.5)
    assert by_name(first) == {"ConcurrentExecutions": {1.0: 1.0}}
    while_running = meters.drain(START + 61)
    assert [(each.name, each.at) for each in while_running if each.dimensions == OWN] == [
        ("ConcurrentExecutions", START + 60)
    ]
    run.ended(3000.0, False)
    after = meters.drain(START + 63)
    assert {(each.name, each.at) for each in after} == {
        (name, START) for name in ("Invocations", "Errors", "Throttles", "Duration")
    }
    assert meters.running == 0 and meters.drain(START + 300) == []


def test_what_never_ran_is_no_invocation() -> None:
    meters = Meters(START)
    meters.began(F, START, 1, 1).abandoned()
    meters.throttled(F, START)
    told = by_name(meters.drain(START))
    assert told == {"ConcurrentExecutions": {1.0: 1.0}, "Throttles": {1.0: 1.0}, "Errors": {0.0: 1.0}}


def test_some_metrics_are_told_of_functions_or_of_versions_alone() -> None:
    meters = Meters(START)
    for name in ("AsyncEventsReceived", "UrlRequestCount", "ProvisionedConcurrencyUtilization"):
        meters.add(F, name, 1.0, START)
    found = meters.drain(START)
    assert set(by_name(found, OWN)) == {"AsyncEventsReceived", "UrlRequestCount", "ProvisionedConcurrencyUtilization"}
    assert set(by_name(found)) == {"AsyncEventsReceived", "UrlRequestCount"}
    assert set(by_name(found, ())) == {"AsyncEventsReceived"}


PLACES = (F, place("f", "1", "1"), place("f", "live", "1"), place("f", "live", "2"), place("g", ""))
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("begin", "end", "fail", "abandon", "throttle", "drain")),
        st.integers(0, len(PLACES) - 1),
        st.sampled_from((0.0, 0.5, 7.0, 61.0, 200.0)),
    ),
    max_size=60,
)


class Story:
    """What was done with meters, what that counts for, and what they told of it."""

    def __init__(self) -> None:
        self.meters, self.now = Meters(START), START
        self.open: list[tuple[Place, float, Run]] = []
        self.want: dict[tuple[str, Dimensions, float], float] = defaultdict(float)
        self.told: dict[tuple[str, Dimensions, float], float] = defaultdict(float)

    def read(self) -> None:
        for each in self.meters.drain(self.now):
            for value, count in each.values.items():
                self.told[each.name, each.dimensions, each.at] += value * count

    def expect(self, name: str, where: Place, at: float, value: float = 1.0) -> None:
        for dims in dimensions(where):
            self.want[name, dims, at // 60 * 60] += value

    def step(self, what: str, number: int) -> None:
        where = PLACES[number]
        if what == "begin":
            self.open.append((where, self.now, self.meters.began(where, self.now, 0, 0)))
        elif what == "throttle":
            self.meters.throttled(where, self.now)
            self.expect("Throttles", where, self.now)
        elif what == "drain":
            self.read()
        elif self.open:
            self.end(what, *self.open.pop(number % len(self.open)))

    def end(self, what: str, where: Place, began: float, run: Run) -> None:
        if what == "abandon":
            run.abandoned()
            return
        run.ended(3.0, what == "fail")
        self.expect("Invocations", where, began)
        self.expect("Duration", where, began, 3.0)
        if what == "fail":
            self.expect("Errors", where, began)


@given(STEPS)
def test_all_that_happens_is_told_once(steps: list[tuple[str, int, float]]) -> None:
    story = Story()
    for what, number, pause in steps:
        story.now += pause
        story.step(what, number)
    for _, _, run in story.open:
        run.abandoned()
    story.read()
    assert story.meters.running == 0
    names = ("Invocations", "Duration", "Errors", "Throttles")
    assert {k: v for k, v in story.told.items() if k[0] in names and v} == story.want
    story.now += 120
    story.read()
    assert story.meters.drain(story.now + 120) == []


@given(st.lists(st.sampled_from(PLACES), min_size=1, max_size=30))
def test_concurrency_is_counted_at_every_level(places: list[Place]) -> None:
    meters = Meters(START)
    runs = [meters.began(where, START, 0, 0) for where in places]
    highest: dict[Dimensions, float] = {}
    for each in meters.drain(START):
        if each.name == "ConcurrentExecutions":
            highest[each.dimensions] = max(each.values)
    for dims in highest:
        assert highest[dims] == sum(dims in dimensions(where) for where in places)
    for run in runs:
        run.ended(1.0, False)
    assert meters.running == 0
