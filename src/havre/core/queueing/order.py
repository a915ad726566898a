"""In which order visible messages are given out: loosely (standard queues), or strictly within a group (FIFO queues)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from heapq import heappop, heappush
from math import inf
from typing import Protocol

from havre.core.queueing.message import IN_FLIGHT, VISIBLE, Message


class Order(Protocol):
    """Knows messages by their ids and groups; ``Queue`` owns the messages and their states."""

    def add(self, message: Message) -> None:
        """A new message, visible or delayed. Its state is set already, here as below."""
        ...

    def show(self, message: Message, before: int) -> None:
        """It has become visible; ``before`` is the state that it had."""
        ...

    def take(self) -> Message | None:
        """The next one, which is the caller's to put in flight or to remove; None when there is none."""
        ...

    def taken(self) -> None:
        """The caller has what he wanted for now."""
        ...

    def leave(self, message: Message) -> None:
        """It has been removed. Its state is still what it was."""
        ...


class Loose(Order):
    """First come, first served; what comes back stands at the end. Where messages name groups (tenants), the groups take
    turns, so that a busy one does not keep the others waiting (fair queues)."""

    def __init__(self, messages: Mapping[int, Message]) -> None:
        self._messages = messages
        self._lines: dict[str, deque[int]] = {}
        self._turns: deque[str] = deque()

    def add(self, message: Message) -> None:
        if message.state == VISIBLE:
            self.show(message, VISIBLE)

    def show(self, message: Message, before: int) -> None:
        line = self._lines.get(message.group)
        if line is None:
            line = self._lines[message.group] = deque()
            self._turns.append(message.group)
        line.append(message.id)

    def take(self) -> Message | None:
        """Those that have been removed or hidden meanwhile are passed over."""
        while self._turns:
            line = self._lines[self._turns[0]]
            found = None
            while line and found is None:
                found = self._messages.get(line.popleft())
                found = found if found is not None and found.state == VISIBLE else None
            if not line:
                del self._lines[self._turns.popleft()]
            elif len(self._turns) > 1:
                self._turns.rotate(-1)
            if found is not None:
                return found
        return None

    def taken(self) -> None:
        return

    def leave(self, message: Message) -> None:
        return


class _Group:
    """Both are heaps of ids, of which some may be gone, or no longer what the heap says."""

    __slots__ = ("flying", "listed", "waiting")

    def __init__(self) -> None:
        self.waiting: list[int] = []
        self.flying: list[int] = []
        self.listed = False


class Strict(Order):
    """A group gives its messages in order, and none while an earlier one is in flight; groups take turns."""

    def __init__(self, messages: Mapping[int, Message]) -> None:
        self._messages = messages
        self._groups: dict[str, _Group] = {}
        self._ready: deque[str] = deque()
        self._open: str | None = None
        """The group that ``take`` takes from at present: what was taken in one go does not lock it."""
        self._locked = inf
        """The first message of that group which was in flight before."""

    def add(self, message: Message) -> None:
        group = self._groups.get(message.group)
        if group is None:
            group = self._groups[message.group] = _Group()
        heappush(group.waiting, message.id)
        if not group.listed:
            self._settle(message.group, group)

    def show(self, message: Message, before: int) -> None:
        group = self._groups[message.group]
        if before == IN_FLIGHT:
            heappush(group.waiting, message.id)
        self._settle(message.group, group)

    def take(self) -> Message | None:
        while True:
            if self._open is None:
                if not self._ready:
                    return None
                self._open = self._ready.popleft()
                self._groups[self._open].listed = False
                self._locked = self._first_flying(self._groups[self._open])
            group = self._groups[self._open]
            head = self._head(group)
            if head is not None and head.state == VISIBLE and head.id < self._locked:
                heappop(group.waiting)
                heappush(group.flying, head.id)
                return head
            self.taken()

    def taken(self) -> None:
        if self._open is not None:
            name, self._open = self._open, None
            self._settle(name, self._groups[name])

    def leave(self, message: Message) -> None:
        """One that waits stays in its line until it is the first, and is passed over then."""
        if self._open != message.group:
            self._settle(message.group, self._groups[message.group])

    def _head(self, group: _Group) -> Message | None:
        waiting, messages = group.waiting, self._messages
        while waiting:
            head = messages.get(waiting[0])
            if head is not None and head.state != IN_FLIGHT:
                return head
            heappop(waiting)
        return None

    def _first_flying(self, group: _Group) -> float:
        flying, messages = group.flying, self._messages
        while flying:
            first = messages.get(flying[0])
            if first is not None and first.state == IN_FLIGHT:
                return first.id
            heappop(flying)
        return inf

    def _settle(self, name: str, group: _Group) -> None:
        """List the group if it can be taken from, forget it if it is empty."""
        head, locked = self._head(group), self._first_flying(group)
        if head is None:
            if locked == inf and not group.listed:
                del self._groups[name]
        elif head.state == VISIBLE and head.id < locked and not group.listed:
            group.listed = True
            self._ready.append(name)
