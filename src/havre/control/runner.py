"""What runs reconcilers: changes become wake-ups, wake-ups become runs of observe, decide, act.

A key never runs twice at once; different keys run side by side. Nothing polls: a change that has become durable wakes the
keys that it touches, ``wake_at`` and back-off are timers, and resync looks at every key now and then at low priority.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from havre.control.act import act
from havre.control.reconciler import Reconciler
from havre.control.workqueue import WorkQueue
from havre.kernel.effects import Plan
from havre.kernel.errors import ApiError, Conflict, Permanent, Temporary
from havre.kernel.world import World
from havre.store.ports import Change, Store, Subscription

log = logging.getLogger("havre.control")

CONCURRENCY = 32
FIRST_BACK_OFF = 0.2
LONGEST_BACK_OFF = 60.0
PATIENT_CONFLICTS = 10
"""So many conflicts in a row are answered by looking again at once; after that by back-off."""
SOONEST = 0.01
"""Seconds: a plan that does nothing and asks to be run again at once is not given a hot loop."""


class Trouble(msgspec.Struct):
    """A key whose last run failed."""

    failures: int
    conflicts: int
    reason: str
    until: float


class Progress(msgspec.Struct):
    """Of one reconciler, for ``/_havre/health``. ``last`` is when a run ended last, in seconds since the epoch."""

    runs: int = 0
    failures: int = 0
    conflicts: int = 0
    last: float | None = None
    ready: int = 0
    running: int = 0
    oldest: float = 0.0
    failing: int = 0


class _Lane:
    """One reconciler with its queue. ``concurrency`` of the reconciler, where it has one, bounds its runs side by side."""

    def __init__(self, reconciler: Reconciler[Any]) -> None:
        self.reconciler = reconciler
        self.queue: WorkQueue[Hashable] = WorkQueue()
        self.concurrency: int = getattr(reconciler, "concurrency", CONCURRENCY)
        self.workers = 0
        self.trouble: dict[Hashable, Trouble] = {}
        self.progress = Progress()
        self.resync_at: float | None = None


class Runner:
    """``run`` is a loop for the supervisor. Simulations and tests use ``step`` and ``drain`` instead."""

    def __init__(self, reconcilers: Iterable[Reconciler[Any]], store: Store, world: World) -> None:
        self._store = store
        self._world = world
        self._lanes = {r.name: _Lane(r) for r in reconcilers}
        self._watching: dict[str, list[_Lane]] = {}
        for lane in self._lanes.values():
            for kind in lane.reconciler.watches:
                self._watching.setdefault(kind, []).append(lane)
        self._changes: Subscription | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._serving = False

    # ------------------------------------------------------------------ as a loop

    async def run(self) -> None:
        """Until cancelled."""
        changes = self._start()
        self._serving = True
        try:
            self._pump()
            async for batch in changes:
                if self._take(batch):
                    self._pump()
            raise RuntimeError("the change feed has ended")
        finally:
            self._serving = False
            self._stop()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self) -> Subscription:
        if self._changes is None:
            self._changes = self._store.subscribe(self._watching)
            for lane in self._lanes.values():
                self._look_at_all(lane)
        return self._changes

    def _stop(self) -> None:
        if self._changes is not None:
            self._changes.close()
            self._changes = None
        if self._timer is not None:
            self._timer.cancel()
        self._armed = None

    def wake(self, reconciler: str, key: Hashable) -> None:
        """From outside the store: an engine's event, say."""
        self._lanes[reconciler].queue.wake(key)
        self._pump()

    def _take(self, batch: Sequence[Change]) -> bool:
        """Whether anybody has to look at anything."""
        woken = False
        for change in batch:
            for lane in self._watching.get(change.key.kind, ()):
                try:
                    for key in lane.reconciler.keys_of(change):
                        lane.queue.wake(key)
                        woken = True
                except Exception:
                    log.exception("%s cannot tell whom the change of %s touches", lane.reconciler.name, change.key)
                    self._look_at_all(lane)
                    woken = True
        return woken

    def _look_at_all(self, lane: _Lane) -> None:
        """A listing that fails is tried again: no timer of any key may hang on it."""
        again = lane.reconciler.resync
        try:
            for key in lane.reconciler.all_keys():
                lane.queue.wake(key, fresh=False)
        except Exception:
            log.exception("%s cannot list its keys", lane.reconciler.name)
            again = LONGEST_BACK_OFF
        lane.resync_at = self._world.now() + again if again > 0 else None

    def _ring(self) -> None:
        now = self._world.now()
        for lane in self._lanes.values():
            lane.queue.ring(now)
            if lane.resync_at is not None and lane.resync_at <= now:
                self._look_at_all(lane)

    def next_time(self) -> float | None:
        """When the next timer goes off, in seconds since the epoch: a simulation moves its clock there."""
        times = [t for lane in self._lanes.values() for t in (lane.queue.next_time(), lane.resync_at) if t is not None]
        return min(times, default=None)

    def _pump(self) -> None:
        """Start workers for what is due, and the timer for what is due next."""
        if not self._serving:
            return
        self._ring()
        for lane in self._lanes.values():
            wanted = min(lane.concurrency, lane.queue.running + lane.queue.ready)
            for _ in range(wanted - lane.workers):  # one that is between two keys counts: it is about to take the next
                lane.workers += 1
                task = asyncio.get_running_loop().create_task(self._work(lane), name=lane.reconciler.name)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        self._arm()

    def _arm(self) -> None:
        when = self.next_time()
        if when == self._armed:
            return
        self._armed = when
        if self._timer is not None:
            self._timer.cancel()
        if when is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, when - self._world.now()), self._rung)

    def _rung(self) -> None:
        self._armed = None
        self._pump()

    async def _work(self, lane: _Lane) -> None:
        try:
            while self._serving and (key := lane.queue.take(self._world.now())) is not None:
                await self._run(lane, key)
                await asyncio.sleep(0)  # a run that waited for nothing must not hold up the loop
        finally:
            lane.workers -= 1
            self._pump()

    # ------------------------------------------------------------------ one key

    async def _run(self, lane: _Lane, key: Hashable) -> None:
        try:
            plan = await self._reconcile(lane, key)
        except Conflict as conflict:
            self._conflicted(lane, key, conflict)
        except Exception as error:
            self._failed(lane, key, error)
        else:
            lane.trouble.pop(key, None)
            if plan is not None and plan.wake_at is not None:
                soonest = self._world.now() + (0.0 if plan.effects or plan.writes else SOONEST)
                lane.queue.wake_at(key, max(plan.wake_at, soonest))
        finally:
            lane.queue.done(key)
            lane.progress.runs += 1
            lane.progress.last = self._world.now()

    async def _reconcile(self, lane: _Lane, key: Hashable) -> Plan | None:
        seen = await lane.reconciler.observe(key)
        if seen is None:
            return None
        done, failure = await act(lane.reconciler.decide(seen), lane.reconciler.executors, self._store)
        if isinstance(failure, Temporary) and done.wake_at is None:
            raise failure
        return done

    def _conflicted(self, lane: _Lane, key: Hashable, conflict: Conflict) -> None:
        lane.progress.conflicts += 1
        trouble = lane.trouble.setdefault(key, Trouble(0, 0, "", 0.0))
        trouble.conflicts += 1
        if trouble.conflicts < PATIENT_CONFLICTS:
            lane.queue.wake(key)
        else:
            self._failed(lane, key, conflict)

    def _failed(self, lane: _Lane, key: Hashable, error: Exception) -> None:
        """Try again later: the longer the more often it has failed, and never all keys at the same moment."""
        lane.progress.failures += 1
        trouble = lane.trouble.setdefault(key, Trouble(0, 0, "", 0.0))
        trouble.failures += 1
        delay = min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** min(trouble.failures - 1, 20))
        if isinstance(error, Temporary):
            delay = max(delay, error.after)
        trouble.until = self._world.now() + delay * (1 + 0.2 * self._world.chance.random())
        trouble.reason = _reason(error)
        lane.queue.wake_at(key, trouble.until)
        if isinstance(error, Temporary | Conflict):
            log.info("%s %s: %s; again in %.1f s", lane.reconciler.name, key, trouble.reason, delay)
        elif isinstance(error, Permanent | ApiError):
            log.warning("%s %s: %s; again in %.1f s", lane.reconciler.name, key, trouble.reason, delay)
        else:
            log.error("%s %s: again in %.1f s", lane.reconciler.name, key, delay, exc_info=error)

    # ------------------------------------------------------------------ for people

    async def explain(self, arn: str) -> list[str]:
        """Why things are as they are, in words: observes and decides, and does nothing."""
        reasons: list[str] = []
        for lane in self._lanes.values():
            key = lane.reconciler.key_of(arn)
            if key is None:
                continue
            try:
                seen = await lane.reconciler.observe(key)
            except (Temporary, Permanent, ApiError) as error:
                reasons.append(f"It cannot be looked at now: {_reason(error)}.")
                continue
            if seen is not None:
                reasons += lane.reconciler.decide(seen).reasons
            trouble = lane.trouble.get(key)
            if trouble is not None and trouble.reason:
                wait = max(0.0, trouble.until - self._world.now())
                reasons.append(f"The last attempt failed: {trouble.reason}. Next attempt in {wait:.0f} s.")
        return list(dict.fromkeys(reasons))

    def progress(self) -> Mapping[str, Progress]:
        """Of every reconciler by its name."""
        now = self._world.now()
        for lane in self._lanes.values():
            lane.progress.ready = lane.queue.ready
            lane.progress.running = lane.queue.running
            lane.progress.oldest = lane.queue.oldest(now)
            lane.progress.failing = sum(1 for t in lane.trouble.values() if t.failures)
        return {name: lane.progress for name, lane in self._lanes.items()}

    # ------------------------------------------------------------------ for simulations and tests

    async def step(self) -> bool:
        """Run one due key to its end, chosen by World's chance. False when none is due."""
        self._take(self._start().gathered())
        self._ring()
        lanes = [lane for lane in self._lanes.values() if lane.queue.ready]
        if not lanes:
            return False
        lane = self._world.chance.choice(lanes)
        key = lane.queue.take(self._world.now(), self._world.chance)
        assert key is not None
        await self._run(lane, key)
        return True

    async def drain(self, limit: int = 100_000) -> int:
        """Step until nothing is due (timers that have not gone off stay). Raises RuntimeError when it does not settle."""
        for steps in range(limit):
            if not await self.step():
                return steps
        raise RuntimeError(f"still not settled after {limit} runs")


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "message", None) or str(error)
    return str(reason) or type(error).__name__
