"""Target tracking: more when a metric was over its target for three minutes, less when it was under it for fifteen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

MINUTE = 60
OUT_AFTER, IN_AFTER = 3, 15
"""Whole minutes, one after the other."""
UNDER = 0.9
"""Of the target: below that much less is enough."""


class Tracking(msgspec.Struct, frozen=True):
    """A target tracking policy. Cooldowns in seconds."""

    target: float
    out_cooldown: float = 0.0
    in_cooldown: float = 0.0
    scale_in: bool = True


class Bounds(msgspec.Struct, frozen=True):
    least: int
    most: int

    def hold(self, capacity: int) -> int:
        return max(self.least, min(self.most, capacity))


def sample(minutes: Mapping[int, float], now: float, value: float) -> dict[int, float]:
    """The largest value of each minute, of the last minutes that anything is decided on."""
    this = int(now // MINUTE)
    kept = {minute: found for minute, found in minutes.items() if this - IN_AFTER <= minute <= this}
    kept[this] = max(value, kept.get(this, value))
    return kept


def _last(minutes: Mapping[int, float], now: float, count: int) -> list[float]:
    """Of the last ``count`` whole minutes; those that nobody measured are missing."""
    this = int(now // MINUTE)
    return [minutes[m] for m in range(this - count, this) if m in minutes]


def together(capacity: int, wants: Sequence[tuple[int, bool]]) -> int:
    """Of several policies, each with whether it may make less: the most that one wants; and less only if all that may want
    it."""
    most = max((want for want, _ in wants), default=capacity)
    if most > capacity:
        return most
    inward = [want for want, scale_in in wants if scale_in]
    return max(inward, default=capacity)


def wanted(
    minutes: Mapping[int, float],
    capacity: int,
    policy: Tracking,
    bounds: Bounds,
    now: float,
    out_at: float,
    in_at: float,
) -> int:
    """What capacity is to be. ``out_at`` and ``in_at``: when it was last made more and less."""
    high = _last(minutes, now, OUT_AFTER)
    if len(high) == OUT_AFTER and min(high) > policy.target and capacity > 0:
        more = bounds.hold(math.ceil(capacity * max(high) / policy.target))
        if more > capacity and now - out_at >= policy.out_cooldown:
            return more
        return bounds.hold(capacity)
    low = _last(minutes, now, IN_AFTER)
    if policy.scale_in and len(low) == IN_AFTER and max(low) < policy.target * UNDER and capacity > 0:
        less = bounds.hold(math.ceil(capacity * max(low) / policy.target))
        if less < capacity and now - max(in_at, out_at) >= policy.in_cooldown:
            return less
    return bounds.hold(capacity)
