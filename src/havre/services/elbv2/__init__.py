"""Elastic Load Balancing: application load balancers with listeners, rules, target groups and health checks.

The promise: a listener that is shown as made answers, by the rules that are shown; a target gets requests when it is shown
healthy, and none once it drains; targets come and go without a failed request. States, reasons and limits are AWS's.

Left out, and refused by name: network and gateway load balancers, shared trust stores, SSL policies with FIPS or
post-quantum keys, target groups of load balancers, health checks of functions, authentication,
regular expressions in conditions, transforms, other names for the headers that targets get, reserved capacity,
access logs, IPv6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Service, merge
from havre.control.reconciler import Reconciler
from havre.control.supervisor import Loop

if TYPE_CHECKING:
    from havre.services.elbv2.metering import Ask

PARTIAL = {
    "routing.http.desync_mitigation_mode": "the proxy always refuses requests that are not RFC 7230, as strictest does",
    "AWSALBAPP-0": "is sent with the first answer, not only once the application has set its own cookie",
    "DescribeSSLPolicies": "lists AWS's policies but for those with FIPS or post-quantum keys",
    "Certificates": "a certificate with an RSA key of 1024 bits or a signature with SHA-1 is refused as unsupported",
    "MutualAuthentication": "passthrough tells targets the client's own certificate, not the rest of its chain; a listener "
    "that asks for certificates does not share 127.0.0.1: it answers at its load balancer's own addresses",
    "headers": "a request's or an answer's head may have 15 KiB (AWS: 64 KiB and 32 KiB)",
    "metrics": "of requests, answers and hosts, by load balancer and target group; none of times, connections, bytes and "
    "zones, and none of what passed between the last look of a minute and a change of listeners",
    "Availability Zones": "targets in zones that the load balancer has no subnet in get requests too (AWS: unused)",
}


def service() -> Service:
    from havre.services.elbv2.operations import (
        account,
        capacity,
        certificates,
        listeners,
        load_balancers,
        rules,
        tags,
        target_groups,
        targets,
        trust_stores,
    )
    from havre.services.elbv2.resources import KINDS

    operations = merge(
        load_balancers.ops,
        target_groups.ops,
        targets.ops,
        listeners.ops,
        certificates.ops,
        trust_stores.ops,
        rules.ops,
        tags.ops,
        account.ops,
        capacity.ops,
    )
    return Service("elbv2", operations, KINDS, "elasticloadbalancing", PARTIAL, tags=tags.tags_of)


def reconcilers(deps: ReconcilerDeps, ask: Ask | None = None) -> list[Reconciler[Any]]:
    from havre.services.elbv2.reconcile.load_balancer import LoadBalancers
    from havre.services.elbv2.reconcile.target_group import Departures

    return [LoadBalancers(deps), Departures(deps)]


def loops(deps: ReconcilerDeps, ask: Ask) -> list[Loop]:
    """``ask`` tells what a node's load balancers have done."""
    from havre.services.elbv2.metering import Traffic

    traffic = Traffic(deps, ask)
    return [Loop("traffic of load balancers", traffic.run, essential=False, progress=lambda: traffic.progress)]
