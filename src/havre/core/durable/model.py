"""What an execution consists of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

STARTED, PENDING, READY = "STARTED", "PENDING", "READY"
SUCCEEDED, FAILED, CANCELLED, TIMED_OUT, STOPPED = "SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT", "STOPPED"
OPEN = frozenset((STARTED, PENDING, READY))
RUNNING, PAUSING, PAUSED = "RUNNING", "PAUSING", "PAUSED"
ALIVE = frozenset((RUNNING, PAUSING, PAUSED))
EXECUTION, CONTEXT, STEP, WAIT, CALLBACK, CHAINED = "EXECUTION", "CONTEXT", "STEP", "WAIT", "CALLBACK", "CHAINED_INVOKE"
MIB = 1024 * 1024
LARGEST_RESULT, LARGEST_SYNCHRONOUS_RESULT = MIB, 6 * MIB
MOST_OPERATIONS = 3_000


class Refused(Exception):
    """An update that the state of the execution does not allow; fit for the caller."""


class Fault(msgspec.Struct, frozen=True):
    """An ErrorObject; None where a member was not given."""

    message: str | None = None
    kind: str | None = None
    data: str | None = None
    stack: tuple[str, ...] | None = None

    @property
    def size(self) -> int:
        return sum(len(text.encode()) for text in (self.message, self.kind, self.data, *(self.stack or ())) if text)


class Op(msgspec.Struct, frozen=True):
    """One operation. ``number`` is its place in the order of starts. Times in seconds since the epoch.

    ``due`` is when time will change it: a step's next attempt, a wait's end, a callback's time-out. ``beat`` is the seconds
    between heartbeats of a callback (0: none wanted), ``beat_due`` when the next is due at the latest. ``seconds`` is how
    long a wait is, or a callback's time-out.
    """

    id: str
    kind: str
    status: str
    number: int
    started: float
    name: str | None = None
    parent: str | None = None
    sub_type: str | None = None
    ended: float | None = None
    result: str | None = None
    fault: Fault | None = None
    attempt: int = 0
    due: float | None = None
    seconds: int = 0
    beat: int = 0
    beat_due: float | None = None
    callback: str = ""
    function: str = ""
    tenant: str = ""
    trace: str = ""
    payload: str | None = None
    replay_children: bool = False

    @property
    def open(self) -> bool:
        return self.status in OPEN

    @property
    def waits(self) -> bool:
        """Whether something from outside, or time, will go on with it."""
        return self.status == PENDING or (self.status == STARTED and self.kind in (WAIT, CALLBACK, CHAINED))


class Event(msgspec.Struct, frozen=True):
    """One entry of the history. ``details`` is AWS's structure for this kind of event, whole."""

    number: int
    kind: str
    at: float
    details: Mapping[str, Any] = {}
    id: str | None = None
    name: str | None = None
    parent: str | None = None
    sub_type: str | None = None


class Pause(msgspec.Struct, frozen=True):
    """``clock``: the execution's time-out stands still as well."""

    requested: float
    clock: bool
    reason: str | None = None


class Execution(msgspec.Struct, frozen=True):
    """``number`` names it on disk; ``function`` is a name, ``arn_named`` what the caller named. ``limit`` in seconds,
    ``expires`` when it is over, ``retention`` in days. ``synchronous``: somebody waits for the answer. ``retries`` in a row
    that failed, ``again`` when the next run may begin after one. ``invoked``: whether it ever ran."""

    number: int
    uid: str
    arn: str
    account: str
    region: str
    function: str
    version: str
    name: str
    arn_named: str
    started: float
    limit: int
    expires: float
    retention: int
    status: str = RUNNING
    ended: float | None = None
    trace: str = ""
    tenant: str = ""
    synchronous: bool = False
    digest: str = ""
    pause: Pause | None = None
    retries: int = 0
    again: float = 0.0
    events: int = 0
    deleting: float | None = None

    @property
    def alive(self) -> bool:
        return self.status in ALIVE
