"""Decisions about load balancers."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from havre.core import balancing
from havre.kernel.balancer import Balancer, BalancerAction, BalancerListener, BalancerRule, TargetHealth
from havre.kernel.vpc import NetworkRule, SecurityGroup

SEEN = TargetHealth("p", "t", "healthy")


def test_what_its_owner_wants_comes_before_what_was_seen() -> None:
    say = balancing.health
    assert say(draining=True, used=False, seen=SEEN).reason == "Target.DeregistrationInProgress"
    assert say(draining=False, used=False, seen=SEEN).reason == "Target.NotInUse"
    assert say(draining=False, used=True, seen=None).reason == "Elb.RegistrationInProgress"
    assert say(draining=False, used=True, seen=SEEN) == SEEN
    left_over = TargetHealth("p", "t", "draining", "Target.DeregistrationInProgress")
    assert say(draining=False, used=True, seen=left_over).state == "initial"


@given(st.sampled_from(["", "a", "b"]), st.sets(st.sampled_from("abc")), st.sets(st.sampled_from("abc")))
def test_a_balancer_stays_where_it_is_while_its_node_is_known(
    current: str, known: set[str], connected: set[str]
) -> None:
    chosen = balancing.choose_node(current, known, sorted(connected & known))
    if current in known:
        assert chosen == current
    else:
        assert chosen in connected & known or (chosen == "" and not connected & known)


@given(st.lists(st.none() | st.floats(0, 100)), st.floats(0, 100))
def test_the_next_departure_is_the_first_of_those_to_come(leaves: list[float | None], now: float) -> None:
    found = balancing.next_departure(leaves, now)
    later = [at for at in leaves if at is not None and at > now]
    assert found == (min(later) if later else None)


def with_groups(*groups: str) -> Balancer:
    listeners = tuple(
        BalancerListener(str(p), p, "HTTP", (BalancerRule("d", (), BalancerAction("forward")),)) for p in (80, 8080)
    )
    return Balancer("lb", "lb.localhost", "vpc-1", (), "127.9.9.9", groups, listeners)


RULES = st.builds(
    NetworkRule,
    st.sampled_from(["tcp", "6", "udp", "-1", "icmp"]),
    st.sampled_from([-1, 0, 79, 80, 81, 8080]),
    st.sampled_from([-1, 79, 80, 8079, 8080, 65535]),
    st.sampled_from(["", "10.0.0.0/8", "127.0.0.0/8", "0.0.0.0/0"]),
    st.just("sg-other"),
)


@given(st.lists(RULES, max_size=5), st.lists(RULES, max_size=3), st.sampled_from(["10.1.2.3", "127.0.0.1", "8.8.8.8"]))
def test_who_is_let_in_is_whom_a_rule_of_its_groups_names(
    mine: list[NetworkRule], others: list[NetworkRule], client: str
) -> None:
    groups = [SecurityGroup("sg-mine", tuple(mine)), SecurityGroup("sg-others", tuple(others))]
    for listener in balancing.guarded(with_groups("sg-mine"), groups).listeners:
        assert listener.clients is not None
        let = any(ipaddress.ip_address(client) in ipaddress.ip_network(cidr) for cidr in listener.clients)
        assert let == any(_names(rule, listener.port, client) for rule in mine)


def _names(rule: NetworkRule, port: int, client: str) -> bool:
    if not rule.cidr or ipaddress.ip_address(client) not in ipaddress.ip_network(rule.cidr):
        return False
    if rule.protocol == "-1":
        return True
    return rule.protocol in ("tcp", "6") and (rule.from_port == -1 or rule.from_port <= port <= rule.to_port)


def test_without_groups_everybody_is_let_in_and_with_unknown_ones_nobody() -> None:
    assert {each.clients for each in balancing.guarded(with_groups(), []).listeners} == {None}
    assert {each.clients for each in balancing.guarded(with_groups("sg-unknown"), []).listeners} == {()}
