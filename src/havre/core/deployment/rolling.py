"""The rolling update of REPLICA services, and their scaling: the same step does both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from havre.core.deployment.bounds import bounds
from havre.core.deployment.model import Step, TaskView, Wish


def scaling(deployment: str) -> str:
    """AWS's words for a task that the scheduler stops."""
    return f"Scaling activity initiated by (deployment {deployment})"


def roll(wish: Wish, tasks: Sequence[TaskView]) -> Step:
    minimum, maximum = bounds(wish.desired, wish.minimum_percent, wish.maximum_percent)
    counted = sum(1 for t in tasks if t.counted)
    alive = [t for t in tasks if t.alive]
    new = [t for t in alive if t.deployment == wish.primary and not t.failing and not t.misplaced]
    kept = {t.id for t in new}
    old = [t for t in alive if t.id not in kept]
    spare = sum(1 for t in alive if t.healthy) - minimum
    leaving = surplus(new, len(new) - wish.desired, spare)
    stop = [(t.id, scaling(wish.primary)) for t in leaving]
    failing = [t for t in old if t.failing]
    stop += [(t.id, t.failing) for t in failing]
    if wish.stalled:
        return Step(stop=tuple(stop))
    old = [t for t in old if not t.failing]
    needed = max(0, wish.desired - len(new))
    start = max(0, min(needed, maximum - counted))
    short = needed if wish.unplaced else needed - start
    stop += _replaced(wish, [t for t in new if t not in leaving], old, minimum, short)
    stuck = bool(short and old and not (start or stop or wish.unplaced)) and _at_rest(tasks)
    return Step(start, tuple(stop), stuck=stuck)


def _at_rest(tasks: Sequence[TaskView]) -> bool:
    """Whether nothing is on its way that could make room: what comes or goes may yet."""
    return all(t.healthy if t.alive else t.phase == "stopped" for t in tasks)


def _replaced(
    wish: Wish, new: Sequence[TaskView], old: Sequence[TaskView], minimum: int, short: int
) -> list[tuple[str, str]]:
    """Which old tasks may go: those that are not healthy at once, others as long as enough healthy ones are left.

    As long as there is room for new tasks, healthy old ones stay until new ones are healthy; without room they make
    it, down to the minimum. Those that have yet to settle go as healthy ones do, before them: an update that comes a
    moment after another must not end what serves.
    """
    free = [t for t in old if not t.protected]
    settling = [t for t in free if t.settles is not None and not t.healthy]
    useless = [t for t in free if not t.healthy and t.settles is None]
    healthy = min(sum(1 for t in new if t.healthy), wish.desired) + sum(1 for t in old if t.healthy)
    spare = healthy - max(minimum, wish.desired - max(0, short - len(useless)))
    young = _order(settling)[: max(0, spare + len(settling))]
    left = min(spare, spare + len(settling) - len(young))
    gone = [*useless, *young, *_order([t for t in free if t.healthy])[: max(0, left)]]
    return [(t.id, scaling(wish.primary)) for t in gone]


def surplus(tasks: Sequence[TaskView], count: int, spare: int) -> list[TaskView]:
    """Which tasks of one deployment go when it scales in: not those that are protected; first those that are not
    healthy, then from the zone, then from the machine that has most; the youngest of them. At most ``spare`` healthy
    ones: what is protected need not be what serves."""
    if count <= 0:
        return []
    order = _order([t for t in tasks if not t.protected])[:count]
    sick = sum(1 for t in order if not t.healthy)
    return order[: sick + max(0, spare)]


def _order(tasks: Sequence[TaskView]) -> list[TaskView]:
    """In the order of their going."""
    unhealthy = sorted((t for t in tasks if not t.healthy), key=lambda t: (-t.created, t.id))
    return [*unhealthy, *_in_turns([t for t in tasks if t.healthy])]


def _in_turns(tasks: Sequence[TaskView]) -> list[TaskView]:
    zones: dict[str, list[TaskView]] = {}
    for t in tasks:
        zones.setdefault(t.zone, []).append(t)
    for zone, members in zones.items():
        on = Counter(t.place for t in members)
        zones[zone] = sorted(members, key=lambda t: (on[t.place], t.created, t.id))
    order: list[TaskView] = []
    while zones:
        fullest = max(zones, key=lambda z: (len(zones[z]), z))
        order.append(zones[fullest].pop())
        if not zones[fullest]:
            del zones[fullest]
    return order
