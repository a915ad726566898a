"""When a delivery that failed is tried again, and when it is given up. Pure."""

from __future__ import annotations

import math

import msgspec

LINEAR, ARITHMETIC, GEOMETRIC, EXPONENTIAL = "linear", "arithmetic", "geometric", "exponential"
FUNCTIONS = (LINEAR, ARITHMETIC, GEOMETRIC, EXPONENTIAL)
DAY = 86_400.0


class RetryPolicy(msgspec.Struct, frozen=True):
    """Retries in four phases, as SNS has them: ``at_once``, then ``early`` ones after ``least`` seconds, then ``growing``
    ones from ``least`` to ``most`` by ``function``, then ``late`` ones every ``most`` seconds.

    ``age``: seconds after which no retry begins. ``spread``: by which part of itself chance may shorten a delay.
    """

    at_once: int = 0
    early: int = 0
    growing: int = 0
    late: int = 0
    least: float = 1.0
    most: float = 20.0
    function: str = EXPONENTIAL
    age: float = 30 * DAY
    spread: float = 0.0

    @property
    def retries(self) -> int:
        return self.at_once + self.early + self.growing + self.late


AWS_ENDPOINT = RetryPolicy(at_once=3, early=2, growing=10, late=100_000, least=1.0, most=20.0)
"""How SNS retries deliveries to SQS and Lambda: 23 days."""


def event_policy(retries: int = 185, age: float = DAY) -> RetryPolicy:
    """How EventBridge and Scheduler retry: exponentially, with chance, so often and so long at most."""
    growing = min(retries, 10)
    return RetryPolicy(growing=growing, late=retries - growing, least=1.0, most=600.0, age=age, spread=0.25)


def next_attempt(policy: RetryPolicy, failed: int, began: float, now: float, chance: float = 0.0) -> float | None:
    """When to try again after ``failed`` failures (at least one); None to give up.

    ``began`` is when the delivery was asked for, ``chance`` a number from 0 to 1. Times in seconds since the epoch.
    """
    delay = _delay(policy, failed - 1)
    if delay is None:
        return None
    when = now + delay * (1.0 - policy.spread * chance)
    return when if when - began <= policy.age else None


def _delay(policy: RetryPolicy, retry: int) -> float | None:
    """Seconds before the retry of this number (from 0); None when there is none."""
    if retry >= policy.retries:
        return None
    if retry < policy.at_once:
        return 0.0
    retry -= policy.at_once
    if retry < policy.early:
        return policy.least
    retry -= policy.early
    if retry >= policy.growing:
        return policy.most
    part = retry / (policy.growing - 1) if policy.growing > 1 else 0.0
    return _grown(policy, part)


def _grown(policy: RetryPolicy, part: float) -> float:
    """From ``least`` (0) to ``most`` (1)."""
    low, high = policy.least, policy.most
    if policy.function == LINEAR:
        return low + (high - low) * part
    if policy.function == ARITHMETIC:
        return low + (high - low) * part * (part + 1.0) / 2.0
    floor = max(low, 0.5)
    grown = floor * math.pow(max(high, floor) / floor, part)
    if policy.function == GEOMETRIC:
        return min(high, max(low, grown))
    return min(high, max(low, low + (high - low) * (math.pow(2.0, 5.0 * part) - 1.0) / 31.0))
