"""Decisions about load balancers: what is said of a target, when one that leaves is gone, who runs a balancer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from havre.kernel.balancer import Balancer, BalancerListener, TargetHealth
from havre.kernel.vpc import SecurityGroup

NOT_IN_USE = (
    "Target.NotInUse",
    "Target group is not configured to receive traffic from the load balancer",
)
NOT_REGISTERED = ("Target.NotRegistered", "Target is not registered to the target group")
REGISTERING = ("Elb.RegistrationInProgress", "Target registration is in progress")
DRAINING = ("Target.DeregistrationInProgress", "Target deregistration is in progress")


def health(*, draining: bool, used: bool, seen: TargetHealth | None) -> TargetHealth:
    """The state of a registered target: what its owner wants first, then whether anybody asks, then what was seen."""
    if draining:
        return TargetHealth("", "", "draining", *DRAINING)
    if not used:
        return TargetHealth("", "", "unused", *NOT_IN_USE)
    if seen is None or seen.state == "draining":  # of an earlier registration
        return TargetHealth("", "", "initial", *REGISTERING)
    return seen


def choose_node(current: str, known: Iterable[str], connected: Sequence[str]) -> str:
    """Who runs a balancer: whoever does, as long as it is there; otherwise the first that is connected; "" nobody."""
    if current and current in set(known):
        return current
    return min(connected, default="")


def guarded(balancer: Balancer, groups: Iterable[SecurityGroup]) -> Balancer:
    """The balancer whose listeners know which blocks its security groups let in (a balancer without groups: all)."""
    mine = [group for group in groups if group.id in balancer.security_groups]
    if not balancer.security_groups:
        return balancer
    return replace(balancer, listeners=tuple(_guarded(each, mine) for each in balancer.listeners))


def _guarded(listener: BalancerListener, groups: Sequence[SecurityGroup]) -> BalancerListener:
    rules = [rule for group in groups for rule in group.ingress if rule.cidr and rule.protocol in ("tcp", "6", "-1")]
    opened = {
        r.cidr for r in rules if r.protocol == "-1" or r.from_port < 0 or r.from_port <= listener.port <= r.to_port
    }
    return replace(listener, clients=("0.0.0.0/0",) if "0.0.0.0/0" in opened else tuple(sorted(opened)))


def next_departure(leaves: Iterable[float | None], now: float) -> float | None:
    """When the next target of those that leave is gone."""
    return min((at for at in leaves if at is not None and at > now), default=None)
