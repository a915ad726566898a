"""One queue: its messages, and what may be done with them at which time."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from havre.core.queueing.message import DELAYED, IN_FLIGHT, VISIBLE, Message
from havre.core.queueing.order import Loose, Order, Strict

LONGEST_HIDDEN = 43_200_000
"""Milliseconds from its receipt for which a message can be in flight: 12 hours."""
_SLACK = 1000
"""Outdated entries that a heap may have beyond twice what lives."""


class Missing(Exception):
    """There is no such message, or somebody else has received it since."""


class NotInFlight(Exception):
    """The message is there, but nobody has it."""


class Expired(Exception):
    """The receipt is no longer good: the message's visibility timeout is over."""


class TooLong(Exception):
    """The message would be in flight for more than 12 hours."""


class Received(NamedTuple):
    """``dead`` have been received as often as they may: they are removed, to go elsewhere."""

    given: Sequence[Message]
    dead: Sequence[Message]


class Queue:
    """Give it the time with each call; it does not run by itself. Reads of ``messages`` are free for all, writes are not."""

    def __init__(self, fifo: bool = False) -> None:
        self.fifo = fifo
        self.messages: dict[int, Message] = {}
        self._order: Order = Strict(self.messages) if fifo else Loose(self.messages)
        self._counts = [0, 0, 0]
        self._timers: list[tuple[int, int]] = []
        self._ages: list[tuple[int, int]] = []

    @property
    def visible(self) -> int:
        return self._counts[VISIBLE]

    @property
    def delayed(self) -> int:
        return self._counts[DELAYED]

    @property
    def in_flight(self) -> int:
        return self._counts[IN_FLIGHT]

    def add(self, message: Message, now: int) -> None:
        """A new one, or one that was removed and could not be let go: delayed when it is due later than ``now``. One whose
        id is there already is not added."""
        if message.id in self.messages:
            return
        message.state = DELAYED if message.due > now else VISIBLE
        self.messages[message.id] = message
        self._counts[message.state] += 1
        if message.state == DELAYED:
            self._remind(message)
        heappush(self._ages, (message.sent, message.id))
        self._order.add(message)

    def tick(self, now: int) -> int:
        """Show what is due by now; gives how many have become visible."""
        timers, shown = self._timers, 0
        while timers and timers[0][0] <= now:
            due, id = heappop(timers)
            message = self.messages.get(id)
            if message is not None and message.due == due and message.state != VISIBLE:
                self._show(message)
                shown += 1
        return shown

    def next_due(self) -> int | None:
        """When the next one becomes visible by itself; may be too early, never too late."""
        return self._timers[0][0] if self._timers else None

    def receive(self, now: int, most: int, hidden: int, lives: int = 0) -> Received:
        """Up to ``most`` messages, in flight for ``hidden`` milliseconds from now on. With ``lives``, one that has been
        received so often already is dead."""
        self.tick(now)
        given: list[Message] = []
        dead: list[Message] = []
        order = self._order
        while len(given) < most and (message := order.take()) is not None:
            if lives and message.received >= lives:
                self._drop(message)
                dead.append(message)
                continue
            message.received += 1
            message.first_received = message.first_received or now
            message.taken = now
            self._hide(message, now + hidden)
            given.append(message)
        order.taken()
        for message in given:
            if hidden == 0:
                self._show(message)
        return Received(given, dead)

    def delete(self, id: int, receipt: int, now: int) -> Message | None:
        """Remove what was received as the ``receipt``th time; None when there is nothing to remove.

        A standard queue passes over a receipt that somebody else's has replaced. A FIFO queue raises Expired for one whose
        time is over, unless it is from before a crash and nobody has received the message since.
        """
        self.tick(now)
        message = self.messages.get(id)
        if message is None:
            return None
        if receipt < message.received or (self.fifo and receipt == message.received and message.state != IN_FLIGHT):
            if self.fifo:
                raise Expired
            return None
        self._drop(message)
        return message

    def change(self, id: int, receipt: int, hidden: int, now: int) -> Message:
        """Hide for ``hidden`` milliseconds from now on; 0 shows it at once. In a standard queue any receipt of the message
        is good for that, and what it shows again can be hidden still. Raises Missing, NotInFlight, TooLong."""
        self.tick(now)
        message = self.messages.get(id)
        if message is None or (self.fifo and receipt < message.received):
            raise Missing
        if message.state != IN_FLIGHT and (self.fifo or message.state != VISIBLE or not message.received):
            raise NotInFlight
        if now + hidden > (message.taken or now) + LONGEST_HIDDEN:
            raise TooLong
        if hidden:
            self._hide(message, now + hidden)
        elif message.state == IN_FLIGHT:
            self._show(message)
        return message

    def hide_again(self, messages: Sequence[Message], hidden: int, now: int) -> None:
        """Messages in flight start their timeout anew."""
        for message in messages:
            message.due = now + hidden
            self._remind(message)

    def expire(self, before: int, most: int = 1000) -> Sequence[Message]:
        """Remove up to ``most`` messages that were sent before that time."""
        gone: list[Message] = []
        ages = self._ages
        while ages and ages[0][0] < before and len(gone) < most:
            message = self.messages.get(heappop(ages)[1])
            if message is not None:
                self._drop(message)
                gone.append(message)
        return gone

    def remove(self, id: int) -> Message | None:
        """Remove it whatever its state."""
        message = self.messages.get(id)
        if message is not None:
            self._drop(message)
        return message

    def clear(self) -> int:
        """Remove all; gives the highest id that there was, 0 for none."""
        last = max(self.messages, default=0)
        self.messages.clear()
        self._counts[:] = [0, 0, 0]
        self._timers.clear()
        self._ages.clear()
        self._order = Strict(self.messages) if self.fifo else Loose(self.messages)
        return last

    def _hide(self, message: Message, due: int) -> None:
        self._enter(message, IN_FLIGHT)
        message.due = due
        self._remind(message)

    def _show(self, message: Message) -> None:
        before = message.state
        self._enter(message, VISIBLE)
        self._order.show(message, before)

    def _enter(self, message: Message, state: int) -> None:
        self._counts[message.state] -= 1
        self._counts[state] += 1
        message.state = state

    def _drop(self, message: Message) -> None:
        del self.messages[message.id]
        self._counts[message.state] -= 1
        self._order.leave(message)
        if len(self._ages) > 2 * len(self.messages) + _SLACK:
            self._ages = [(m.sent, m.id) for m in self.messages.values()]
            heapify(self._ages)

    def _remind(self, message: Message) -> None:
        heappush(self._timers, (message.due, message.id))
        if len(self._timers) > 2 * (self.delayed + self.in_flight) + _SLACK:
            self._timers = [(m.due, m.id) for m in self.messages.values() if m.state != VISIBLE]
            heapify(self._timers)
