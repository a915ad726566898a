"""The machine of all environments of one node: events in, steps out. Times are seconds of any steady clock.

The hot path is ``take`` and ``settled``: a dictionary, a list, no allocation. Whoever waits takes the first environment that
is free, be it a new one or one whose invocation has ended meanwhile: no invocation waits for a start that it does not need.
"""

from __future__ import annotations

from collections.abc import Hashable

from havre.core.environments.members import Member, Phase, Pool, Rules, Step
from havre.core.environments.pools import belongs

_FREEZES = 4
"""In one tick: each may take a millisecond, in which nothing else happens on the node."""


class Fleet:
    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._pools: dict[str, Pool] = {}
        self._members: dict[str, Member] = {}
        self._made = 0
        self.memory = 0
        """MiB of all environments together."""
        self.urgent = False
        """``tick`` is due at once: an environment that has become idle must end, or make room for who waits."""
        self.scarce = False
        """The machine has so little memory left that an environment begins only in the place of others."""
        self._short: set[str] = set()
        self._lent = 0

    # --- what there is
    def members(self, pool: str = "") -> tuple[Member, ...]:
        if not pool:
            return tuple(self._members.values())
        found = self._pools.get(pool)
        return tuple(found.members.values()) if found else ()

    def member(self, id: str) -> Member | None:
        return self._members.get(id)

    def ready(self, pool: str) -> int:
        """Kept ones that are initialised, successors of others not counted."""
        found = self._pools.get(pool)
        if found is None:
            return 0
        return min(found.kept, sum(m.kept and m.phase is not Phase.STARTING for m in found.members.values()))

    def lacks(self, pool: str) -> bool:
        """Whether there is no room for what is to be kept ready."""
        found = self._pools.get(pool)
        return found is not None and found.lacking

    def parked(self, pool: str) -> int:
        found = self._pools.get(pool)
        return len(found.parked) if found else 0

    def waiting(self, pool: str) -> int:
        found = self._pools.get(pool)
        return len(found.waiting) if found else 0

    # --- pools
    def know(self, pool: str, memory: int, snap_start: bool = False, *, passing: bool = False) -> None:
        """Before anything else of a pool."""
        if pool not in self._pools:
            self._pools[pool] = Pool(memory, snap_start, passing=passing)

    def within(self, to: str) -> tuple[str, ...]:
        """Pools of a function, or of one state of its files."""
        return tuple(pool for pool in self._pools if belongs(pool, to))

    def revive(self, pool: str) -> None:
        """It is wanted again after all: what is started from now on stays."""
        self._pools[pool].retired = False

    def knows(self, pool: str) -> bool:
        return pool in self._pools

    def keep(self, pool: str, count: int, now: float) -> list[Step]:
        """So many of it are to be ready, from now on."""
        found = self._pools[pool]
        found.kept, found.retry_at = count, now
        kept = [m for m in found.members.values() if m.kept]
        for member in kept[count:]:
            member.kept = False
            if member in found.kept_idle:
                found.kept_idle.remove(member)
                found.idle.append(member)
        return self._fill(pool, found, now)

    def park(self, pool: str, count: int, now: float) -> list[Step]:
        """Keep so many parked ones (SnapStart)."""
        found = self._pools[pool]
        found.parked_wanted, found.retry_at = count, now
        return self._fill(pool, found, now)

    def retire(self, pool: str) -> list[Step]:
        """What is idle ends, what is busy ends when it is done; nothing new is started unless somebody waits."""
        found = self._pools.get(pool)
        if found is None:
            return []
        found.retired, found.kept, found.parked_wanted = True, 0, 0
        for member in found.members.values():
            member.stale, member.kept = True, False
        ended = [*found.idle, *found.kept_idle, *found.parked]
        steps = [self._end(member) for member in ended]
        self._forget(pool, found)
        return steps

    # --- invocations
    def take(self, pool: str, now: float) -> Member | None:
        """An idle one of the pool, which is busy from now on; the one that was used last, for others shall rest."""
        found = self._pools[pool]
        for idle in (found.kept_idle, found.idle):
            for at in range(len(idle) - 1, -1, -1):
                member = idle[at]
                if member.expires > now:  # others are ended by the next tick
                    del idle[at]
                    member.phase, member.since = Phase.BUSY, now
                    return member
        return None

    def wait(self, pool: str, ticket: Hashable, now: float) -> list[Step]:
        """Nothing was idle: ``ticket`` waits, and what is needed for it is done."""
        found = self._pools[pool]
        found.waiting.append(ticket)
        if found.settling >= len(found.waiting):  # about to be idle: ``wake_at`` says until when that is believed
            return []
        return self._serve(pool, found, now)

    def give_up(self, pool: str, ticket: Hashable) -> bool:
        """Nobody wants it any more. False when it waits no longer."""
        found = self._pools.get(pool)
        if found is None or ticket not in found.waiting:
            return False
        found.waiting.remove(ticket)
        return True

    def answered(self, member: Member, now: float) -> None:
        member.phase, member.since = Phase.SETTLING, now
        self._pools[member.pool].settling += 1

    def spoilt(self, member: Member, now: float) -> None:
        """What runs in it is of no use any more, but its sandbox is: it takes nothing until it is ``settled`` again, in a
        moment, or initialised once more where it is kept ready."""
        found = self._pools[member.pool]
        if member.phase is Phase.SETTLING:
            found.settling -= 1
        for idle in (found.idle, found.kept_idle):
            if member in idle:
                idle.remove(member)
        member.phase, member.since = (Phase.STARTING if member.kept else Phase.SETTLING), now
        found.settling += not member.kept

    def parked_now(self, member: Member, now: float) -> list[Step]:
        """It is initialised and waits to be restored."""
        found = self._pools[member.pool]
        member.phase, member.since = Phase.PARKED, now
        if member.stale:
            return [self._end(member)]
        found.parked.append(member)
        return self._serve(member.pool, found, now)

    def settled(self, member: Member, now: float) -> Hashable:
        """It asks for work: the ticket that it takes; None when it is idle now (or ends: look at ``stale``)."""
        found = self._pools[member.pool]
        if member.phase is Phase.SETTLING:
            found.settling -= 1
        if found.waiting and member.expires > now:
            member.phase, member.since = Phase.BUSY, now
            return found.waiting.popleft()
        member.phase, member.since = Phase.IDLE, now
        self.urgent = member.stale or member.expires <= now or bool(self._short)
        (found.kept_idle if member.kept else found.idle).append(member)
        return None

    def claim(self, member: Member, now: float) -> Hashable:
        """A ticket for one whose start has failed, so that it is tried again within that invocation; None: nobody waits."""
        found = self._pools[member.pool]
        if not found.waiting:
            return None
        member.phase, member.since = Phase.BUSY, now
        return found.waiting.popleft()

    def gone(self, member: Member, now: float, *, failed: bool = False) -> list[Step]:
        """It has ended, by whatever cause. ``failed``: it never got ready."""
        found = self._pools.get(member.pool)
        self._drop(member)
        if found is None:
            return []
        if failed:
            found.retry_at = now + self.rules.retry
        steps = self._serve(member.pool, found, now) + self._freed(now, member.pool)
        self._forget(member.pool, found)
        return steps

    def drop(self, member: Member) -> None:
        """It is none any more, before who waited for it is told."""
        self._drop(member)

    def refuse(self, pool: str, now: float, *, for_good: bool) -> list[Hashable]:
        """Who hears that one could not be started: all who wait, where there is no other, or ``for_good`` none can be;
        nobody, while some are at work, and will take them: no other begins for a moment then; else who waits longest, for
        those just begun may fail, too."""
        found = self._pools.get(pool)
        if found is None:
            return []
        if for_good or not found.members:
            waiting = list(found.waiting)
            found.waiting.clear()
            return waiting
        if any(m.phase not in (Phase.STARTING, Phase.PARKED) for m in found.members.values()):
            found.begins_at = now + self.rules.look
            return []
        if not found.waiting:
            return []
        return [found.waiting.popleft()]

    # --- time
    def tick(self, now: float, *, pressure: bool = False) -> list[Step]:
        """What is due: rest, end, start what is to be kept, start for who has waited long enough."""
        self.urgent = False
        steps: list[Step] = []
        limit = self.rules.idle_under_pressure if pressure else self.rules.idle
        freezing = 0
        for member in tuple(self._members.values()):
            if member.phase not in (Phase.IDLE, Phase.PARKED):
                continue
            over = member.phase is Phase.IDLE and not member.kept and now >= member.since + limit
            if over or member.stale or member.expires <= now:
                steps.append(self._end(member))
            elif now >= member.since + self.rules.rest and not member.frozen and freezing < _FREEZES:
                freezing += 1
                member.frozen = True
                steps.append(Step("freeze", member.pool, member))
        for pool, found in tuple(self._pools.items()):
            steps += self._serve(pool, found, now)
            self._forget(pool, found)
        return steps

    def wake_at(self, now: float) -> float:
        """When ``tick`` is due next; infinity when nothing is."""
        due = now if self.urgent else float("inf")
        for member in self._members.values():
            if member.phase in (Phase.IDLE, Phase.PARKED):
                if not member.frozen:
                    due = min(due, member.since + self.rules.rest)
                if member.phase is Phase.IDLE and not member.kept:
                    due = min(due, member.since + self.rules.idle, now + self.rules.idle_under_pressure)
                due = min(due, member.expires)
            if member.kept and member.renew_at > now:
                due = min(due, member.renew_at)
        for found in self._pools.values():
            if found.waiting:
                due = min(due, now + self.rules.look) if self.scarce else due
                due = min(due, found.begins_at) if found.begins_at > now else due
                settling = [m.since for m in found.members.values() if m.phase is Phase.SETTLING]
                due = min([due, *(since + self.rules.settle for since in settling)])
            if found.retry_at > now and (found.kept or found.parked_wanted):
                due = min(due, found.retry_at)
        return max(due, now)

    # --- others
    def lend(self, memory: int, now: float) -> list[Step] | None:
        """Room for an environment that is none of these; idle ones end for it. None: there is none."""
        steps = self._free(memory, "")
        if steps is not None:
            self.memory += memory
            self._lent += 1
        return steps

    def given_back(self, memory: int, now: float) -> list[Step]:
        """What was lent."""
        self.memory -= memory
        self._lent -= 1
        return self._freed(now, "")

    # --- inside
    def _serve(self, pool: str, found: Pool, now: float) -> list[Step]:
        """Environments for those who wait: idle ones, parked ones, else new ones."""
        self._short.discard(pool)
        steps: list[Step] = []
        while found.waiting and (member := self.take(pool, now)) is not None:
            steps.append(Step("give", pool, member, found.waiting.popleft()))
        while found.waiting and found.parked:
            member = found.parked.pop()
            member.phase, member.since, member.kept = Phase.BUSY, now, False
            steps.append(Step("restore", pool, member, found.waiting.popleft()))
        coming = sum(
            m.phase is Phase.STARTING or (m.phase is Phase.SETTLING and now < m.since + self.rules.settle)
            for m in found.members.values()
        )
        for _ in range(len(found.waiting) - coming if found.begins_at <= now else 0):
            room = self._make_room(pool, found, now)
            if room is None:
                if not found.members and not self._room_to_come():
                    steps += [Step("refuse", pool, None, ticket) for ticket in found.waiting]
                    found.waiting.clear()
                else:
                    self._short.add(pool)
                break
            steps += room
            steps.append(self._start(pool, found, now, kept=False))
        return steps + self._fill(pool, found, now)

    def _fill(self, pool: str, found: Pool, now: float) -> list[Step]:
        """Start what is to be kept ready and is not."""
        if found.retry_at > now:
            return []
        steps: list[Step] = []
        found.lacking = False
        kept = sum(m.kept and m.phase is not Phase.PARKED and m.renew_at > now for m in found.members.values())
        for _ in range(found.kept - kept):
            room = self._make_room(pool, found, now)
            if room is None:
                found.lacking, found.retry_at = True, now + self.rules.retry
                return steps
            steps += [*room, self._start(pool, found, now, kept=True)]
        parking = sum(m.phase is Phase.STARTING for m in found.members.values()) if found.snap_start else 0
        for _ in range(found.parked_wanted - len(found.parked) - parking):
            room = self._make_room(pool, found, now)
            if room is None:
                found.retry_at = now + self.rules.retry
                return steps
            steps += [*room, self._start(pool, found, now, kept=False)]
        return steps

    def _room_to_come(self) -> bool:
        """Whether an environment is about to be idle, which may then end for another's sake."""
        return any(m.phase is Phase.SETTLING and not m.kept for m in self._members.values())

    def _make_room(self, pool: str, found: Pool, now: float) -> list[Step] | None:
        """Idle environments of others that end for it, those that were idle longest first; None: not even so."""
        return self._free(found.memory, pool)

    def _free(self, memory: int, pool: str) -> list[Step] | None:
        """Room for one of so many MiB."""
        need = self.memory + memory - self.rules.memory
        if self.scarce and self._members:
            need = max(need, memory)
        places = len(self._members) + self._lent + 1 - self.rules.most
        if need <= 0 and places <= 0:
            return []
        others = sorted(
            (m for m in self._members.values() if m.phase is Phase.IDLE and not m.kept and m.pool != pool),
            key=lambda m: m.since,
        )
        ended: list[Member] = []
        for member in others:
            if need <= 0 and places <= 0:
                break
            ended.append(member)
            need, places = need - member.memory, places - 1
        return [self._end(member) for member in ended] if need <= 0 and places <= 0 else None

    def _start(self, pool: str, found: Pool, now: float, *, kept: bool) -> Step:
        self._made += 1
        member = Member(f"e{self._made}", pool, found.memory, kept, Phase.STARTING, now, stale=found.retired)
        self._members[member.id] = found.members[member.id] = member
        self.memory += member.memory
        return Step("start", pool, member)

    def _end(self, member: Member) -> Step:
        self._drop(member)
        return Step("end", member.pool, member)

    def _drop(self, member: Member) -> None:
        if self._members.pop(member.id, None) is None:
            return
        self.memory -= member.memory
        found = self._pools.get(member.pool)
        if found is None:
            return
        found.members.pop(member.id, None)
        if member.phase is Phase.SETTLING:
            found.settling -= 1
        for group in (found.idle, found.kept_idle, found.parked):
            if member in group:
                group.remove(member)

    def _freed(self, now: float, pool: str) -> list[Step]:
        """Room has come: those who wait elsewhere may have it."""
        steps: list[Step] = []
        for other, found in tuple(self._pools.items()):
            if other != pool and found.waiting:
                steps += self._serve(other, found, now)
        return steps

    def _forget(self, pool: str, found: Pool) -> None:
        if (found.retired or found.passing) and not found.members and not found.waiting:
            self._pools.pop(pool, None)
