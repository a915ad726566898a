"""Records of one lane of a shard, in order, in batches, to the function."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from havre.core.event_sources import windows
from havre.core.event_sources.retries import Limits, Part, Step, StreamRecord, after, before, wait
from havre.core.event_sources.verdict import Verdict, of_answer, whole
from havre.core.event_sources.windows import Window
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.lambda_.sources.counts import DROPPED, FAILED_INVOKE, INVOKED, ITERATOR_AGE
from havre.services.lambda_.sources.given_up import Loss, tell
from havre.services.lambda_.sources.source import FAILED, MOST_BYTES, OK, Invoked, problem

if TYPE_CHECKING:
    from havre.services.lambda_.sources.shard import ShardWorker

_LATE = 1.0
"""Seconds for which a window stays open behind its end, for records that are on their way."""
_LONGEST_WAIT = 30.0


class Lane:
    """``window`` is the open tumbling window."""

    def __init__(self, worker: ShardWorker, info: str) -> None:
        self._worker = worker
        self._source = worker.source
        self._access = worker.access
        self._turns = worker.turns
        self._info = info
        self._waiting: deque[StreamRecord] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._busy = False
        self.window: Window | None = None

    async def put(self, record: StreamRecord) -> None:
        """Waits while the lane has two batches of work."""
        while len(self._waiting) >= 2 * self._source.batch:
            self._room.clear()
            await self._room.wait()
        self._waiting.append(record)
        self._changed.set()

    async def drained(self) -> None:
        """Returns when everything has been dealt with, an open window included."""
        while self._waiting or self._busy or self.window is not None:
            self._room.clear()
            await self._room.wait()

    async def run(self) -> None:
        """For ever."""
        while True:
            batch = await self._gather()
            self._busy = True
            if batch:
                await self._work(batch)
            elif self.window is not None:
                await self._close_window()
            self._busy = False
            self._room.set()

    # --- what comes next
    async def _gather(self) -> tuple[StreamRecord, ...]:
        """A batch; empty when the window is over."""
        await self._first()
        if self._source.window and self._waiting:
            await self._fill(self._access.now() + self._source.window)
        if self._source.tumbling and self._waiting:
            if self.window is None:
                self.window = windows.window_of(self._waiting[0].arrived, self._source.tumbling)
            elif self._waiting[0].arrived >= self.window.end:
                return ()
        return self._take()

    async def _first(self) -> None:
        """Until there is a record, or the window is over."""
        while not self._waiting:
            left = None if self.window is None else self.window.end + _LATE - self._access.now()
            if left is not None and left <= 0:
                return
            await self._await_change(left)

    async def _fill(self, until: float) -> None:
        while len(self._waiting) < self._source.batch and (left := until - self._access.now()) > 0:
            await self._await_change(left)

    async def _await_change(self, seconds: float | None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    def _take(self) -> tuple[StreamRecord, ...]:
        most = min(self._source.batch, len(self._waiting))
        if self.window is not None:
            most = windows.head([self._waiting[n] for n in range(most)], self.window)
        taken: list[StreamRecord] = []
        size = 0
        while len(taken) < most and (not taken or size + self._waiting[0].size < MOST_BYTES - 4096):
            size += self._waiting[0].size
            taken.append(self._waiting.popleft())
        return tuple(taken)

    # --- what is done with it
    async def _work(self, batch: tuple[StreamRecord, ...]) -> None:
        parts = deque([Part(batch)])
        while parts:
            part = parts.popleft()
            await asyncio.sleep(wait(part.tries))
            async with self._turns:
                parts.extendleft(reversed(await self._try(part)))
        if self.window is not None and _too_large(self.window):
            await self._close_window(early=True)

    async def _try(self, part: Part) -> tuple[Part, ...]:
        """What is to be tried next of it."""
        aged = before(part, self._source.limits, self._access.now())
        await self._settle(aged, None, part)
        if not aged.again:
            return ()
        part = aged.again[0]
        invoked, verdict = await self._hand_over(part)
        if verdict.failed and invoked is not None:
            self._access.count(FAILED_INVOKE, len(verdict.failed))
        step = after(part, verdict, self._source.limits)
        self._access.report(OK if verdict.ok else FAILED)
        if verdict.ok and self.window is not None and invoked is not None:
            self.window = _carry(self.window, invoked.payload)
        await self._settle(step, invoked, part)
        return step.again

    async def _settle(self, step: Step, invoked: Invoked | None, part: Part) -> None:
        if step.lost and self._source.on_failure:
            loss = Loss(step.lost, step.why, part.tries + 1, self._worker.shard, self._info, invoked)
            await tell(self._source, self._access, loss, self._turns.pause)
        elif step.lost:
            self._access.count(DROPPED, len(step.lost))
        if step.done:
            await self._worker.end(step.done, self.window)

    async def _hand_over(self, part: Part) -> tuple[Invoked | None, Verdict]:
        """None for an invocation that did not come about for too long: its records have become too old."""
        event: dict[str, Any] = {"Records": [r.event for r in part.records]}
        if self.window is not None:
            event |= self._of_window(final=False)
        invoked = await self._invoke(event, part, self._source.limits)
        if invoked is None or invoked.error:
            return invoked, whole(len(part.records))
        if not self._source.partial:
            return invoked, Verdict()
        return invoked, of_answer(invoked.payload, [r.sequence for r in part.records])

    async def _invoke(self, event: dict[str, Any], part: Part | None, limits: Limits) -> Invoked | None:
        """A function that has no room, or cannot run, is asked again, until the records are too old."""
        pause = 0.25
        count = len(event["Records"])
        while True:
            if part is not None:
                age = max(0.0, self._access.now() - part.records[-1].arrived)
                self._access.measure(ITERATOR_AGE, age * 1000, "Milliseconds")
            self._access.count(INVOKED, count)
            try:
                return await self._access.invoke(event)
            except Temporary as passing:
                self._access.report(FAILED)
                pause = max(min(_LONGEST_WAIT, 2 * pause), passing.after)
            except (ApiError, Permanent) as refusal:
                self._access.report(problem(getattr(refusal, "message", "") or str(refusal)))
                pause = min(_LONGEST_WAIT, 2 * pause)
            self._access.count(FAILED_INVOKE, count)
            await self._turns.pause(pause)
            if part is not None and not before(part, limits, self._access.now()).again:
                return None

    async def _close_window(self, early: bool = False) -> None:
        async with self._turns:
            await self._hand_over_window(early)

    async def _hand_over_window(self, early: bool) -> None:
        event = {"Records": [], **self._of_window(final=True, early=early)}
        tries = 0
        while True:
            invoked = await self._invoke(event, None, Limits())
            if invoked is not None and not invoked.error:
                break
            self._access.report(FAILED)
            if 0 <= self._source.limits.attempts <= tries:
                break
            tries += 1
            await self._turns.pause(wait(tries))
        self.window = None
        await self._worker.end((), None)

    def _of_window(self, *, final: bool, early: bool = False) -> dict[str, Any]:
        assert self.window is not None
        told = windows.members(self.window, final=final, early=early)
        return {**told, "shardId": self._worker.shard, "eventSourceARN": self._source.arn}


def _carry(window: Window, payload: bytes) -> Window:
    """With the state that the function has answered; what is none leaves it empty, as a function that keeps none wants."""
    try:
        answer = json.loads(payload) if payload.strip() else None
    except ValueError:
        answer = None
    return replace(window, state=answer.get("state") if isinstance(answer, dict) else None)


def _too_large(window: Window) -> bool:
    return len(json.dumps(window.state)) > windows.MOST_STATE
