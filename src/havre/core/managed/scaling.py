"""How many environments a version wants: by the use of its processors, and by how many of its slots are taken.

As in AWS nothing is scaled by an invocation that arrives: what is looked at is how the environments that there are did
lately. The target of a half leaves room for traffic that doubles until new environments are there.
"""

from __future__ import annotations

import math

import msgspec

LEAST = 3
"""Environments of a version that says nothing else."""
TARGET = 0.5
"""Share of processors, and of slots, that is to be in use."""
COOL_DOWN = 60.0
"""Seconds between one environment less and the next."""
_MOST = 15_000
_NEARLY = 1e-9


class Bounds(msgspec.Struct, frozen=True):
    """Environments of one version, at least and at most; ``most`` None: no bound. Both 0: the version is switched off."""

    least: int = LEAST
    most: int | None = None

    @property
    def off(self) -> bool:
        return self.most == 0

    def hold(self, count: int) -> int:
        """The nearest that is allowed."""
        return max(self.least, min(count, _MOST if self.most is None else self.most))


class Load(msgspec.Struct, frozen=True):
    """How the environments of a version did lately. ``cpu`` is the share of their processors that they used, ``busy`` the
    share of their slots that was taken at the peak; ``refused``: an invocation found no slot."""

    ready: int = 0
    cpu: float = 0.0
    busy: float = 0.0
    refused: bool = False


def wanted(now: int, load: Load, bounds: Bounds, target: float = TARGET, *, rested: bool = False) -> int:
    """``now`` is how many there are to be so far; ``rested``: it is long enough since there was one less. More are wanted
    only once those are ready that were wanted before, and twice as many at most."""
    if bounds.off:
        return 0
    now = bounds.hold(now)
    if load.ready < min(now, bounds.least):
        return now
    need = math.ceil(load.ready * max(load.cpu / target, load.busy / TARGET) - _NEARLY)
    if load.refused:
        need = max(need, load.ready + 1)
    if need > now:
        return now if load.ready < now else bounds.hold(min(need, 2 * now))
    if need < now and rested and not load.refused:
        return bounds.hold(now - 1)
    return now
