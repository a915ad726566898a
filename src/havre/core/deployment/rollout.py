"""What becomes of a rollout: it completes, or the circuit breaker gives it up."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from havre.core.deployment.bounds import threshold
from havre.core.deployment.model import Breaker, TaskView


class RolloutView(msgspec.Struct, frozen=True):
    """A deployment as the breaker sees it. ``rolling_back``: a failed one led back to it; it is never given up.

    ``failures`` in a row and ``failed`` in all are what was counted before, of the tasks ``counted``.
    """

    id: str
    number: int
    state: str = "IN_PROGRESS"
    was_completed: bool = False
    rolling_back: bool = False
    failures: int = 0
    failed: int = 0
    counted: tuple[str, ...] = ()


class Rollout(msgspec.Struct, frozen=True):
    """``state`` of the primary deployment; ``failures`` in a row, ``failed`` in all; ``counted``: the failed tasks among
    those that are seen; ``back_to``: the deployment that the service rolls back to, "" when it does not; ``settles``:
    when to look again, for tasks have to prove themselves."""

    state: str
    failures: int = 0
    failed: int = 0
    counted: tuple[str, ...] = ()
    back_to: str = ""
    settles: float | None = None


def judge(
    primary: RolloutView,
    all_deployments: Sequence[RolloutView],
    tasks: Sequence[TaskView],
    desired: int,
    breaker: Breaker,
) -> Rollout:
    mine = [t for t in tasks if t.deployment == primary.id]
    failures, failed, counted = _failures(primary, mine, breaker.reset)
    settles = min((t.settles for t in tasks if t.alive and t.settles is not None), default=None)
    if primary.state != "IN_PROGRESS":
        return Rollout(primary.state, failures, failed, counted, settles=settles)
    if breaker.enable and not primary.rolling_back and failures >= threshold(breaker, desired):
        back_to = _last_good(primary, all_deployments) if breaker.rollback else ""
        return Rollout("FAILED", failures, failed, counted, back_to, settles)
    healthy = sum(1 for t in mine if t.alive and t.healthy)
    others = any(t.phase != "stopped" for t in tasks if t.deployment != primary.id)
    alive = sum(1 for t in mine if t.alive)
    if healthy >= desired and alive == desired and not others:
        return Rollout("COMPLETED", failures, failed, counted, settles=settles)
    return Rollout("IN_PROGRESS", failures, failed, counted, settles=settles)


def _failures(primary: RolloutView, mine: Sequence[TaskView], reset: bool) -> tuple[int, int, tuple[str, ...]]:
    """A task that became healthy ends the row: only those that were started after it count."""
    failed = [t for t in mine if t.failed]
    new = sum(1 for t in failed if t.id not in primary.counted)
    good = max((t.created for t in mine if t.alive and t.healthy), default=None) if reset else None
    row = primary.failures + new if good is None else sum(1 for t in failed if t.created > good)
    return row, primary.failed + new, tuple(sorted(t.id for t in failed))


def _last_good(primary: RolloutView, all_deployments: Sequence[RolloutView]) -> str:
    good = [d for d in all_deployments if d.was_completed and d.id != primary.id]
    return max(good, key=lambda d: d.number).id if good else ""
