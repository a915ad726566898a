"""Sessions that somebody may open: made by ExecuteCommand, opened once with their token, gone when they have ended.

They are not in the store: a session does not outlive the server's process, as the client's connection does not.
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256

import msgspec

VALID = 120.0
"""Seconds in which a session has to be opened."""
MOST = 2
"""Sessions of a container at a time, as AWS has it."""


class Transcript(msgspec.Struct, frozen=True):
    """Where what a session shows is kept: a stream of this group, and an object of this bucket whose key begins with
    ``prefix``; "" is neither. ``role`` writes them."""

    group: str
    role: str
    bucket: str = ""
    prefix: str = ""


class Session(msgspec.Struct, frozen=True):
    """``workload`` and ``container`` say where, ``target`` is what Session Manager calls that (``ecs:cluster_task_id``)."""

    id: str
    account: str
    region: str
    node: str
    workload: str
    container: str
    target: str
    command: tuple[str, ...]
    transcript: Transcript | None = None


class Sessions:
    """Times are in seconds since the epoch."""

    def __init__(self) -> None:
        self._pending: dict[str, tuple[Session, bytes, float]] = {}
        self._open: dict[str, Session] = {}

    def count(self, workload: str, container: str, now: float) -> int:
        """Sessions of this container that are open, or may be opened still."""
        self._forget(now)
        both = [*(pending for pending, _, _ in self._pending.values()), *self._open.values()]
        return sum(1 for s in both if (s.workload, s.container) == (workload, container))

    def add(self, session: Session, now: float) -> str:
        """Gives the token that opens it."""
        token = secrets.token_urlsafe(96)
        self._pending[session.id] = (session, sha256(token.encode()).digest(), now + VALID)
        return token

    def open(self, id: str, token: str, now: float) -> Session | None:
        """Once. None for a token that is not this session's, was used before or came too late."""
        self._forget(now)
        digest = sha256(token.encode()).digest()
        found = self._pending.get(id)
        if found is None or not hmac.compare_digest(digest, found[1]):
            return None
        del self._pending[id]
        self._open[id] = found[0]
        return found[0]

    def end(self, id: str) -> None:
        self._open.pop(id, None)

    def _forget(self, now: float) -> None:
        for id in [id for id, (_, _, until) in self._pending.items() if now > until]:
            del self._pending[id]
