"""What load balancers have done from one look to the next. Pure."""

from __future__ import annotations

from havre.kernel.balancer import PoolTraffic


def since(before: PoolTraffic, now: PoolTraffic) -> PoolTraffic:
    """A proxy that has begun anew meanwhile counts from nothing."""
    if now.requests < before.requests or any(n < b for n, b in zip(now.answered, before.answered, strict=True)):
        return now
    ok, moved, wrong, broken = (n - b for n, b in zip(now.answered, before.answered, strict=True))
    return PoolTraffic(
        now.requests - before.requests,
        (ok, moved, wrong, broken),
        max(0, now.refused - before.refused),
        max(0, now.failed - before.failed),
    )
