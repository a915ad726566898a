"""AWS's arithmetic."""

from __future__ import annotations

import math

from havre.core.deployment.model import Breaker

PATIENT_ROUNDS = 3
"""So many times a whole service may fail before its tasks are started more slowly."""
LONGEST = 900.0


def bounds(desired: int, minimum_percent: int, maximum_percent: int) -> tuple[int, int]:
    """(fewest healthy, most running or pending): the minimum is rounded up, the maximum down."""
    return math.ceil(desired * minimum_percent / 100), desired * maximum_percent // 100


def threshold(breaker: Breaker, desired: int) -> int:
    """How many failed tasks trip the circuit breaker: by default half of the service, at least 3 and at most 200."""
    if breaker.kind == "COUNT":
        return max(1, breaker.value)
    part = math.ceil(desired * breaker.value / 100)
    if breaker.kind == "UNBOUNDED_PERCENT":
        return max(1, part)
    return max(3, min(200, part))


def back_off(failures: int, desired: int) -> float:
    """Seconds to wait before more tasks are started, after so many failures in a row."""
    rounds = failures // max(1, desired)
    return 0.0 if rounds < PATIENT_ROUNDS else min(LONGEST, 2.0 ** min(rounds - PATIENT_ROUNDS, 10))
