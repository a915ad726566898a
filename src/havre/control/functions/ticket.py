"""One invocation on the node: what was asked, and the way of its answer to the server."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from havre.control.functions import messages as m
from havre.control.functions.wire import Frames
from havre.kernel.function import Outcome


class Ticket:
    """``pool`` is where it waits, or runs. ``on_room`` is called when a stream may go on, ``on_done`` at its end."""

    __slots__ = ("_credit", "_headed", "asked", "done", "frames", "id", "on_done", "on_room", "pool")

    def __init__(self, asked: m.Invoke, frames: Frames, pool: str) -> None:
        self.id = asked.id
        self.asked = asked.invocation
        self.frames = frames
        self.pool = pool
        self.done = False
        self.on_room: Callable[[], None] | None = None
        self.on_done: Callable[[Ticket], None] | None = None
        self._credit = m.WINDOW
        self._headed = False

    def refuse(self, reason: str, after: float) -> None:
        """It was not begun. ``after`` -1: nothing helps."""
        if not self.done:
            self._end()
            self.frames.send(m.Refused(self.id, reason, after))

    def _end(self) -> None:
        self.done = True
        if self.on_done is not None:
            self.on_done(self)

    def finish(self, outcome: Outcome) -> None:
        """A function that answers in one piece to a caller who wants a stream: one piece."""
        if self.done:
            return
        self._end()
        if self.asked.streaming and not outcome.error:
            if not self._headed:
                self.head(outcome.content_type)
                self.frames.send(m.Piece(self.id, outcome.payload))
            outcome = _without_payload(outcome)
        self.frames.send(m.Result(self.id, outcome))

    def extended(self, function: str, duration: float) -> None:
        """Extensions are done with it, ``duration`` milliseconds after the function."""
        self.frames.send(m.Extended(function, self.asked.arn, duration))

    # --- streams
    def head(self, content_type: str) -> None:
        if not self._headed:
            self._headed = True
            self.frames.send(m.Head(self.id, content_type))

    def piece(self, data: bytes) -> bool:
        """Whether there is room for more."""
        self._credit -= len(data)
        if not self.done:
            self.frames.send(m.Piece(self.id, data))
        return self._credit > 0

    def taken(self, size: int) -> None:
        self._credit += size
        if self._credit > 0 and self.on_room is not None:
            self.on_room()

    def abandon(self) -> None:
        """Nobody listens: what still comes is thrown away, and need not wait for anyone."""
        self.done = True
        self.taken(1 << 40)


def _without_payload(outcome: Outcome) -> Outcome:
    return msgspec.structs.replace(outcome, payload=b"")
