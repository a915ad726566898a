"""Live tail: who listens in this process, and what each is told, once a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from havre.kernel.errors import ApiError
from havre.services.logs.events import message

MOST = 15
"""Sessions of one account at the same time."""
EVERY = 1.0
LONGEST = 3 * 3600
"""Seconds of one session."""
MOST_EVENTS = 500
"""Events in one update; what comes on top is left out, and the update says that it is a sample."""


class Wanted(msgspec.Struct, frozen=True):
    """``groups`` are ARNs; ``names`` and ``prefixes`` of streams, where they are given."""

    account: str
    groups: tuple[str, ...]
    names: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()


class Session:
    def __init__(self, wanted: Wanted, matches: Callable[[str], bool]) -> None:
        self.wanted = wanted
        self._matches = matches
        self._events: list[dict[str, Any]] = []
        self._sampled = False

    def _hears(self, stream: str) -> bool:
        wanted = self.wanted
        if wanted.names:
            return stream in wanted.names
        return not wanted.prefixes or stream.startswith(wanted.prefixes)

    def offer(self, group: str, stream: str, entries: Sequence[tuple[int, bytes]], now: int) -> None:
        """Events that were kept just now: times and what lies in the journal."""
        if not self._hears(stream):
            return
        for at, data in entries:
            text = message(data)
            if not self._matches(text):
                continue
            if len(self._events) >= MOST_EVENTS:
                self._sampled = True
                return
            self._events.append(
                {
                    "logStreamName": stream,
                    "logGroupIdentifier": group,
                    "message": text,
                    "timestamp": at,
                    "ingestionTime": now,
                }
            )

    def update(self) -> dict[str, Any]:
        """What has come since the last one."""
        events, self._events = self._events, []
        sampled, self._sampled = self._sampled, False
        return {"sessionMetadata": {"sampled": sampled}, "sessionResults": events}


class Tails:
    def __init__(self) -> None:
        self._sessions: dict[str, list[Session]] = {}
        self._open: dict[str, int] = {}

    def of(self, group: str) -> Sequence[Session]:
        """The sessions that listen to the group with this ARN."""
        return self._sessions.get(group, ())

    def full(self, account: str) -> bool:
        return self._open.get(account, 0) >= MOST

    @contextmanager
    def listening(self, session: Session) -> Iterator[None]:
        account = session.wanted.account
        self._open[account] = self._open.get(account, 0) + 1
        for group in session.wanted.groups:
            self._sessions.setdefault(group, []).append(session)
        try:
            yield
        finally:
            self._open[account] -= 1
            for group in session.wanted.groups:
                self._sessions[group].remove(session)
                if not self._sessions[group]:
                    del self._sessions[group]

    async def events(
        self, session: Session, start: Mapping[str, Any], clock: Callable[[], float]
    ) -> AsyncIterator[dict[str, Any]]:
        """The session's stream: its start, then an update every second; ApiError when its time is up."""
        with self.listening(session):
            ends = clock() + LONGEST
            yield {"sessionStart": start}
            while clock() < ends:
                await asyncio.sleep(EVERY)
                yield {"sessionUpdate": session.update()}
        raise ApiError("SessionTimeoutException", "Session has timed out")
