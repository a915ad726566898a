"""What is said about a balancer. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from havre.engines.haproxy.checker import Key
from havre.engines.haproxy.health import Health
from havre.engines.haproxy.layout import SHARED, Bind, own_binds
from havre.engines.haproxy.rules import Context, header_name, listener_lines
from havre.engines.haproxy.secure import options
from havre.engines.haproxy.text import Unsafe, quote
from havre.kernel.addresses import parse_cidr
from havre.kernel.balancer import LINK, Balancer, BalancerStatus, BalancerTarget, TargetHealth

Binds = tuple[set[Bind], Mapping[Bind, str]]
"""(bound, reason why not of the others)"""


def report(
    balancer: Balancer, spaces: Mapping[str, tuple[str, int]], binds: Binds, failure: str, health: Mapping[Key, Health]
) -> BalancerStatus:
    bound, unbound = binds
    wished = [bind for listener in balancer.listeners for bind in own_binds(balancer, listener, spaces)]
    missing = [bind for bind in wished if bind not in bound]
    state, reasons = "active", [f"{bind}: {unbound.get(bind, 'not listening yet')}" for bind in missing]
    if failure:
        state, reasons = "failed", [failure]
    elif wished and len(missing) == len(wished):
        state = "failed" if any(bind in unbound for bind in missing) else "provisioning"
    elif missing:
        state = "active_impaired"
    for listener in balancer.listeners if balancer.kind != LINK else ():
        taken = unbound.get(Bind(SHARED, listener.port))
        if taken:
            reasons.append(
                f"{SHARED}:{listener.port} is not to be had ({taken}): {balancer.dns_name} does not answer on this "
                f"machine, {balancer.host_address}:{listener.port} does"
            )
        if listener.clients is not None and not any(_has(cidr, SHARED) for cidr in listener.clients):
            reasons.append(f"its security groups let nobody on this machine in at port {listener.port}")
    if balancer.vpc and balancer.addresses and balancer.vpc not in spaces:
        reasons.append(f"the network of {balancer.vpc} is not there: the balancer answers on this machine only")
    ports = tuple(bind.port for bind in wished if bind in bound and bind.address == balancer.host_address)
    return BalancerStatus(balancer.id, state, "; ".join(reasons), targets(balancer, health), ports)


def _has(cidr: str, address: str) -> bool:
    try:
        return parse_cidr(cidr).has(address)
    except ValueError:  # a block of IPv6 addresses
        return False


def targets(balancer: Balancer, health: Mapping[Key, Health]) -> tuple[TargetHealth, ...]:
    return tuple(_target(pool.id, target, health) for pool in balancer.pools for target in pool.targets)


def _target(pool: str, target: BalancerTarget, health: Mapping[Key, Health]) -> TargetHealth:
    if target.draining:
        words = "Target deregistration is in progress"
        return TargetHealth(pool, target.id, "draining", "Target.DeregistrationInProgress", words)
    seen = health.get((pool, target.id), Health())
    return TargetHealth(pool, target.id, seen.state, seen.reason, seen.description)


def why_unsafe(balancer: Balancer) -> str:
    """ "" when all of a balancer can be written into a configuration, otherwise what cannot."""
    try:
        for listener in balancer.listeners:
            listener_lines(listener, Context("", lambda suffix, content: "''"))
            for header, value in listener.headers:
                quote(header_name(header) + value)
            if listener.protocol == "HTTPS":
                options(balancer, listener.tls)
        for pool in balancer.pools:
            if pool.sticky_cookie:
                header_name(pool.sticky_cookie)
            quote(pool.function)
    except Unsafe as error:
        return str(error)
    return ""
