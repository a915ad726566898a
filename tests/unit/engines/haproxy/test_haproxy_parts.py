"""Slots, patterns, words, what is found of a proxy that was left behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.engines.fake_balancer import wildcard
from havre.engines.haproxy.adopt import bound_by, found_healthy
from havre.engines.haproxy.config import render
from havre.engines.haproxy.layout import all_binds, frontends
from havre.engines.haproxy.patterns import regex, tokens
from havre.engines.haproxy.plan import Plan
from havre.engines.haproxy.slots import Route, Slots
from havre.engines.haproxy.text import Unsafe, literal, name, quote
from havre.kernel.balancer import (
    LINK,
    Balancer,
    BalancerAction,
    BalancerListener,
    BalancerPool,
    BalancerRule,
    BalancerTarget,
)

ROUTES = st.dictionaries(
    st.sampled_from([f"t{n}" for n in range(6)]),
    st.builds(
        Route,
        st.sampled_from(["10.0.0.1", "10.0.0.2"]),
        st.sampled_from([80, 81]),
        st.sampled_from(["", "vpc-1"]),
        st.sampled_from([1, 5]),
    ),
)


class Told:
    """What the proxy knows of its slots after the commands that it was sent."""

    def __init__(self) -> None:
        self.ready: set[str] = set()
        self.places: dict[str, tuple[str, int]] = {}
        self.weights: dict[str, int] = {}

    def hear(self, commands: list[str]) -> None:
        for command in commands:
            words = command.split()
            server = words[2].partition("/")[2]
            if words[3] == "addr":
                assert server not in self.ready, "a slot's address changes only while it is out of work"
                self.places[server] = (words[4], int(words[6]))
            elif words[3] == "weight":
                self.weights[server] = int(words[4])
            elif words[4] == "ready":
                self.ready.add(server)
            else:
                self.ready.discard(server)


@given(st.lists(st.tuples(ROUTES, st.sets(st.sampled_from([f"t{n}" for n in range(6)]))), max_size=8))
def test_the_proxy_knows_exactly_the_routes_after_every_change(
    steps: list[tuple[dict[str, Route], set[str]]],
) -> None:
    slots, told = Slots("pool"), Told()
    for routes, known in steps:
        needed: dict[str, int] = {"": 0}
        for route in routes.values():
            needed[route.vpc] = needed.get(route.vpc, 0) + 1
        for vpc in ("", "vpc-1"):  # those that rest keep their places
            needed[vpc] = needed.get(vpc, 0) + len(known - set(routes))
        before = {slot.target: slot.number for slot in slots.all if slot.target is not None}
        slots.grow(needed)
        told.hear(slots.assign(routes, known))
        held = {slot.target: slot for slot in slots.all if slot.target is not None}
        assert set(held) == set(routes) | (set(before) & known)
        assert told.ready == {f"s{slot.number}" for slot in slots.all if slot.route}
        assert {t for t, slot in held.items() if slot.route} == set(routes)
        for target, route in routes.items():
            slot = held[target]
            assert (slot.route, slot.vpc) == (route, route.vpc)
            assert told.places[f"s{slot.number}"] == (route.address, route.port)
            assert told.weights[f"s{slot.number}"] == route.weight
        for target in (set(before) & known) - set(routes):
            assert held[target].number == before[target]
        assert [slot.number for slot in slots.in_order()] == list(range(1, len(slots.all) + 1))
        assert slots.assign(routes, known) == []


def test_a_target_that_drains_keeps_its_slot_from_others() -> None:
    slots = Slots("pool")
    slots.grow({"": 2})
    slots.assign({"old": Route("10.0.0.1", 80)}, {"old"})
    mine = next(slot for slot in slots.all if slot.target == "old")
    assert slots.assign({}, {"old"}) == [f"set server p_pool/s{mine.number} state maint"]
    others = {f"t{n}": Route("10.0.0.2", 80 + n) for n in range(7)}
    slots.assign(others, {"old", *others})
    assert mine.target == "old" and mine.route is None
    slots.assign({"old": Route("10.0.0.1", 80), **others}, {"old", *others})
    assert mine.route == Route("10.0.0.1", 80)


def test_newcomers_are_there_before_others_leave() -> None:
    slots = Slots("pool")
    slots.grow({"": 2})
    slots.assign({"old": Route("10.0.0.1", 80)})
    commands = slots.assign({"new": Route("10.0.0.2", 80)})
    assert commands[-2].endswith("state ready") and commands[-1].endswith("state maint")


def test_a_slot_that_was_freed_is_taken_last() -> None:
    slots = Slots("pool")
    slots.grow({"": 2})
    slots.assign({"a": Route("10.0.0.1", 80)})
    freed = next(slot for slot in slots.all if slot.target == "a").number
    slots.assign({})
    slots.assign({"b": Route("10.0.0.2", 80)})
    assert next(slot for slot in slots.all if slot.target == "b").number != freed


@given(st.text("ab/*?\\.", max_size=8), st.text("ab/*?\\.", max_size=6))
def test_patterns_become_expressions_that_mean_the_same(pattern: str, text: str) -> None:
    assert bool(re.fullmatch(regex(tokens(pattern)), text)) == wildcard(pattern, text)


@given(st.text(max_size=20))
def test_a_quoted_word_is_read_as_it_was(text: str) -> None:
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        with pytest.raises(Unsafe):
            quote(text)
        return
    assert quote(text)[1:-1].replace("'\\''", "'") == text
    assert literal(text).count("%") == 2 * text.count("%")


def test_names_are_safe_and_differ() -> None:
    ids = ["web-1", "web 1", "web\n1", "", "é", "a" * 81]
    names = [name("p", id) for id in ids]
    assert len(set(names)) == len(ids) and all(re.fullmatch(r"[A-Za-z0-9_.-]+", each) for each in names)


def test_what_a_proxy_listens_on_is_read_from_its_configuration() -> None:
    text = "frontend f\n  bind 127.0.0.1:80\n  bind 172.31.0.5:80 namespace 'havre-1' ssl crt 'x'\nbackend b\n"
    assert bound_by(text) == {("127.0.0.1", 80, ""), ("172.31.0.5", 80, "havre-1")}


def test_a_link_answers_at_sockets_of_its_own_alone(tmp_path: Path) -> None:
    def whole(id: str, kind: str, protocol: str) -> Balancer:
        action = BalancerAction("forward", ((id, 1),))
        listener = BalancerListener(f"{id}-80", 80, protocol, (BalancerRule("all", (), action),))
        return Balancer(
            id,
            "",
            "vpc-1",
            (("s", "10.0.0.9"),),
            "",
            listeners=(listener,),
            pools=(BalancerPool(id, protocol),),
            kind=kind,
        )

    both = [whole("lb", "application", "HTTP"), whole("way", LINK, "TCP")]
    spaces = {"vpc-1": ("havre-1", 7)}
    binds = all_binds(both, spaces)
    assert [str(b) for b in binds] == ["10.0.0.9:80 in havre-1", "127.0.0.1:80", "unix@way-80.sock"]
    fronts = frontends(both, spaces, binds)
    slots = {pool.id: Slots(pool.id) for each in both for pool in each.pools}
    text = render(Plan(both, fronts, slots, spaces, tmp_path)).text
    (socket,) = [line.strip() for line in text.splitlines() if "way-80.sock" in line]
    assert socket == "bind unix@way-80.sock mode 600"
    assert bound_by(text) == {("10.0.0.9", 80, "havre-1"), ("127.0.0.1", 80, "")}


def test_targets_that_a_proxy_sends_work_to_are_found() -> None:
    head = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state …\n"
    line = "3 p_pool {n} s{n} 10.0.0.{n} 2 {admin} 1 1 9 1 0 0 0 0 0 0 - 80 - 0 0 - - 0\n"
    state = head + line.format(n=1, admin=4) + line.format(n=2, admin=1) + "nonsense\n"
    targets = tuple(BalancerTarget(f"t{n}", f"10.0.0.{n}", 80) for n in (1, 2, 3))
    lb = Balancer("lb", "", "", (), "", pools=(BalancerPool("pool", "HTTP", targets),))
    assert found_healthy(state, [lb]) == {("pool", "t1")}
