"""Placement: filters say why, strategies say where, and no machine is ever given away twice."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from havre.core.placement import Constraint, Demand, Machine, Place, QueryError, Strategy, parse, place, suits
from havre.core.placement.choose import refusals


def at(name, cpu=4096, memory=8192, zone="a", **attributes):
    machine = Machine(name)
    machine.resize(cpu, memory)
    return Place(name, machine, {"ecs.availability-zone": zone, **attributes}, f"arn:{name}")


def first(n):
    return 0


def names(found):
    return [p.name for p in found[0]]


def codes(found):
    return [r.code for r in found[1]]


# Filters


@pytest.mark.parametrize(
    ("demand", "code", "words"),
    [
        (Demand(cpu=5000), "RESOURCE:CPU", "has insufficient CPU units available"),
        (Demand(memory=9000), "RESOURCE:MEMORY", "has insufficient memory available"),
        (Demand(tcp=(80,)), "RESOURCE:PORTS", "is already using a port required by your task"),
        (Demand(udp=(53,)), "RESOURCE:PORTS", "is already using a port required by your task"),
        (Demand(architecture="aarch64"), "ATTRIBUTE", "is missing an attribute required by your task"),
        (
            Demand(constraints=(Constraint("memberOf", "attribute:stack == prod"),)),
            "MemberOf placement constraint unsatisfied.",
            'encountered error "MemberOf placement constraint unsatisfied."',
        ),
        (
            Demand(group="g", constraints=(Constraint("distinctInstance"),)),
            "distinctInstance placement constraint unsatisfied.",
            'encountered error "distinctInstance placement constraint unsatisfied."',
        ),
    ],
)
def test_a_refusal_says_why(demand, code, words):
    there = at("one", stack="test")
    there.take(Demand(tcp=(80,), udp=(53,), group="g"))
    found = place(demand, [there], 1, first)
    assert (names(found), codes(found)) == ([], [code])
    assert found[1][0].words == words


def test_a_machine_that_does_not_answer_takes_nothing():
    gone, draining, unnetworked = at("gone"), at("draining"), at("unnetworked")
    gone.machine.error = "the node is not connected"
    draining.accepting = False
    unnetworked.machine.network_error = "no nftables"
    found = place(Demand(awsvpc=True), [gone, draining, unnetworked], 1, first)
    assert codes(found) == ["ATTRIBUTE", "AGENT", "AGENT"]
    assert names(place(Demand(), [gone, draining, unnetworked], 1, first)) == ["unnetworked"]


def test_the_nearest_miss_comes_first():
    small, busy, other = at("small", memory=10), at("busy"), at("other")
    busy.take(Demand(tcp=(80,)))
    other.machine.architecture = "aarch64"
    found = refusals(Demand(memory=100, tcp=(80,), architecture="x86_64"), [other, busy, small])
    assert [r.place.name for r in found] == ["small", "busy", "other"]


def test_ports_that_others_hold_are_taken():
    there = at("one")
    there.machine.busy = frozenset({8080})
    assert codes(place(Demand(tcp=(8080,)), [there], 1, first)) == ["RESOURCE:PORTS"]


def test_suits_looks_at_the_nature_of_a_place_and_not_at_its_room():
    full = at("full", memory=1, stack="prod")
    full.take(Demand(group="g"))
    constraints = (Constraint("memberOf", "attribute:stack == prod"), Constraint("distinctInstance"))
    assert suits(Demand(memory=100, group="g", constraints=constraints), full)
    assert not suits(Demand(constraints=(Constraint("memberOf", "attribute:stack == test"),)), full)


# Strategies


def test_binpack_fills_the_fullest_and_spread_evens_out():
    def three():
        return [at("big", memory=8000), at("small", memory=500), at("middle", memory=2000)]

    pack = Demand(memory=100, group="g", strategies=(Strategy("binpack", "memory"),))
    assert names(place(pack, three(), 6, first)) == ["small"] * 5 + ["middle"]
    even = Demand(memory=100, group="g", strategies=(Strategy("spread", "instanceId"),))
    assert Counter(names(place(even, three(), 6, first))) == {"big": 2, "small": 2, "middle": 2}


def test_spread_over_zones_counts_the_tasks_of_the_same_group():
    places = [at("a1", zone="a"), at("a2", zone="a"), at("b1", zone="b")]
    places[2].take(Demand(group="g"))
    places[2].take(Demand(group="other"))
    strategies = (Strategy("spread", "attribute:ecs.availability-zone"), Strategy("spread", "instanceId"))
    found = place(Demand(memory=1, group="g", strategies=strategies), places, 5, first)
    zones = Counter(p.attributes["ecs.availability-zone"] for p in found[0])
    assert zones == {"a": 3, "b": 2}
    assert Counter(names(found))["a1"] in (1, 2)


def test_distinct_instances_are_distinct():
    demand = Demand(group="g", constraints=(Constraint("distinctInstance"),))
    found = place(demand, [at("a"), at("b")], 3, first)
    assert sorted(names(found)) == ["a", "b"]
    assert codes(found) == ["distinctInstance placement constraint unsatisfied."] * 2


def test_random_asks_chance():
    asked = []

    def pick(n):
        asked.append(n)
        return len(asked)

    place(Demand(strategies=(Strategy("random"),)), [at("a"), at("b")], 1, pick)
    assert asked


# Properties

demands = st.builds(
    Demand,
    cpu=st.integers(0, 600),
    memory=st.integers(0, 900),
    tcp=st.sampled_from([(), (), (80,), (80, 443)]),
    group=st.sampled_from(["g", "h"]),
    constraints=st.sampled_from([(), (), (Constraint("distinctInstance"),)]),
    strategies=st.sampled_from(
        [
            (),
            (Strategy("binpack", "memory"),),
            (Strategy("binpack", "cpu"),),
            (Strategy("random"),),
            (Strategy("spread", "instanceId"),),
            (Strategy("spread", "attribute:ecs.availability-zone"), Strategy("binpack", "memory")),
        ]
    ),
)
OVER_ZONES = (Strategy("spread", "attribute:ecs.availability-zone"), Strategy("binpack", "memory"))
"""A machine that is full has its tasks all the same: they count in its zone."""
machines = st.lists(st.tuples(st.integers(0, 2048), st.integers(0, 4096), st.sampled_from("abc")), max_size=6)


def state(places):
    return [
        (p.name, p.machine.free_cpu, p.machine.free_memory, dict(p.machine.tcp), dict(p.counts), p.running)
        for p in places
    ]


@settings(max_examples=300, deadline=None)
@given(machines, st.lists(st.tuples(demands, st.integers(1, 8)), max_size=6), st.randoms(use_true_random=False))
def test_no_machine_is_given_away_twice_and_what_is_given_back_is_free_again(sizes, wishes, chance):
    places = [at(f"m{n}", cpu, memory, zone) for n, (cpu, memory, zone) in enumerate(sizes)]
    empty = state(places)
    taken = []
    for demand, count in wishes:
        chosen, refused = place(demand, places, count, chance.randrange)
        assert len(chosen) <= count
        taken += [(p, demand) for p in chosen]
        if len(chosen) < count:
            assert {r.place.name for r in refused} == {p.name for p in places}, "whoever refuses says why"
        else:
            assert not refused
        if any(c.type == "distinctInstance" for c in demand.constraints):
            assert len({p.name for p in chosen}) == len(chosen)
    for p in places:
        assert p.machine.free_cpu >= 0 and p.machine.free_memory >= 0
        assert all(held == 1 for held in p.machine.tcp.values())
        assert p.running == sum(1 for q, _ in taken if q is p) == sum(p.counts.values())
    for p, demand in taken:
        p.give_back(demand)
    assert state(places) == empty


@settings(max_examples=200, deadline=None)
@given(machines, demands.filter(lambda d: d.strategies != (Strategy("random"),)), st.integers(2, 8))
@example([(1, 0, "a"), (1, 0, "a"), (1, 0, "b")], Demand(cpu=1, group="g", strategies=OVER_ZONES), 2)
def test_many_at_once_go_where_one_after_the_other_would(sizes, demand, count):
    """As many, and spread over zones alike."""

    def made():
        return [at(f"m{n}", cpu, memory, zone) for n, (cpu, memory, zone) in enumerate(sizes)]

    together = place(demand, made(), count, first)[0]
    places, alone = made(), []
    for _ in range(count):
        alone += place(demand, places, 1, first)[0]
    assert len(together) == len(alone)
    if demand.strategies and demand.strategies[0].field.startswith("attribute:"):
        zones = [Counter(p.attributes["ecs.availability-zone"] for p in found) for found in (together, alone)]
        assert zones[0] == zones[1]


# The query language


FACTS = {
    "attribute:stack": "prod",
    "attribute:ecs.instance-type": "t2.micro",
    "attribute:count": "10",
    "agentConnected": "true",
    "task:group": ("service:web", "family:db"),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("attribute:stack == prod", True),
        ("attribute:stack != prod", False),
        ("attribute:stack equals prod", True),
        ("attribute:ecs.instance-type =~ t2.*", True),
        ("attribute:ecs.instance-type matches t3.*", False),
        ("attribute:stack in [test, prod]", True),
        ("attribute:stack not_in [test, prod]", False),
        ("attribute:stack exists", True),
        ("attribute:none exists", False),
        ("attribute:none not_exists", True),
        ("!(attribute:stack == prod)", False),
        ("not(attribute:stack == test)", True),
        ("attribute:stack == prod and attribute:count > 9", True),
        ("attribute:stack == test or attribute:count <= 9", False),
        ("attribute:stack == test || agentConnected == true", True),
        ("task:group == service:web", True),
        ("task:group == service:other", False),
    ],
)
def test_queries(text, expected):
    assert parse(text)(FACTS.get) is expected


@pytest.mark.parametrize(
    "text",
    ["", "attribute:stack", "attribute:stack ==", "(attribute:stack exists", "nothing == 1", "a" * 3000, "(" * 500],
)
def test_what_is_no_query_is_refused(text):
    with pytest.raises(QueryError):
        parse(text)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("t2.*|m4.*", True),
        ("(t2|m4)\\..+", True),
        ("(?i)T2.*", True),
        ("[(a-z)*+]+\\d?[.]mic[a-z]{1,9}", True),
        ("[]a-z)*+]+2[.]mic[a-z]{1,9}", True),
    ],
)
def test_regular_expressions(pattern, expected):
    assert parse(f'attribute:ecs.instance-type =~ "{pattern}"')(FACTS.get) is expected


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(a+)+b", "repeats a group"),
        ("(a|a)*b", "repeats a group"),
        ("(a|aa){40}b", "repeats a group"),
        ("a*a*a*a*a*a*b", "more than 3 repetitions"),
        ("a{1,99}" * 5 + "b", "more than 3 repetitions"),
        ("a?" * 60 + "b", "more than 3 repetitions"),
        ("(?#[)" + "a*" * 9 + "]b", "a group of a kind"),
        ("(?x)#[\n" + "a*" * 9 + "]b", "a group of a kind"),
    ],
)
def test_regular_expressions_that_could_take_for_ever_are_refused(pattern, words):
    with pytest.raises(QueryError, match=words):
        parse(f'attribute:x =~ "{pattern}"')


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_parses_or_is_refused(text):
    try:
        expression = parse(text)
    except QueryError:
        return
    assert expression(FACTS.get) in (True, False)
