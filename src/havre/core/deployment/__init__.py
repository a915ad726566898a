"""Deployment: which tasks a service starts and stops next, and what becomes of a rollout.

The rule: a pure step from what is seen. Steps repeated never take the healthy tasks below the minimum by stopping, never
more tasks than the maximum, always end where the configuration allows it, and a rollback ends at the old revision.
"""

from havre.core.deployment.bounds import back_off, bounds, threshold
from havre.core.deployment.daemon import spread
from havre.core.deployment.model import Breaker, Step, TaskView, Wish
from havre.core.deployment.rolling import roll
from havre.core.deployment.rollout import Rollout, RolloutView, judge

__all__ = [
    "Breaker",
    "Rollout",
    "RolloutView",
    "Step",
    "TaskView",
    "Wish",
    "back_off",
    "bounds",
    "judge",
    "roll",
    "spread",
    "threshold",
]
