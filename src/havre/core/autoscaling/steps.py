"""Step scaling: how much more or less, by how far an alarm's metric is from its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

CHANGE, PERCENT, EXACT = "ChangeInCapacity", "PercentChangeInCapacity", "ExactCapacity"
COOLDOWN = 300.0


class Step(msgspec.Struct, frozen=True):
    """Bounds of the metric's distance from the threshold; None for none."""

    adjustment: int
    lower: float | None = None
    upper: float | None = None


class Stepping(msgspec.Struct, frozen=True):
    """A step scaling policy. ``least``: by how much a PERCENT changes at least. ``cooldown`` in seconds."""

    kind: str
    steps: tuple[Step, ...]
    least: int = 0
    cooldown: float = COOLDOWN


def fault(stepping: Stepping) -> str:
    """Why it is no policy, "" where it is one."""
    steps = _in_order(stepping.steps)
    if any(step.lower is None and step.upper is None for step in steps):
        return "The upper and lower bound can't be null in the same step adjustment" if len(steps) > 1 else ""
    if any(step.lower is not None and step.upper is not None and step.lower >= step.upper for step in steps):
        return "MetricIntervalLowerBound must be less than the MetricIntervalUpperBound"
    if any(one.upper is None or one.upper != other.lower for one, other in pairwise(steps)):
        return "StepAdjustment intervals can't overlap or have a gap between them"
    first, last = steps[0], steps[-1]
    if first.lower is not None and first.lower < 0:
        return "There must be a step adjustment with an unspecified lower bound when one step adjustment has a negative one"
    if last.upper is not None and last.upper > 0:
        return "There must be a step adjustment with an unspecified upper bound when one step adjustment has a positive one"
    if stepping.kind == EXACT and any(step.adjustment < 0 for step in steps):
        return "ScalingAdjustment must not be negative for the adjustment type ExactCapacity"
    return ""


def _in_order(steps: Sequence[Step]) -> list[Step]:
    return sorted(steps, key=lambda step: float("-inf") if step.lower is None else step.lower)


def wanted(stepping: Stepping, capacity: int, distance: float) -> int:
    """What capacity is to be where the metric is so far from the threshold; as it is where no step is for that."""
    for step in stepping.steps:
        if _holds(step, distance):
            return max(0, _changed(stepping, capacity, step.adjustment))
    return capacity


def _holds(step: Step, distance: float) -> bool:
    """Above the threshold the lower bound belongs to the step, below it the upper one; at it, either."""
    lower = float("-inf") if step.lower is None else step.lower
    upper = float("inf") if step.upper is None else step.upper
    return (distance >= 0 and lower <= distance < upper) or (distance <= 0 and lower < distance <= upper)


def _changed(stepping: Stepping, capacity: int, adjustment: int) -> int:
    if stepping.kind == EXACT:
        return adjustment
    if stepping.kind == CHANGE:
        return capacity + adjustment
    exact = capacity * adjustment / 100
    change = int(exact) if abs(exact) >= 1 else (exact > 0) - (exact < 0)
    if change and abs(change) < stepping.least:
        change = stepping.least if change > 0 else -stepping.least
    return capacity + change
