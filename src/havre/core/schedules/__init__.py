"""Schedule expressions of EventBridge and its Scheduler: ``rate()``, ``cron()``, ``at()``.

The rule of this package: an expression is read once, and then gives the next time after any other, without clock or chance.
"""

from havre.core.schedules.expressions import At, Rate, Schedule, ScheduleError, parse
from havre.core.schedules.ticks import ticks

__all__ = ["At", "Rate", "Schedule", "ScheduleError", "parse", "ticks"]
