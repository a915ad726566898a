"""Who may run now: the account's concurrency, what functions have reserved of it, and how fast they may grow.

The rule here: every slot that was given is given back once, whatever became of the call, so the counts are exact.
"""

from __future__ import annotations

import msgspec

ACCOUNT_LIMIT = 1000
GROWTH, GROWTH_PER_SECOND = 1000.0, 100.0
"""New environments of one function: 1,000 at once, 1,000 more every 10 seconds."""
RATE = 10
"""Synchronous invocations a second, for each unit of concurrency."""
IDLE = 300.0
"""Seconds after which environments that were not needed are taken to be gone."""
FEW = 256
"""Functions that are remembered in any case."""

CONCURRENT = "ConcurrentInvocationLimitExceeded"
CONCURRENT_RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"
TOO_FAST = "FunctionInvocationRateLimitExceeded"
TOO_FAST_RESERVED = "ReservedFunctionInvocationRateLimitExceeded"
REASONS = (CONCURRENT, CONCURRENT_RESERVED, TOO_FAST, TOO_FAST_RESERVED)


class Share(msgspec.Struct, frozen=True):
    """What one function may have. ``function`` is its name, ``version`` what provisioned environments belong to;
    ``provisioned`` counts those that are ready. ``reserved`` None: it runs in the unreserved pool.
    ``held``: what of the reservation is provisioned environments of any version, and nobody else's."""

    function: str
    version: str = "$LATEST"
    reserved: int | None = None
    provisioned: int = 0
    held: int = 0


class Pool(msgspec.Struct, frozen=True):
    """The account's limit, and what of it is set aside: all reservations, and the provisioned concurrency of functions
    that have none."""

    limit: int = ACCOUNT_LIMIT
    set_aside: int = 0

    @property
    def unreserved(self) -> int:
        return max(0, self.limit - self.set_aside)


class Slot:
    """The right to run once; ``provisioned`` in an environment that was asked for beforehand."""

    __slots__ = ("function", "open", "provisioned", "unreserved", "version")

    def __init__(self, function: str, version: str, provisioned: bool, unreserved: bool) -> None:
        self.function = function
        self.version = version
        self.provisioned = provisioned
        self.unreserved = unreserved
        self.open = True


class Bucket:
    """So many at once, refilled at a rate."""

    __slots__ = ("_at", "_tokens", "capacity", "per_second")

    def __init__(self, capacity: float, per_second: float, now: float) -> None:
        self.capacity = capacity
        self.per_second = per_second
        self._tokens = capacity
        self._at = now

    def has(self, now: float) -> bool:
        self._tokens = min(self.capacity, self._tokens + max(0.0, now - self._at) * self.per_second)
        self._at = max(self._at, now)
        return self._tokens >= 1.0

    def take(self) -> None:
        self._tokens -= 1.0

    def resize(self, capacity: float, per_second: float) -> None:
        if capacity != self.capacity:
            self._tokens = min(capacity, self._tokens + max(0.0, capacity - self.capacity))
            self.capacity, self.per_second = capacity, per_second


class _Function:
    __slots__ = ("called", "environments", "growth", "needed", "on_demand", "provisioned", "rate", "running")

    def __init__(self, now: float) -> None:
        self.called = now
        self.running = 0
        self.on_demand = 0
        self.provisioned: dict[str, int] = {}
        self.environments = 0
        self.needed = now
        """When as many environments as there are were last in use."""
        self.growth = Bucket(GROWTH, GROWTH_PER_SECOND, now)
        self.rate: Bucket | None = None


class Concurrency:
    """Of one account in one region."""

    def __init__(self, now: float) -> None:
        self._functions: dict[str, _Function] = {}
        self._look_at = FEW
        self._unreserved = 0
        self._rate = Bucket(float(RATE * ACCOUNT_LIMIT), float(RATE * ACCOUNT_LIMIT), now)

    @property
    def unreserved(self) -> int:
        """Slots of the unreserved pool that are taken."""
        return self._unreserved

    def running(self, function: str) -> int:
        found = self._functions.get(function)
        return 0 if found is None else found.running

    def provisioned(self, function: str, version: str) -> int:
        """Provisioned environments of this version that are at work."""
        found = self._functions.get(function)
        return 0 if found is None else found.provisioned.get(version, 0)

    def admit(self, share: Share, pool: Pool, now: float, synchronous: bool = True) -> Slot | str:
        """A slot, else the reason of the throttle (one of REASONS). What is refused costs nothing."""
        function = self._functions.get(share.function)
        if function is None:
            self._forget_rested(now)
            function = self._functions[share.function] = _Function(now)
        function.called = now
        reserved = share.reserved
        if reserved is not None and function.running >= reserved:
            return CONCURRENT_RESERVED
        ready = function.provisioned.get(share.version, 0) < share.provisioned
        if not ready and reserved is not None and function.on_demand >= reserved - share.held:
            return CONCURRENT_RESERVED
        if not ready and reserved is None and self._unreserved >= pool.unreserved:
            return CONCURRENT
        rate = self._rate_of(function, reserved, pool, now) if synchronous else None
        if rate is not None and not rate.has(now):
            return TOO_FAST if reserved is None else TOO_FAST_RESERVED
        if not ready and not self._may_grow(function, now):
            return TOO_FAST if reserved is None else TOO_FAST_RESERVED
        if rate is not None:
            rate.take()
        return self._enter(function, share, ready, now)

    def _enter(self, function: _Function, share: Share, ready: bool, now: float) -> Slot:
        function.running += 1
        unreserved = not ready and share.reserved is None
        if ready:
            function.provisioned[share.version] = function.provisioned.get(share.version, 0) + 1
        else:
            function.on_demand += 1
            if function.on_demand > function.environments:
                function.growth.take()
                function.environments = function.on_demand
            if function.on_demand == function.environments:
                function.needed = now
        if unreserved:
            self._unreserved += 1
        return Slot(share.function, share.version, ready, unreserved)

    def _rate_of(self, function: _Function, reserved: int | None, pool: Pool, now: float) -> Bucket:
        most = float(RATE * (pool.limit if reserved is None else reserved))
        if reserved is None:
            bucket = self._rate
        else:
            bucket = function.rate or Bucket(most, most, now)
            function.rate = bucket
        bucket.resize(most, most)
        return bucket

    @staticmethod
    def _may_grow(function: _Function, now: float) -> bool:
        if now - function.needed > IDLE:
            function.environments = function.on_demand
        return function.on_demand < function.environments or function.growth.has(now)

    def release(self, slot: Slot) -> None:
        """Giving back twice is harmless."""
        if not slot.open:
            return
        slot.open = False
        function = self._functions[slot.function]
        function.running -= 1
        if slot.unreserved:
            self._unreserved -= 1
        if not slot.provisioned:
            function.on_demand -= 1
            return
        left = function.provisioned[slot.version] - 1
        if left:
            function.provisioned[slot.version] = left
        else:
            del function.provisioned[slot.version]

    def _forget_rested(self, now: float) -> None:
        """What was not called for so long that all its buckets are full is as one that was never called: functions come and
        go. Looked for when there are twice as many as were left the last time."""
        if len(self._functions) < self._look_at:
            return
        rested = [name for name, each in self._functions.items() if not each.running and now - each.called > IDLE]
        for name in rested:
            del self._functions[name]
        self._look_at = max(FEW, 2 * len(self._functions))
