"""Token buckets per account, region and action, as AWS throttles: a burst, and a rate that refills it.

The defaults are far above AWS's own, which protect a shared fleet; they keep one runaway client from starving the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from havre.control.operation import Operation


class Rate(msgspec.Struct, frozen=True):
    """``burst`` requests at once, ``per_second`` sustained."""

    burst: float
    per_second: float


READS = Rate(40_000, 20_000)
WRITES = Rate(4_000, 2_000)
DATA = Rate(200_000, 100_000)
"""Of what moves data rather than changes resources (``Operation.data_event``): messages, records, objects, invocations."""
MOST_BUCKETS = 20_000


class Bucket:
    """``tokens`` as of ``at``."""

    __slots__ = ("at", "rate", "tokens")

    def __init__(self, rate: Rate, at: float) -> None:
        self.rate = rate
        self.at = at
        self.tokens = rate.burst


class Throttle:
    """``take`` says whether one more request may pass now."""

    def __init__(
        self,
        clock: Callable[[], float],
        reads: Rate = READS,
        writes: Rate = WRITES,
        special: Mapping[tuple[str, str], Rate] | None = None,
    ) -> None:
        """``special``: operations with a rate of their own."""
        self._clock = clock
        self._reads = reads
        self._writes = writes
        self._special = dict(special or {})
        self._buckets: dict[tuple[str, str, str, str], Bucket] = {}

    def take(self, account: str, region: str, service: str, operation: Operation) -> bool:
        now = self._clock()
        where = (account, region, service, operation.name)
        bucket = self._buckets.get(where)
        if bucket is None:
            self._trim()
            rate = self._special.get((service, operation.name)) or self._rate(operation)
            bucket = self._buckets[where] = Bucket(rate, now)
        elif now > bucket.at:
            bucket.tokens = min(bucket.rate.burst, bucket.tokens + (now - bucket.at) * bucket.rate.per_second)
            bucket.at = now
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True

    def _rate(self, operation: Operation) -> Rate:
        if operation.data_event:
            return DATA
        return self._reads if operation.read_only else self._writes

    def _trim(self) -> None:
        if len(self._buckets) < MOST_BUCKETS:
            return
        for where in list(self._buckets)[: MOST_BUCKETS // 2]:
            del self._buckets[where]
