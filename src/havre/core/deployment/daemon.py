"""DAEMON services: one task on each container instance that may have one."""

from __future__ import annotations

from collections.abc import Sequence

from havre.core.deployment.bounds import bounds
from havre.core.deployment.model import Step, TaskView, Wish
from havre.core.deployment.rolling import scaling


def spread(wish: Wish, tasks: Sequence[TaskView]) -> Step:
    """``wish.places`` are the instances. The new task of an instance starts when its old one is over."""
    minimum, _ = bounds(len(wish.places), wish.minimum_percent, 100)
    places = set(wish.places)
    here: dict[str, list[TaskView]] = {}
    stop: list[tuple[str, str]] = []
    for t in tasks:
        if t.phase == "stopped":
            continue
        if t.alive and (t.place not in places or t.failing):
            stop.append((t.id, t.failing or scaling(wish.primary)))
        here.setdefault(t.place, []).append(t)
    gone = {id for id, _ in stop}
    healthy = sum(1 for t in tasks if t.alive and t.healthy and t.id not in gone)
    held = 0
    for place in wish.places:
        alive = [t for t in here.get(place, ()) if t.alive and t.id not in gone]
        alive.sort(key=lambda t: (t.deployment != wish.primary, t.created))
        for n, t in enumerate(alive):
            current = t.deployment == wish.primary and n == 0
            if current or t.protected or wish.stalled:
                continue
            if t.healthy and healthy - 1 < minimum:
                held += 1
                continue
            healthy -= t.healthy
            stop.append((t.id, scaling(wish.primary)))
    start = () if wish.stalled else tuple(p for p in wish.places if p not in here)
    waiting = start or stop or any(t.phase == "ending" or (t.alive and not t.healthy) for t in tasks)
    return Step(len(start), tuple(stop), start, stuck=bool(held and not waiting))
