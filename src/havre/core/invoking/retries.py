"""Asynchronous events: what becomes of one after it was tried."""

from __future__ import annotations

import msgspec

MOST_ATTEMPTS, LONGEST_AGE = 2, 21_600
"""Retries after function errors, seconds in the queue: Lambda's defaults, which are also the most."""
AFTER_ERROR = (60.0, 120.0)
"""Seconds until the first and the second retry of a function that failed."""
FIRST_BACK_OFF, LONGEST_BACK_OFF = 1.0, 300.0
"""Seconds, after throttles and failures of Lambda itself."""

SUCCESS = "Success"
RETRIES_EXHAUSTED = "RetriesExhausted"
EVENT_AGE_EXCEEDED = "EventAgeExceeded"
ZERO_CONCURRENCY = "ZeroReservedConcurrency"
RECURSIVE = "RecursiveInvocation"


class Policy(msgspec.Struct, frozen=True):
    """A function's event invoke config."""

    attempts: int = MOST_ATTEMPTS
    age: float = LONGEST_AGE


class Tried(msgspec.Struct, frozen=True):
    """The story of one event so far. ``runs``: how often the function was run, ``setbacks``: throttles and failures of
    Lambda since its last run. Seconds since the epoch."""

    received: float
    runs: int = 0
    setbacks: int = 0
    due: float = 0.0


class Verdict(msgspec.Struct, frozen=True):
    """``again`` is the story to go on with, at its ``due``; None when the event is through, with ``condition``."""

    condition: str = ""
    again: Tried | None = None


def failed(tried: Tried, policy: Policy, now: float) -> Verdict:
    """The function ran and failed."""
    runs = tried.runs + 1
    if runs > policy.attempts:
        return Verdict(RETRIES_EXHAUSTED)
    return _later(Tried(tried.received, runs), policy, now + AFTER_ERROR[min(runs, len(AFTER_ERROR)) - 1])


def set_back(tried: Tried, policy: Policy, now: float, chance: float = 1.0) -> Verdict:
    """It was throttled, or Lambda could not run it. ``chance`` from 0 to 1 spreads those that came together."""
    wait = min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** min(tried.setbacks, 20))
    wait *= 0.75 + 0.25 * chance
    return _later(Tried(tried.received, tried.runs, tried.setbacks + 1), policy, now + wait)


def _later(tried: Tried, policy: Policy, due: float) -> Verdict:
    if due - tried.received > policy.age:
        return Verdict(EVENT_AGE_EXCEEDED)
    return Verdict(again=msgspec.structs.replace(tried, due=due))


def expired(tried: Tried, policy: Policy, now: float) -> bool:
    """Whether it has waited too long to be tried at all."""
    return now - tried.received > policy.age
