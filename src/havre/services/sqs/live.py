"""A queue in this process: the decisions of core.queueing, who waits for messages, what receivers ask and senders hear."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import NamedTuple

from havre.core.queueing import Attempts, Deduplication, Queue

SHELVES = "sqs/"
"""What the names of all shelves of this service begin with."""


class Live:
    """``shelf`` has the messages, ``counts`` how often those have been received that were not deleted after the first
    time, ``memory`` the deduplication ids of the last five minutes. ``counted``: messages that ``counts`` tells of."""

    __slots__ = (
        "alarm", "alarm_due", "attempts", "counted", "counts", "dedup", "gone", "loading", "memory", "pending", "queue",
        "shelf", "uid", "waiting",
    )  # fmt: skip

    def __init__(self, uid: str, fifo: bool) -> None:
        self.uid = uid
        self.shelf = f"{SHELVES}{uid}"
        self.counts = f"{SHELVES}{uid}/counts"
        self.memory = f"{SHELVES}{uid}/sent"
        self.queue = Queue(fifo)
        self.dedup = Deduplication()
        self.attempts = Attempts()
        self.counted: set[int] = set()
        self.pending: dict[str, asyncio.Future[None]] = {}
        """Deduplication id → done when its first message is durable."""
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.loading: asyncio.Task[None] | None = None
        self.alarm: asyncio.TimerHandle | None = None
        self.alarm_due = 0
        self.gone = False

    def wake(self, count: int) -> None:
        """As many of those who wait as there is something for, first come first served."""
        waiting = self.waiting
        while count > 0 and waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(None)
                count -= 1

    def set_alarm(self, now: int) -> None:
        """While somebody waits, one of them is woken when the next message becomes visible by itself. ``now`` in
        milliseconds; to be called whenever that time may have changed."""
        due = self.queue.next_due() if self.waiting else None
        if due is None or (self.alarm is not None and self.alarm_due <= due):
            return
        if self.alarm is not None:
            self.alarm.cancel()
        self.alarm_due = due
        self.alarm = asyncio.get_running_loop().call_later(max(1, due - now) / 1000, self._ring)

    def _ring(self) -> None:
        self.alarm = None
        self.wake(1)

    def wake_all(self) -> None:
        self.wake(len(self.waiting))

    async def sleep(self, until: int, now: int) -> None:
        """Until there may be something, or the time is over (both in milliseconds)."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        self.set_alarm(now)
        try:
            async with asyncio.timeout((until - now) / 1000):
                await future
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.wake(1)  # what it was woken for is another's now
            raise
        finally:
            with suppress(ValueError):  # who was woken is not there any more
                self.waiting.remove(future)


class Ask(NamedTuple):
    """A ReceiveMessage. ``hidden`` and ``wait`` in milliseconds. Messages that have been received ``lives`` times (0: for
    ever) go to ``target``, with ``source`` as the ARN that they come from. What was sent more than ``retention``
    milliseconds ago is no more."""

    most: int
    hidden: int
    wait: int
    retention: int
    lives: int = 0
    target: Live | None = None
    source: str = ""
    attempt: str = ""


class Told(NamedTuple):
    """What a sender is told."""

    message_id: str
    number: int


def milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
