"""What a deployment decision sees, and what it asks for."""

from __future__ import annotations

import msgspec

SETTLED = 3.0
"""Seconds that a task without any health check has to run before it counts as healthy: an image that crashes at once
must not take the place of one that works."""
YOUNG = 60.0
"""Seconds within which a task that exits by itself counts as failed to start."""


class TaskView(msgspec.Struct, frozen=True):
    """``phase``: starting, running, ending (its containers are going or gone), stopped. ``wanted``: nobody has asked it
    to stop. ``healthy``: running, and all its health checks say so (or it has settled). ``failing`` says why it is to be
    replaced. ``misplaced``: its container instance drains. ``failed``: it ended by itself, young or unhealthy.
    ``settles`` is when a running task without health checks becomes healthy."""

    id: str
    deployment: str
    phase: str
    wanted: bool = True
    healthy: bool = False
    failing: str = ""
    misplaced: bool = False
    failed: bool = False
    protected: bool = False
    created: float = 0.0
    zone: str = ""
    place: str = ""
    settles: float | None = None

    @property
    def counted(self) -> bool:
        """RUNNING or on the way to it: what maximumPercent limits."""
        return self.phase in ("starting", "running")

    @property
    def alive(self) -> bool:
        return self.wanted and self.counted


class Breaker(msgspec.Struct, frozen=True):
    """deploymentCircuitBreaker. ``kind``: BOUNDED_PERCENT, UNBOUNDED_PERCENT, COUNT."""

    enable: bool = False
    rollback: bool = False
    reset: bool = True
    kind: str = "BOUNDED_PERCENT"
    value: int = 50


class Wish(msgspec.Struct, frozen=True):
    """``stalled``: the primary deployment has failed, so nothing is started. ``unplaced``: there is no room for more
    tasks on the machines. ``places``: where a DAEMON is to run."""

    primary: str
    desired: int
    minimum_percent: int = 100
    maximum_percent: int = 200
    stalled: bool = False
    unplaced: bool = False
    places: tuple[str, ...] = ()


class Step(msgspec.Struct, frozen=True):
    """``stop``: (task id, why). ``at``: where to start, of a DAEMON; otherwise placement decides on ``start`` tasks.
    ``stuck``: minimum and maximum leave no way."""

    start: int = 0
    stop: tuple[tuple[str, str], ...] = ()
    at: tuple[str, ...] = ()
    stuck: bool = False
