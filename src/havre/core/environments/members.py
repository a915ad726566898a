"""What a fleet is made of: environments, the pools that they are in, what is done about them."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from enum import Enum
from typing import NamedTuple

import msgspec

_MARGIN = 300.0
_AHEAD = 60.0
_SHORTEST = 1.0
"""Seconds that an environment may be used at least, however soon its credentials end."""


def usable(left: float, timeout: float) -> float:
    """For how long an environment whose credentials end in ``left`` may take invocations, each of which may last
    ``timeout``."""
    return max(_SHORTEST, left - timeout - _MARGIN)


class Phase(Enum):
    STARTING = "starting"
    PARKED = "parked"
    """Initialised for SnapStart, and waiting to be restored."""
    BUSY = "busy"
    SETTLING = "settling"
    """It has answered, but not asked for the next invocation yet."""
    IDLE = "idle"


class Rules(msgspec.Struct, frozen=True):
    """``memory`` (MiB) is what environments may have together, ``most`` how many they may be. One that was idle for ``rest``
    is frozen; for ``idle``, it ends; under pressure for ``idle_under_pressure``. ``settle``: so long is waited for an
    environment that has answered before another one is started."""

    memory: int
    rest: float = 0.3
    idle: float = 420.0
    idle_under_pressure: float = 20.0
    settle: float = 0.02
    retry: float = 10.0
    """Until environments that are to be kept ready, and failed, are tried again."""
    look: float = 0.5
    """Until it is looked again whether memory is scarce still, or the engine can make one again, for those who wait."""
    most: int = 1 << 20


class Member(msgspec.Struct, eq=False):
    """One environment. ``pool`` is the function that it serves, in the state of its files. ``expires`` is when it must be
    replaced (its credentials end); of a kept one the successor begins at ``renew_at``, so that there is always one."""

    id: str
    pool: str
    memory: int
    kept: bool = False
    phase: Phase = Phase.STARTING
    since: float = 0.0
    expires: float = float("inf")
    renew_at: float = float("inf")
    frozen: bool = False
    stale: bool = False

    def use_for(self, seconds: float, now: float) -> None:
        """From now on; infinity: as long as one likes."""
        self.expires = now + seconds
        self.renew_at = self.expires - min(_AHEAD, seconds / 2) if seconds < float("inf") else self.expires


class Step(NamedTuple):
    """``what``: start, freeze, end, give (``member`` takes the invocation ``ticket``), restore (likewise, of a parked one),
    refuse (there is no room for ``ticket``)."""

    what: str
    pool: str
    member: Member | None = None
    ticket: Hashable = None


class Pool(msgspec.Struct, eq=False):
    """The environments of one function, in one state of its files, and who waits for one. ``passing``: it is forgotten when
    it has none (a tenant's)."""

    memory: int
    snap_start: bool
    idle: list[Member] = []
    kept_idle: list[Member] = []
    parked: list[Member] = []
    waiting: deque[Hashable] = msgspec.field(default_factory=deque)
    members: dict[str, Member] = {}
    kept: int = 0
    parked_wanted: int = 0
    retry_at: float = 0.0
    begins_at: float = 0.0
    lacking: bool = False
    retired: bool = False
    settling: int = 0
    passing: bool = False
