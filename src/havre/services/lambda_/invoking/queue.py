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
from havre.core.invoking import retries
from havre.core.invoking.retries import Policy, Tried, Verdict
from havre.kernel.errors import ApiError, Temporary
from havre.kernel.function import Invocation
from havre.kernel.world import World
from havre.services.lambda_.invoking.events import (
    SHELVES,
    Event,
    Letter,
    Where,
    decode_event,
    decode_letter,
    encode,
)
from havre.services.lambda_.invoking.invoker import Done, Invoker
from havre.services.lambda_.invoking.line import Line
from havre.services.lambda_.invoking.targets import Target
from havre.services.lambda_.resources import EVENT_INVOKE, LATEST, EventInvokeSpec, qualified
from havre.store.ports import Put, Reader, Records, Take

log = logging.getLogger("havre.lambda")

LOADED = 1000
THROTTLED, SERVICE = 429, 500
DESTINATION, DEAD_LETTER = "destination", "dead-letter"
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
        self.progress: float | None = None

    # ------------------------------------------------------------------ in

    async def put(self, target: Target, request_id: str, payload: bytes, trace: str, tenant: str) -> None:
        """Returns when the event is on disk. Raises Temporary when the disk refuses."""
        where = Where.target(target)
        uid = target.resolved.function.spec.uid
        tried = Tried(self._world.now())
        event = Event(request_id, target.qualifier, target.arn, uid, tried, trace, tenant, len(payload))
        number = self._records.number(where.shelf)
        await self._write(where, number, event, payload)
        self._add(where, number, event)

    def letter(self, where: Where, event: Event, letter: Letter) -> tuple[Put, Callable[[], None]]:
        """Of an event that is through elsewhere: the record, for whoever writes it together with something else, and what to
        call when it is durable."""
        number = self._records.number(where.shelf)
        return Put(where.shelf, number, encode(event), encode(letter)), lambda: self._add(where, number, event)

    async def _write(self, where: Where, number: int, event: Event, body: bytes) -> None:
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: Exception | None) -> None:
            if durable.done():
                return
            if error is None:
                durable.set_result(None)
            else:
                durable.set_exception(error)

        self._records.write([Put(where.shelf, number, encode(event), body)], done)
        await durable

    def _add(self, where: Where, number: int, event: Event) -> None:
        line = self._lines.get(where)
        if line is None:
            line = self._lines[where] = Line(where)
        line.add(number, event, self._world.now())
        if self._courier is not None:
            self._pump(line)

    def waiting(self, where: Where) -> int:
        """Events of this function that are not through."""
        line = self._lines.get(where)
        return 0 if line is None else len(line)

    # ------------------------------------------------------------------ the loop

    async def run(self, courier: Courier) -> None:
        """Until cancelled. What was kept before the start is begun first."""
        self._lines.clear()
        for shelf in self._records.shelves(SHELVES):
            await self._load(Where.of(shelf))
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
                line.add(number, decode_event(head), self._world.now())
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
        except Temporary as refused:  # the disk: the event is as it was, and is tried again
            log.warning("an event of %s is set back: %s", line.where.function, refused.reason)
            line.add(number, _due(event, self._world.now() + refused.after), self._world.now())
        finally:
            self.progress = self._world.now()
            line.ended(ran)
            if not len(line):
                self._lines.pop(line.where, None)
            if self._courier is not None:
                self._pump(line)

    # ------------------------------------------------------------------ one event

    async def _try(self, line: Line, number: int, event: Event) -> bool:
        """Gives whether the function was run."""
        where = line.where
        target = self._find(where, event)
        if target is None:
            self._forget(where, number)
            return False
        spec = self._config(where, event)
        policy = policy_of(spec)
        if target.resolved.function.spec.reserved == 0:
            await self._through(where, number, event, spec, retries.ZERO_CONCURRENCY, None)
            return False
        if retries.expired(event.tried, policy, self._world.now()):
            await self._through(where, number, event, spec, retries.EVENT_AGE_EXCEEDED, None)
            return False
        payload = self._records.bodies(where.shelf, [number])[0] or b""
        try:
            done = await self._invoker.invoke(target, _invocation(event, payload), synchronous=False)
        except ApiError as error:
            line.held_up(self._world.now())
            await self._set_back(where, number, event, spec, error)
            return False
        tried = _ran(event)
        if not done.outcome.error:
            await self._through(where, number, tried, spec, retries.SUCCESS, done)
            return True
        verdict = retries.failed(event.tried, policy, self._world.now())
        await self._decided(where, number, tried, spec, verdict, done)
        return True

    def _find(self, where: Where, event: Event) -> Target | None:
        """None when the function, or what the caller named of it, is gone: nobody can say what to do with the event."""
        try:
            target = self._invoker.find(where.account, where.region, where.function, event.qualifier)
        except ApiError:
            return None
        return target if target.resolved.function.spec.uid == event.uid else None

    def _config(self, where: Where, event: Event) -> EventInvokeSpec | None:
        name = qualified(where.function, event.qualifier or LATEST)
        found = self._store.get(EVENT_INVOKE, where.account, where.region, name)
        return None if found is None else found.spec

    async def _set_back(
        self, where: Where, number: int, event: Event, spec: EventInvokeSpec | None, error: ApiError
    ) -> None:
        chance = self._world.chance.random()
        verdict = retries.set_back(event.tried, policy_of(spec), self._world.now(), chance)
        await self._decided(where, number, event, spec, verdict, None, _status(error))

    async def _decided(
        self,
        where: Where,
        number: int,
        event: Event,
        spec: EventInvokeSpec | None,
        verdict: Verdict,
        done: Done | None,
        status: int = 200,
    ) -> None:
        if verdict.again is None:
            await self._through(where, number, event, spec, verdict.condition, done, status)
            return
        later = msgspec.structs.replace(event, tried=verdict.again)
        await self._keep(where, number, later)
        self._add(where, number, later)

    async def _keep(self, where: Where, number: int, event: Event) -> None:
        """A crash would forget how often it was tried, nothing else: but an event is not to run for ever."""
        body = self._records.bodies(where.shelf, [number])[0] or b""
        await self._write(where, number, event, body)

    # ------------------------------------------------------------------ out

    async def _through(
        self,
        where: Where,
        number: int,
        event: Event,
        spec: EventInvokeSpec | None,
        condition: str,
        done: Done | None,
        status: int = 200,
    ) -> None:
        to = self._addresses(where, event, spec, condition, done)
        if not to:
            self._forget(where, number)
            return
        payload = self._records.bodies(where.shelf, [number])[0] or b""
        role = self._role(where, event, done)
        outcome = None if done is None else done.outcome
        letter = Letter(
            payload,
            None if outcome is None else outcome.payload,
            "" if done is None else done.version,
            "" if outcome is None else outcome.error,
            status,
            to,
            role,
        )
        told = msgspec.structs.replace(event, outcome=condition)
        await self._write(where, number, told, encode(letter))
        await self._deliver(where, number, told)

    def _addresses(
        self, where: Where, event: Event, spec: EventInvokeSpec | None, condition: str, done: Done | None
    ) -> tuple[tuple[str, str], ...]:
        if condition == retries.SUCCESS:
            arn = spec.on_success if spec is not None else None
            return ((DESTINATION, arn),) if arn else ()
        found: list[tuple[str, str]] = []
        if spec is not None and spec.on_failure:
            found.append((DESTINATION, spec.on_failure))
        target = self._find(where, event)
        letters = None if target is None else target.dead_letter(done.version if done is not None else "")
        if letters:
            found.append((DEAD_LETTER, letters))
        return tuple(found)

    def _role(self, where: Where, event: Event, done: Done | None) -> str:
        target = self._find(where, event)
        return "" if target is None else target.role(done.version if done is not None else "")

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
                log.warning("%s of %s, %s: %s", kind, event.arn, arn, later.reason)
                left.append((kind, arn))
            except Exception as error:
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

    def _forget(self, where: Where, number: int) -> None:
        """Nobody waits for that: after a crash before it is on disk the event runs once more."""
        self._records.write([Take(where.shelf, number)], _logged)


def policy_of(spec: EventInvokeSpec | None) -> Policy:
    if spec is None:
        return Policy()
    return Policy(
        retries.MOST_ATTEMPTS if spec.retries is None else spec.retries,
        retries.LONGEST_AGE if spec.age is None else spec.age,
    )


def _invocation(event: Event, payload: bytes) -> Invocation:
    return Invocation(event.request_id, event.arn, payload, trace=event.trace, tenant=event.tenant)


def _ran(event: Event) -> Event:
    tried = msgspec.structs.replace(event.tried, runs=event.tried.runs + 1)
    return msgspec.structs.replace(event, tried=tried)


def _due(event: Event, due: float) -> Event:
    return msgspec.structs.replace(event, tried=msgspec.structs.replace(event.tried, due=due))


def _status(error: ApiError) -> int:
    if error.code == "TooManyRequestsException":
        return THROTTLED
    return error.status or SERVICE


def _logged(error: Exception | None) -> None:
    if error is not None:
        log.error("an event that is through cannot be taken off the disk: %s", error)
