"""Who may run now, and what is counted of it: one of each for every account in a region."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from havre.control.metrics import UNMETERED, Metrics, Tally
from havre.core.invoking.concurrency import Concurrency, Pool, Share, Slot
from havre.core.invoking.meters import NAMESPACE, Meters, Place, Run
from havre.kernel.function import Outcome

_FREE = Slot("", "", False, False)
"""Of nobody's concurrency: it was given back already."""
_FREE.open = False
PROVISIONED, SPILLED = "ProvisionedConcurrencyInvocations", "ProvisionedConcurrencySpilloverInvocations"
AT_WORK, USED = "ProvisionedConcurrentExecutions", "ProvisionedConcurrencyUtilization"


class Admission:
    """The right to run once, which whoever has it gives back."""

    __slots__ = ("_counts", "_run", "_slot")

    def __init__(self, counts: Concurrency, slot: Slot, run: Run) -> None:
        self._counts = counts
        self._slot = slot
        self._run: Run | None = run

    @property
    def provisioned(self) -> bool:
        """Whether it runs in an environment that was asked for beforehand."""
        return self._slot.provisioned

    def over(self, outcome: Outcome | None = None) -> None:
        """None: it did not come to an invocation, or nobody knows how it ended. Saying so twice is harmless."""
        run, self._run = self._run, None
        if run is None:
            return
        self._counts.release(self._slot)
        if outcome is None:
            run.abandoned()
        else:
            run.ended(outcome.duration, bool(outcome.error))


class Account:
    """``counts`` are exact, ``meters`` are what is told of them."""

    __slots__ = ("counts", "meters")

    def __init__(self, now: float) -> None:
        self.counts = Concurrency(now)
        self.meters = Meters(now)

    def admit(self, where: Place, share: Share, pool: Pool, now: float, synchronous: bool) -> Admission | str:
        """Else the reason of the throttle."""
        counts, meters = self.counts, self.meters
        slot = counts.admit(share, pool, now, synchronous)
        if isinstance(slot, str):
            meters.throttled(where, now)
            return slot
        taken = counts.unreserved
        run = meters.began(where, now, taken, taken + pool.set_aside)
        if share.provisioned:
            used = counts.provisioned(share.function, share.version)
            meters.add(where, PROVISIONED if slot.provisioned else SPILLED, 1.0, now)
            meters.add(where, AT_WORK, float(used), now)
            meters.add(where, USED, used / share.provisioned, now)
        return Admission(counts, slot, run)

    def admit_freely(self, where: Place, pool: Pool, now: float) -> Admission:
        """What runs on a capacity provider is bounded by its environments: it takes nothing of the account's concurrency."""
        taken = self.counts.unreserved
        return Admission(self.counts, _FREE, self.meters.began(where, now, taken, taken + pool.set_aside))


class Accounts:
    """Those of a process."""

    def __init__(self, now: Callable[[], float], metrics: Metrics = UNMETERED) -> None:
        self._now = now
        self._known: dict[tuple[str, str], Account] = {}
        self._metrics = metrics
        self._wake = metrics.feed(self._drain)

    def of(self, account: str, region: str) -> Account:
        """Whoever asks counts something."""
        self._wake()
        found = self._known.get((account, region))
        if found is None:
            found = self._known[account, region] = Account(self._now())
        return found

    def _drain(self) -> None:
        now, runs = self._now(), False
        for (account, region), each in self._known.items():
            for name, unit, dimensions, at, values in each.meters.drain(now):
                self._metrics.put(Tally(account, region, NAMESPACE, name, dimensions, unit, at, values))
            runs = runs or each.meters.running > 0
        if runs:  # what runs for minutes is seen in each of them
            asyncio.get_running_loop().call_soon(self._wake)
