"""The machine of environments that work on several invocations at once, of one node: events in, steps out.

How many environments a pool has is told from outside (``keep``): none is started because an invocation came. Whoever finds
no free slot waits a moment, for slots come free all the time, and is refused then. Times are seconds of any steady clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

import msgspec

from havre.core.environments.fleet import Fleet
from havre.core.environments.members import Member, Phase, Step


class CrowdRules(msgspec.Struct, frozen=True):
    """``patience`` is how long an invocation waits for a slot. An environment that must go because its credentials end is
    replaced ``lead`` before. ``retry``: until what could not start is tried again."""

    patience: float = 0.1
    lead: float = 60.0
    retry: float = 10.0


class Shared(Member, eq=False):
    """One environment. ``free``: workers of it that wait for an invocation; ``running`` invocations, ``most`` at once;
    ``resting``: workers whose invocation has ended and that have not asked for more yet. ``known`` is the most workers that
    there were. ``elastic``: they ask for more while they are at work, so that its slots are ``most`` and no fewer.
    ``leaving``: it takes none any more, and ends when the last is done."""

    most: int = 1
    free: int = 0
    running: int = 0
    resting: int = 0
    known: int = 0
    elastic: bool = False
    leaving: bool = False

    @property
    def able(self) -> bool:
        return self.free > 0 and self.running < self.most and not self.leaving and self.phase is Phase.IDLE

    @property
    def slots(self) -> int:
        return self.most if self.elastic else min(self.most, self.free + self.running + self.resting)


class _Pool(msgspec.Struct, eq=False):
    memory: int
    most: int
    wanted: int = 0
    members: dict[str, Shared] = {}
    waiting: deque[tuple[float, Hashable]] = msgspec.field(default_factory=deque)
    retry_at: float = 0.0
    short: bool = False
    retired: bool = False


class Counts(msgspec.Struct, frozen=True):
    """Of one pool. ``slots`` are all, ``running`` those that are taken. ``short``: this node has no room for more."""

    wanted: int = 0
    ready: int = 0
    slots: int = 0
    running: int = 0
    short: bool = False


class Crowd:
    """``fleet`` has the node's memory; what environments here take is lent by it."""

    def __init__(self, fleet: Fleet, rules: CrowdRules) -> None:
        self.rules = rules
        self._fleet = fleet
        self._pools: dict[str, _Pool] = {}
        self._made = 0

    # --- what there is
    def knows(self, pool: str) -> bool:
        return pool in self._pools

    def pools(self) -> tuple[str, ...]:
        return tuple(self._pools)

    def members(self, pool: str) -> tuple[Shared, ...]:
        found = self._pools.get(pool)
        return tuple(found.members.values()) if found else ()

    def holds(self, member: Shared) -> bool:
        """Whether it has not been ended meanwhile."""
        found = self._pools.get(member.pool)
        return found is not None and found.members.get(member.id) is member

    def counts(self, pool: str) -> Counts:
        found = self._pools.get(pool)
        if found is None:
            return Counts()
        ready = [m for m in found.members.values() if m.phase is Phase.IDLE and not m.leaving]
        slots, running = sum(m.slots for m in ready), sum(m.running for m in ready)
        return Counts(found.wanted, len(ready), slots, running, found.short)

    # --- how many
    def know(self, pool: str, memory: int, most: int) -> None:
        """Before anything else of a pool: MiB of an environment, and how many invocations it works on at once."""
        if pool not in self._pools:
            self._pools[pool] = _Pool(memory, most)

    def keep(self, pool: str, count: int, now: float) -> list[Step]:
        """So many of it, from now on."""
        found = self._pools[pool]
        found.wanted, found.retry_at, found.retired, found.short = count, now, False, False
        staying = self._staying(found, now)
        surplus = sorted(staying, key=lambda m: (m.phase is not Phase.STARTING, m.running))[: len(staying) - count]
        return [step for member in surplus for step in self._leave(member, now)] + self._fill(pool, found, now)

    def retire(self, pool: str, now: float) -> list[Step]:
        """It is not invoked any more."""
        found = self._pools.get(pool)
        if found is None:
            return []
        steps = self.keep(pool, 0, now)
        found.retired = True
        steps += [Step("refuse", pool, None, ticket) for _, ticket in found.waiting]
        found.waiting.clear()
        self._forget(pool, found)
        return steps

    # --- invocations
    def take(self, pool: str) -> Shared | None:
        """The environment with least to do that has a free slot, which is taken from now on."""
        found = self._pools.get(pool)
        if found is None:
            return None
        best: Shared | None = None
        for member in found.members.values():
            if member.able and (best is None or member.running < best.running):
                best = member
        if best is not None:
            best.free -= 1
            best.running += 1
        return best

    def wait(self, pool: str, ticket: Hashable, now: float) -> bool:
        """Whether it may wait for a slot: not where there is none to come, nor behind more than there are slots."""
        found = self._pools.get(pool)
        if found is None or len(found.waiting) >= self.counts(pool).slots:
            return False
        found.waiting.append((now, ticket))
        return True

    def offered(self, member: Shared) -> Hashable:
        """A worker of it asks for work: the ticket that it takes, None when it waits."""
        member.resting = max(0, member.resting - 1)
        member.free += 1
        workers = member.free + member.running + member.resting
        if workers > member.known:
            member.elastic = member.elastic or member.running > 0
            member.known = workers
        found = self._pools.get(member.pool)
        if found is None or not found.waiting or not member.able:
            return None
        return self._taken(found, member)

    def withdrawn(self, member: Shared, *, waited: bool) -> None:
        """A worker has gone: one that ``waited``, or one that had not asked for more yet."""
        if waited:
            member.free -= 1
        else:
            member.resting = max(0, member.resting - 1)

    def done(self, member: Shared, now: float) -> list[Step]:
        """One of its invocations has ended; its worker may be at work still."""
        member.running -= 1
        member.resting += 1
        if member.leaving:
            return self._leave(member, now)
        found = self._pools.get(member.pool)
        if found is None or not found.waiting or not member.able:
            return []
        return [Step("give", member.pool, member, self._taken(found, member))]

    # --- environments
    def started(self, member: Shared, now: float) -> list[Step]:
        member.phase, member.since = Phase.IDLE, now
        found = self._pools.get(member.pool)
        if found is None or member.leaving:
            return self._leave(member, now)
        steps: list[Step] = []
        while found.waiting and member.able:
            steps.append(Step("give", member.pool, member, self._taken(found, member)))
        return steps

    def gone(self, member: Shared, now: float, *, failed: bool = False) -> list[Step]:
        """It has ended, by whatever cause. ``failed``: it never got ready."""
        found = self._pools.get(member.pool)
        steps = self._drop(member, now)
        if found is None:
            return steps
        if failed:
            found.retry_at = now + self.rules.retry
        steps += self._fill(member.pool, found, now)
        self._forget(member.pool, found)
        return steps

    # --- time
    def tick(self, now: float) -> list[Step]:
        """What is due: who has waited too long is refused, what must go goes, what is missing starts."""
        steps: list[Step] = []
        for pool, found in tuple(self._pools.items()):
            while found.waiting and found.waiting[0][0] + self.rules.patience <= now:
                steps.append(Step("refuse", pool, None, found.waiting.popleft()[1]))
            for member in tuple(found.members.values()):
                if member.expires <= now and not member.leaving:
                    steps += self._leave(member, now)
            steps += self._fill(pool, found, now)
        return steps

    def wake_at(self, now: float) -> float:
        """When ``tick`` is due next; infinity when nothing is."""
        due = float("inf")
        for found in self._pools.values():
            if found.waiting:
                due = min(due, found.waiting[0][0] + self.rules.patience)
            if found.retry_at > now and len(self._staying(found, now)) < found.wanted:
                due = min(due, found.retry_at)
            for member in found.members.values():
                if not member.leaving:
                    early = member.expires - self.rules.lead
                    due = min(due, early if early > now else member.expires)
        return max(due, now)

    # --- inside
    def _taken(self, found: _Pool, member: Shared) -> Hashable:
        """What has waited longest, for this one."""
        member.free -= 1
        member.running += 1
        return found.waiting.popleft()[1]

    def _staying(self, found: _Pool, now: float) -> list[Shared]:
        """Those that need no other in their place yet."""
        return [m for m in found.members.values() if not m.leaving and m.expires > now + self.rules.lead]

    def _fill(self, pool: str, found: _Pool, now: float) -> list[Step]:
        if found.retry_at > now:
            return []
        steps: list[Step] = []
        for _ in range(found.wanted - len(self._staying(found, now))):
            room = self._fleet.lend(found.memory, now)
            found.short = room is None
            if room is None:
                found.retry_at = now + self.rules.retry
                break
            self._made += 1
            member = Shared(f"m{self._made}", pool, found.memory, True, Phase.STARTING, now, most=found.most)
            found.members[member.id] = member
            steps += [*room, Step("start", pool, member)]
        return steps

    def _leave(self, member: Shared, now: float) -> list[Step]:
        member.leaving = True
        if member.running:
            return []
        return [Step("end", member.pool, member), *self._drop(member, now)]

    def _drop(self, member: Shared, now: float) -> list[Step]:
        found = self._pools.get(member.pool)
        if found is None or found.members.pop(member.id, None) is None:
            return []
        self._forget(member.pool, found)
        return self._fleet.given_back(member.memory, now)

    def _forget(self, pool: str, found: _Pool) -> None:
        if found.retired and not found.members and not found.wanted:
            self._pools.pop(pool, None)
