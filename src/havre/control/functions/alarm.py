"""Moments that are not to be missed, with as few timers as can be: none is set or taken back for each invocation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

CONFIRM = 120.0
"""Seconds after which a server that has come back is taken to want nothing kept ready of what it has not spoken of."""


class Alarm:
    """``ring`` is called at the earliest moment that was asked for since it rang last. Times are ``steady``'s."""

    __slots__ = ("_due", "_ring", "_steady", "_timer")

    def __init__(self, steady: Callable[[], float], ring: Callable[[], None]) -> None:
        self._steady = steady
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def by(self, due: float) -> None:
        """At ``due`` at the latest; infinity asks for nothing."""
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
            self._timer = None
        if due < float("inf"):
            self._due = due
            self._timer = asyncio.get_running_loop().call_later(max(0.001, due - self._steady()), self._rung)

    def off(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _rung(self) -> None:
        self._timer = None
        self._ring()


class Deadline:
    """``passed`` is called when the last moment that was set has come. Where each is later than the one before, its timer
    is set anew only when it fires."""

    __slots__ = ("_due", "_passed", "_steady", "_timer", "at")

    def __init__(self, steady: Callable[[], float], passed: Callable[[], None]) -> None:
        self._steady = steady
        self._passed = passed
        self._timer: asyncio.TimerHandle | None = None
        self.at = self._due = 0.0

    def set(self, at: float) -> None:
        self.at = at
        if self._timer is not None and at < self._due:
            self.off()
        if self._timer is None:
            self._begin()

    def _begin(self) -> None:
        self._due = self.at
        self._timer = asyncio.get_running_loop().call_later(max(0.0, self.at - self._steady()), self._fired)

    def off(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fired(self) -> None:
        self._timer = None
        if self.at > self._steady():
            self._begin()
        else:
            self._passed()


class Confirming:
    """What is kept ready for a server that went: it stays, and is dropped when the one that comes back has not spoken of it
    within a while. Its end was told in a former life, or to nobody."""

    def __init__(self, drop: Callable[[str], None]) -> None:
        self.waiting: set[str] = set()
        self._drop = drop
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, ids: Iterable[str]) -> None:
        """A server is there."""
        self.stop()
        self.waiting = set(ids)
        if self.waiting:
            self._timer = asyncio.get_running_loop().call_later(CONFIRM, self.drop_rest)

    def confirm(self, id: str) -> None:
        self.waiting.discard(id)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def drop_rest(self) -> None:
        self.stop()
        waiting, self.waiting = self.waiting, set()
        for id in waiting:
            self._drop(id)
