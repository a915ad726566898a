"""Batches of a stream that failed: what is tried again, in which parts, and what is given up.

Order within a shard is kept: parts are tried one after the other, and nothing behind a part before it has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from havre.core.event_sources.verdict import Verdict

EXHAUSTED, TOO_OLD = "RetryAttemptsExhausted", "RecordAgeExceeded"
FIRST_WAIT, LONGEST_WAIT = 0.25, 30.0


class StreamRecord(msgspec.Struct, frozen=True):
    """``arrived`` in seconds since the epoch; ``event`` is what the function gets; ``size`` in bytes of that."""

    sequence: str
    partition: str
    arrived: float
    event: Any = None
    size: int = 0


class Part(msgspec.Struct, frozen=True):
    """Records that are handed over together; ``tries`` so many times so far."""

    records: tuple[StreamRecord, ...]
    tries: int = 0


class Limits(msgspec.Struct, frozen=True):
    """``attempts`` beyond the first, ``age`` of a record in seconds; -1 for none."""

    attempts: int = -1
    age: float = -1
    bisect: bool = False


class Step(msgspec.Struct, frozen=True):
    """``done`` records need no more care (those given up are among them); ``again`` is to be tried next, in order;
    ``lost`` is what was given up, and ``why``."""

    done: tuple[StreamRecord, ...] = ()
    again: tuple[Part, ...] = ()
    lost: tuple[StreamRecord, ...] = ()
    why: str = ""


def before(part: Part, limits: Limits, now: float) -> Step:
    """What is left of a part that is about to be handed over: records that are too old are given up."""
    if limits.age < 0:
        return Step(again=(part,))
    kept = tuple(r for r in part.records if now - r.arrived <= limits.age)
    lost = tuple(r for r in part.records if now - r.arrived > limits.age)
    again = (Part(kept, part.tries),) if kept else ()
    return Step(lost, again, lost, TOO_OLD if lost else "")


def after(part: Part, verdict: Verdict, limits: Limits) -> Step:
    """A batch starts again at the first record that failed; a bisection is no retry of its own."""
    if verdict.ok:
        return Step(done=part.records)
    first = verdict.failed[0]
    if first > 0:
        return Step(part.records[:first], (Part(part.records[first:]),))
    if limits.bisect and len(part.records) > 1:
        middle = len(part.records) // 2
        return Step(again=(Part(part.records[:middle], part.tries), Part(part.records[middle:], part.tries)))
    if 0 <= limits.attempts <= part.tries:
        return Step(part.records, (), part.records, EXHAUSTED)
    return Step(again=(Part(part.records, part.tries + 1),))


def wait(tries: int) -> float:
    """Seconds before a part is tried again that failed so often."""
    return 0.0 if tries == 0 else min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(tries - 1, 10))


class Progress:
    """Which records of a shard have ended, while several are under way: from where to go on after a crash."""

    def __init__(self) -> None:
        self._order: list[str] = []
        self._ended: set[str] = set()

    def begin(self, sequences: Sequence[str]) -> None:
        self._order.extend(sequences)

    def end(self, sequences: Sequence[str]) -> str | None:
        """The last record of which itself and all before have ended, if it is another one than before."""
        self._ended.update(sequences)
        count = 0
        while count < len(self._order) and self._order[count] in self._ended:
            count += 1
        if not count:
            return None
        last = self._order[count - 1]
        self._ended.difference_update(self._order[:count])
        del self._order[:count]
        return last

    @property
    def idle(self) -> bool:
        return not self._order
