"""When a target is healthy: AWS's states, thresholds and words. Pure."""

from __future__ import annotations

import msgspec

from havre.kernel.balancer import BalancerHealthCheck

HURRY, IMPATIENCE = 0.05, 1.0
"""Seconds between the first two checks of a target that has not answered yet, and at most between later ones: it gets work
as soon as it is there."""


class Outcome(msgspec.Struct, frozen=True):
    """Of one check. ``reason`` and ``description`` as AWS says them, "" when it passed."""

    passed: bool
    reason: str = ""
    description: str = ""


PASSED = Outcome(True)
TIMED_OUT = Outcome(False, "Target.Timeout", "Request timed out")
FAILED = Outcome(False, "Target.FailedHealthChecks", "Health checks failed")


def mismatch(status: int) -> Outcome:
    return Outcome(False, "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]")


class Health(msgspec.Struct, frozen=True):
    """``streak``: checks in a row that speak against the state. ``counted``: when the last failure of a target that never
    passed was counted (it is checked more often than failures count). ``asked``: its checks so far."""

    state: str = "initial"
    reason: str = "Elb.InitialHealthChecking"
    description: str = "Initial health checks in progress"
    streak: int = 0
    counted: float = float("-inf")
    asked: int = 0


HEALTHY = Health("healthy", "", "")


def remembered(check: BalancerHealthCheck) -> Health:
    """Of a target that got work when nobody checked: healthy until its next check, which decides."""
    return Health("healthy", "", "", streak=check.unhealthy - 1)


def observe(health: Health, check: BalancerHealthCheck, outcome: Outcome, now: float) -> Health:
    """The health after one more check at ``now`` (seconds of any steady clock).

    A new target is healthy with its first pass, as on AWS; otherwise the thresholds decide.
    """
    if outcome.passed:
        return _passed(health, check)
    if health.state == "initial":
        return _failed_at_first(health, check, outcome, now)
    if health.state == "unhealthy" or health.streak + 1 >= check.unhealthy:
        return Health("unhealthy", outcome.reason, outcome.description)
    return msgspec.structs.replace(health, streak=health.streak + 1)


def _passed(health: Health, check: BalancerHealthCheck) -> Health:
    if health.state != "unhealthy" or health.streak + 1 >= check.healthy:
        return HEALTHY
    return msgspec.structs.replace(health, streak=health.streak + 1)


def _failed_at_first(health: Health, check: BalancerHealthCheck, outcome: Outcome, now: float) -> Health:
    asked = health.asked + 1
    if now - health.counted < check.interval:
        return msgspec.structs.replace(health, asked=asked)
    if health.streak + 1 >= check.unhealthy:
        return Health("unhealthy", outcome.reason, outcome.description)
    return msgspec.structs.replace(health, streak=health.streak + 1, counted=now, asked=asked)


def pause(health: Health, check: BalancerHealthCheck) -> float:
    """Seconds until the next check."""
    if health.state != "initial":
        return check.interval
    return min(HURRY * (1 << min(health.asked, 10)), IMPATIENCE, check.interval)


def matches(matcher: str, status: int) -> bool:
    """AWS's matcher: ``200``, ``200-299``, ``200,202``, and mixtures."""
    for part in matcher.split(","):
        low, _, high = part.strip().partition("-")
        if low.isdigit() and int(low) <= status <= int(high if high.isdigit() else low):
            return True
    return False


def routed(states: dict[str, str]) -> set[str]:
    """Which targets of a pool get work, by their states: the healthy ones; when there is none, the unhealthy (AWS's load
    balancers fail open), never those that are still in their first checks."""
    healthy = {target for target, state in states.items() if state == "healthy"}
    return healthy or {target for target, state in states.items() if state == "unhealthy"}
