"""Deduplication of FIFO queues: who sends the same id again within five minutes is told of the first message."""

from __future__ import annotations

from collections import deque

import msgspec

WINDOW = 300_000
"""Milliseconds."""


class Sent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The first message of a deduplication id: when it was sent, and what its sender was told."""

    key: str
    at: int
    message_id: str
    number: int


class Deduplication:
    def __init__(self) -> None:
        self._known: dict[str, Sent] = {}
        self._order: deque[tuple[int, Sent]] = deque()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key: str, now: int) -> Sent | None:
        known = self._known.get(key)
        return known if known is not None and now - known.at < WINDOW else None

    def note(self, mark: int, sent: Sent) -> None:
        """``mark`` is the number by which the owner keeps the entry; marks rise."""
        self._known[sent.key] = sent
        self._order.append((mark, sent))

    def forget(self, sent: Sent) -> None:
        """It was not sent after all."""
        if self._known.get(sent.key) is sent:
            del self._known[sent.key]

    def expire(self, now: int) -> int:
        """Drop what is over; gives the last mark that is over, 0 when none is."""
        mark = 0
        while self._order and now - self._order[0][1].at >= WINDOW:
            mark, sent = self._order.popleft()
            self.forget(sent)
        return mark
