"""Streams of messages that arrive once and in order, however often and in whatever order they come.

What is sent stays here until it is acknowledged, and the oldest is sent again when that takes longer than it usually does. A
client that cannot use a message yet says nothing, and waits to get it again: so that is no rare case.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from havre.core.data_channel.messages import Message

WINDOW = 256
"""Messages that may be under way; with more, whoever makes them has to wait."""
AHEAD = 256
"""Messages kept that came before their time."""
_FIRST, _SHORTEST, _LONGEST = 0.2, 0.11, 1.0
_MARGIN = 0.01


class Outgoing:
    """Times are in seconds of any clock that only goes forwards."""

    def __init__(self) -> None:
        self._next = 0
        self._unacknowledged: OrderedDict[int, tuple[bytes, float, bool]] = OrderedDict()
        """Number → packed message, when it was sent last, whether that was again."""
        self._trip, self._variation = 0.1, 0.0
        self._timeout = _FIRST
        self.stuck_since: float | None = None
        """Since when nothing has been acknowledged though something should be."""

    @property
    def number(self) -> int:
        """Of the next message."""
        return self._next

    @property
    def room(self) -> bool:
        return len(self._unacknowledged) < WINDOW

    @property
    def settled(self) -> bool:
        return not self._unacknowledged

    def sent(self, packed: bytes, now: float) -> None:
        """The message of the next number has been sent."""
        if self.stuck_since is None:
            self.stuck_since = now
        self._unacknowledged[self._next] = (packed, now, False)
        self._next += 1

    def acknowledged(self, number: int, now: float) -> None:
        """Of a number that is none of ours, or was acknowledged before: nothing."""
        found = self._unacknowledged.pop(number, None)
        if found is None:
            return
        self.stuck_since = now if self._unacknowledged else None
        _, at, again = found
        if not again:  # of one that was sent twice nobody knows which was acknowledged
            self._learn(now - at)

    def _learn(self, took: float) -> None:
        self._variation = 0.75 * self._variation + 0.25 * abs(self._trip - took)
        self._trip = 0.875 * self._trip + 0.125 * took
        wanted = self._trip + max(_MARGIN, 4 * self._variation)
        self._timeout = min(max(wanted, _SHORTEST), _LONGEST)

    def due(self, now: float) -> bytes | None:
        """What is to be sent again now."""
        for number, (packed, at, _) in self._unacknowledged.items():
            if now - at < self._timeout:
                return None
            self._unacknowledged[number] = (packed, now, True)
            return packed
        return None


class Incoming:
    def __init__(self) -> None:
        self._expected = 0
        self._early: dict[int, Message] = {}

    def take(self, message: Message, room: bool = True) -> tuple[bool, Sequence[Message]]:
        """Whether to acknowledge it, and what is there now to be used, in order. Without ``room`` nothing new is taken: the
        client sends it again."""
        number = message.number
        if number < self._expected:
            return True, ()
        if not room:
            return False, ()
        if number > self._expected:
            if number not in self._early and len(self._early) >= AHEAD:
                return False, ()
            self._early.setdefault(number, message)
            return True, ()
        found = [message]
        self._expected += 1
        self._early.pop(number, None)
        while (after := self._early.pop(self._expected, None)) is not None:
            found.append(after)
            self._expected += 1
        return True, found


def whole_characters(data: bytes) -> int:
    """How many of these bytes can be sent without cutting a character of UTF-8 in two; all where it is none."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 2 if byte >> 5 == 0b110 else 3 if byte >> 4 == 0b1110 else 4 if byte >> 3 == 0b11110 else 1
        cut = len(data) - back
        return cut if length > back else len(data)
    return len(data)
