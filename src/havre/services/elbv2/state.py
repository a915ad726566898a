"""States of load balancers and targets, from records and what a node reported. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.core import balancing
from havre.kernel.balancer import BalancerStatus, TargetHealth
from havre.services.elbv2.resources import LoadBalancerR, Target, TargetGroupR


def state_of(lb: LoadBalancerR, report: BalancerStatus | None) -> tuple[str, str]:
    """(State.Code, State.Reason); a reason also when an active balancer does not answer everywhere."""
    if report is None or len(lb.status.interfaces) < len(lb.spec.placements):
        return "provisioning", ""
    return report.state, report.reason


def health_of(group: TargetGroupR, target: Target, used: bool, report: BalancerStatus | None) -> dict[str, Any]:
    """TargetHealth as AWS shows it."""
    known: Mapping[tuple[str, str], TargetHealth] = {(t.pool, t.target): t for t in (report.targets if report else ())}
    seen = balancing.health(
        draining=target.draining is not None,
        used=used,
        seen=known.get((group.spec.pool, target.key)),
    )
    if not seen.reason:
        return {"State": seen.state}
    return {"State": seen.state, "Reason": seen.reason, "Description": seen.description}
