"""ReceiveRequestAttemptId: who lost the answer to a ReceiveMessage asks again and gets the same messages."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from havre.core.queueing.dedup import WINDOW
from havre.core.queueing.message import IN_FLIGHT, Message


class Attempts:
    def __init__(self) -> None:
        self._known: dict[str, tuple[int, tuple[tuple[int, int, int], ...]]] = {}
        self._order: deque[tuple[int, str]] = deque()

    def note(self, attempt: str, given: Sequence[Message], now: int) -> None:
        while self._order and now - self._order[0][0] >= WINDOW:
            at, old = self._order.popleft()
            if old in self._known and self._known[old][0] == at:
                del self._known[old]
        self._known[attempt] = (now, tuple((m.id, m.received, m.due) for m in given))
        self._order.append((now, attempt))

    def again(self, attempt: str, messages: Mapping[int, Message], now: int) -> Sequence[Message] | None:
        """What that attempt was given, if it was within five minutes and none of it has been touched since."""
        known = self._known.get(attempt)
        if known is None or now - known[0] >= WINDOW:
            return None
        given = []
        for id, received, due in known[1]:
            message = messages.get(id)
            if message is None or message.state != IN_FLIGHT or (message.received, message.due) != (received, due):
                return None
            given.append(message)
        return given
