"""The queue of asynchronous events: on disk before it is acknowledged, gone from there only when it is through.

An event runs at least once, whenever the process is killed. Functions do not wait for one another: each has a line of its
own, and how many of its events run at once follows what it gets through.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Protocol

import msgspec

from havre.control.tasks import Tasks
from havre.core.invoking import meters, retries
from havre.core.invoking.records import NOT_FOUND, THROTTLED
from havre.core.invoking.retries import Policy, Tried, Verdict
from havre.kernel.errors import ApiError, Temporary
from havre.kernel.world import World
from havre.services.lambda_.invoking.events import (
    SHELVES,
    Event,
    Letter,
    Where,
    Will,
    decode_event,
    decode_letter,
    encode,
)
from havre.services.lambda_.invoking.invoker import Done, Invoker, loops
from havre.services.lambda_.invoking.line import Line
from havre.services.lambda_.invoking.taken import (
    DEAD_LETTER,
    STATUS,
    Taken,
    addresses,
    due_at,
    heirs,
    invocation,
    ran,
    status_of,
    will,
)
from havre.services.lambda_.invoking.targets import Target
from havre.services.lambda_.resources import EVENT_INVOKE, LATEST, PUBLISHED, EventInvokeSpec, qualified
from havre.store.durably import durably
from havre.store.ports import Put, Reader, Records, Take

log = logging.getLogger("havre.lambda")

LOADED = 1000
PUZZLED = 60.0
"""Seconds until an event is tried again that met a fault of ours."""
WILLS = 1000
"""Different ones that are kept once for all events."""
MOST_DELIVERIES = 20
"""So often is a destination tried that says it will pass, before the record is lost."""


class Courier(Protocol):
    """Tells destinations what became of an event."""

    async def carry(self, where: Where, event: Event, letter: Letter, kind: str, arn: str) -> None:
        """Raises Temporary to be asked again, ApiError and Permanent when it is refused for good."""
        ...


class Events:
    """``run`` is a loop; until it runs, events are kept and none is begun."""

    def __init__(self, store: Reader, world: World, records: Records, invoker: Invoker) -> None:
        self._store = store
        self._world = world
        self._records = records
        self._invoker = invoker
        self._lines: dict[Where, Line] = {}
        self._tasks = Tasks()
        self._courier: Courier | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed = math.inf
        self._wills: dict[Will, Will] = {}
        self._loading: set[tuple[Where, int]] | None = None
        """What is in a line already, while what is on disk is looked through."""
        self.progress: float | None = None

    # ------------------------------------------------------------------ in

    async def put(self, target: Target, request_id: str, payload: bytes, trace: str, tenant: str) -> None:
        """Returns when the event is on disk. Raises Temporary when the disk refuses."""
        where = Where.target(target)
        uid = target.resolved.function.spec.uid
        tried = Tried(self._world.now())
        left = self._one(will(target, self._config(where, target.qualifier)))
        event = Event(request_id, target.qualifier, target.arn, uid, tried, trace, tenant, len(payload), will=left)
        number = self._records.number(where.shelf)
        await self._write(where, number, event, payload)
        self._add(where, number, event)
        self._invoker.meter(target, meters.RECEIVED)

    def _one(self, left: Will | None) -> Will | None:
        """The same object for all events of which the same is to be done."""
        if left is None or left == Will():
            return None
        if len(self._wills) >= WILLS:
            self._wills.clear()
        return self._wills.setdefault(left, left)

    def letter(self, where: Where, event: Event, letter: Letter) -> tuple[Put, Callable[[], None]]:
        """Of an event that is through elsewhere: the record, for whoever writes it together with something else, and what to
        call when it is durable."""
        number = self._records.number(where.shelf)
        return Put(where.shelf, number, encode(event), encode(letter)), lambda: self._add(where, number, event)

    async def _write(self, where: Where, number: int, event: Event, body: bytes) -> None:
        await durably(self._records, [Put(where.shelf, number, encode(event), body)])

    def _add(self, where: Where, number: int, event: Event) -> None:
        if self._known(where, number):
            return
        line = self._lines.get(where)
        if line is None:
            line = self._lines[where] = Line(where)
        line.add(number, event, self._world.now())
        if self._courier is not None:
            self._pump(line)

    def _known(self, where: Where, number: int) -> bool:
        """An event that comes while those on disk are looked through may be found there as well: it runs once."""
        if self._loading is None:
            return False
        known = (where, number) in self._loading
        self._loading.add((where, number))
        return known

    def waiting(self, where: Where) -> int:
        """Events of this function that are not through."""
        line = self._lines.get(where)
        return 0 if line is None else len(line)

    # ------------------------------------------------------------------ the loop

    async def run(self, courier: Courier) -> None:
        """Until cancelled. What was kept before the start is begun first."""
        self._lines.clear()
        self._loading = set()
        for shelf in self._records.shelves(SHELVES):
            await self._load(Where.of(shelf))
        self._loading = None
        self._courier = courier
        self.progress = self._world.now()
        try:
            self._pump_all()
            await asyncio.get_running_loop().create_future()
        finally:
            self._courier = None
            self._disarm()
            await self._tasks.close()

    async def _load(self, where: Where) -> None:
        last = 0
        while heads := self._records.heads(where.shelf, last, LOADED):
            line = self._lines.setdefault(where, Line(where))
            for number, head in heads:
                if not self._known(where, number):
                    event = decode_event(head)
                    if event.will is not None:
                        event = msgspec.structs.replace(event, will=self._one(event.will))
                    line.add(number, event, self._world.now())
                last = number
            await asyncio.sleep(0)

    def _pump_all(self) -> None:
        self._disarm()
        for line in list(self._lines.values()):
            self._pump(line)

    def _pump(self, line: Line) -> None:
        """Begin what may begin now, and see to it that what may later is looked at then."""
        now = self._world.now()
        while (taken := line.take(now)) is not None:
            self._tasks.spawn(self._serve(line, *taken), f"event of {line.where.function}")
        when = line.next_time(now)
        if when is not None and when < self._armed:
            self._disarm()
            self._armed = when
            self._timer = asyncio.get_running_loop().call_later(max(0.0, when - now), self._pump_all)

    def _disarm(self) -> None:
        self._armed = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _serve(self, line: Line, number: int, event: Event) -> None:
        ran = False
        try:
            if event.outcome:
                await self._deliver(line.where, number, event)
            else:
                ran = await self._try(line, number, event)
        except Temporary as refused:  # the disk does not take what became of it
            log.warning("an event of %s is set back: %s", line.where.function, refused.reason)
            self._again(line, number, refused.after)
        except Exception:  # a bug: nothing may be lost by it
            log.exception("an event of %s cannot be tried", line.where.function)
            self._again(line, number, PUZZLED)
        finally:
            self.progress = self._world.now()
            line.ended(ran)
            if not len(line):
                self._lines.pop(line.where, None)
            if self._courier is not None:
                self._pump(line)

    def _again(self, line: Line, number: int, after: float) -> None:
        """Go on with an event as it is on disk, which may be further than it was when it was taken."""
        now = self._world.now()
        for found, head in self._records.heads(line.where.shelf, number - 1, 1):
            if found == number:
                line.add(number, due_at(decode_event(head), now + after), now)

    # ------------------------------------------------------------------ one event

    async def _try(self, line: Line, number: int, event: Event) -> bool:
        """Gives whether the function was run."""
        target = self._find(line.where, event)
        body = self._records.bodies(line.where.shelf, [number])[0]
        if body is None:  # it is through
            return False
        if target is None:
            await self._orphaned(line.where, number, event, body)
            return False
        taken = Taken(line.where, number, event, body, target, self._config(line.where, event.qualifier))
        now = self._world.now()
        if target.resolved.function.spec.reserved == 0:
            await self._through(taken, retries.ZERO_CONCURRENCY, status=0)
            return False
        if loops(target, event.trace):
            self._count(line.where, event, meters.LOOPS_ENDED)
            await self._through(taken, retries.RECURSIVE, status=400)
            return False
        if retries.expired(event.tried, taken.policy, now):
            await self._through(taken, retries.EVENT_AGE_EXCEEDED, status=THROTTLED)
            return False
        self._count(line.where, event, meters.AGE, max(0.0, now - event.tried.received) * 1000)
        try:
            done = await self._invoker.invoke(target, invocation(event, body), synchronous=False)
        except ApiError as error:
            line.held_up(self._world.now())
            chance = self._world.chance.random()
            await self._decided(
                taken, retries.set_back(event.tried, taken.policy, self._world.now(), chance), error=error
            )
            return False
        taken.event = ran(event)
        if done.outcome.error:
            await self._decided(taken, retries.failed(event.tried, taken.policy, self._world.now()), done)
        else:
            await self._through(taken, retries.SUCCESS, done)
        return True

    def _find(self, where: Where, event: Event) -> Target | None:
        """None when there is no function of that name, or not what the caller named of it."""
        try:
            return self._invoker.find(where.account, where.region, where.function, event.qualifier)
        except ApiError:
            return None

    async def _orphaned(self, where: Where, number: int, event: Event, body: bytes) -> None:
        """That there is nothing to run counts as a run that failed, as on AWS: it is tried again, by the event's will."""
        left = event.will or Will()
        verdict = retries.failed(event.tried, Policy(left.attempts, left.age), self._world.now())
        if verdict.again is not None:
            later = msgspec.structs.replace(event, tried=verdict.again)
            await self._write(where, number, later, body)
            self._add(where, number, later)
            return
        self._count(where, event, meters.DROPPED)
        to = heirs(left)
        if not to:
            self._forget(where, number)
            return
        told = msgspec.structs.replace(ran(event), outcome=verdict.condition)
        await self._write(where, number, told, encode(Letter(body, None, "", "", NOT_FOUND, to, left.role)))
        await self._deliver(where, number, told)

    def _config(self, where: Where, qualifier: str) -> EventInvokeSpec | None:
        """What is said of the unqualified function holds for ``$LATEST.PUBLISHED``, too, which it leads to."""
        named = qualifier or LATEST
        for qualifier in (named, LATEST) if named == PUBLISHED else (named,):
            found = self._store.get(EVENT_INVOKE, where.account, where.region, qualified(where.function, qualifier))
            if found is not None:
                return found.spec
        return None

    async def _decided(
        self, taken: Taken, verdict: Verdict, done: Done | None = None, error: ApiError | None = None
    ) -> None:
        """A crash before that is on disk would forget how often it was tried, nothing else: but no event runs for ever."""
        if verdict.again is None:
            await self._through(taken, verdict.condition, done, 200 if error is None else status_of(error))
            return
        later = msgspec.structs.replace(taken.event, tried=verdict.again)
        await self._write(taken.where, taken.number, later, taken.body)
        self._add(taken.where, taken.number, later)

    # ------------------------------------------------------------------ out

    async def _through(self, taken: Taken, condition: str, done: Done | None = None, status: int = 200) -> None:
        """Tell whoever is to be told, if anybody is."""
        version = "" if done is None else done.version
        if condition != retries.SUCCESS:
            self._count(taken.where, taken.event, meters.DROPPED)
        to = addresses(taken, condition, version)
        if not to:
            self._forget(taken.where, taken.number)
            return
        outcome = None if done is None else done.outcome
        letter = Letter(
            taken.body,
            None if outcome is None else outcome.payload,
            version,
            "" if outcome is None else outcome.error,
            status,
            to,
            taken.target.role(version),
        )
        told = msgspec.structs.replace(taken.event, outcome=condition)
        await self._write(taken.where, taken.number, told, encode(letter))
        await self._deliver(taken.where, taken.number, told)

    async def _deliver(self, where: Where, number: int, event: Event) -> None:
        body = self._records.bodies(where.shelf, [number])[0]
        if body is None or self._courier is None:
            return
        letter = decode_letter(body)
        left: list[tuple[str, str]] = []
        for kind, arn in letter.to:
            try:
                await self._courier.carry(where, event, letter, kind, arn)
            except Temporary as later:
                self._undelivered(where, event, kind)
                log.warning("%s of %s, %s: %s", kind, event.arn, arn, later.reason)
                left.append((kind, arn))
            except Exception as error:
                self._undelivered(where, event, kind)
                log.error("%s of %s is lost, %s refuses it: %s", kind, event.arn, arn, error)
        if not left or event.deliveries + 1 >= MOST_DELIVERIES:
            self._forget(where, number)
            return
        again = retries.set_back(Tried(self._world.now(), 0, event.deliveries), Policy(), self._world.now()).again
        assert again is not None
        later_event = msgspec.structs.replace(
            event, deliveries=event.deliveries + 1, tried=msgspec.structs.replace(event.tried, due=again.due)
        )
        await self._write(where, number, later_event, encode(msgspec.structs.replace(letter, to=tuple(left))))
        self._add(where, number, later_event)

    def _undelivered(self, where: Where, event: Event, kind: str) -> None:
        if kind != STATUS:
            self._count(where, event, meters.LETTER_ERRORS if kind == DEAD_LETTER else meters.DESTINATION_FAILURES)

    def _count(self, where: Where, event: Event, name: str, value: float = 1.0) -> None:
        place = meters.place(where.function, event.qualifier)
        self._invoker.meter_at(where.account, where.region, place, name, value)

    def _forget(self, where: Where, number: int) -> None:
        """Nobody waits for that: after a crash before it is on disk the event runs once more."""
        self._records.write([Take(where.shelf, number)], _logged)


def _logged(error: Exception | None) -> None:
    if error is not None:
        log.error("an event that is through cannot be taken off the disk: %s", error)
