"""Tasks as a deployment decision sees them: how far they are, whether they serve, why they are to be replaced. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import isinf
from typing import Any

import msgspec

from havre.core.deployment import TaskView
from havre.core.deployment.model import SETTLED, YOUNG
from havre.core.lifecycle import ending, starting
from havre.services.ecs.queries import TaskRecord

ELB = "Task failed ELB health checks in (target-group {group})"
CONTAINER = "Task failed container health checks"
_UNHEALTHY = (ELB.split("{", 1)[0], CONTAINER)
_BY_ITSELF = ("TaskFailedToStart", "EssentialContainerExited")
Target = tuple[str, str, int]
"""(target group, id, port)."""


class Sight(msgspec.Struct, frozen=True):
    """What tasks are looked at with. ``checked``: definitions with an essential container that has a health check.
    ``targets``: what the load balancers say of each target, as (state, description); of those of the groups ``gone``
    nobody says anything any more. ``proven``: tasks that were healthy once: they stay so while nobody knows. ``closed``:
    container instances that take no tasks any more. ``zones``: of nodes. ``heard``: since when a node tells what becomes
    of its tasks: one that ran before may have ended unseen."""

    now: float
    grace: int = 0
    checked: frozenset[str] = frozenset()
    targets: Mapping[Target, tuple[str, str]] = {}
    gone: frozenset[str] = frozenset()
    proven: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()
    zones: Mapping[str, str] = {}
    heard: Mapping[str, float] = {}


def view(task: TaskRecord, sight: Sight) -> TaskView:
    spec, status = task.spec, task.status
    healthy, failing, settles = _health(task, sight)
    protected = spec.protected and (spec.protected_until is None or spec.protected_until > sight.now)
    return TaskView(
        id=task.meta.name,
        deployment=spec.deployment,
        phase=phase(status.last),
        wanted=spec.desired == "RUNNING",
        healthy=healthy,
        failing=failing,
        misplaced=spec.instance in sight.closed,
        failed=failed(task),
        protected=protected,
        created=task.meta.created,
        zone=status.zone or sight.zones.get(spec.node, ""),
        place=spec.instance or spec.node,
        settles=settles,
    )


def phase(last: str) -> str:
    """How far a task is, as far as its service cares."""
    if last in ("RUNNING", "STOPPED"):
        return last.lower()
    return "starting" if starting(last) else "ending"


def failed(task: TaskRecord) -> bool:
    """Whether it counts for the circuit breaker: it did not start, ended by itself while it was young, or failed its
    health checks."""
    spec, status = task.spec, task.status
    if not ending(status.last):
        return False
    if spec.desired == "STOPPED":
        return spec.stop_reason.startswith(_UNHEALTHY)
    if status.stop_code not in _BY_ITSELF:
        return False
    end = status.execution_stopped or status.stopping or status.stopped
    return status.started is None or end is None or end - status.started < YOUNG


def _health(task: TaskRecord, sight: Sight) -> tuple[bool, str, float | None]:
    """(healthy, why it is to be replaced, when it will have settled)."""
    spec, status = task.spec, task.status
    if status.last != "RUNNING":
        return False, "", None
    started = status.started or task.meta.updated
    bad = _bad(task, sight)
    if bad:
        ends = started + sight.grace
        return (False, bad, None) if sight.now >= ends else (False, "", ends)
    proven = task.meta.name in sight.proven
    checked = spec.definition in sight.checked
    waits = (checked and status.health != "HEALTHY") or any(_unknown(t, sight) for t in status.registered)
    if waits or (spec.targets and status.registered_at is None):
        return proven, "", None
    if proven or checked or status.registered:
        return True, "", None
    settles = max(started, sight.heard.get(spec.node, 0.0)) + SETTLED
    settled = sight.now >= settles
    return settled, "", None if settled or isinf(settles) else settles


def _unknown(target: Target, sight: Sight) -> bool:
    """Whether the load balancer has yet to say that this target serves."""
    if target[0] in sight.gone:
        return False
    return sight.targets.get(target, ("initial", ""))[0] in ("initial", "unavailable", "draining")


def _bad(task: TaskRecord, sight: Sight) -> str:
    if task.spec.definition in sight.checked and task.status.health == "UNHEALTHY":
        return CONTAINER
    for target in task.status.registered:
        if sight.targets.get(target, ("", ""))[0] == "unhealthy":
            return ELB.format(group=target[0])
    return ""


def unhealthy_words(task: TaskRecord, sight: Sight) -> list[str]:
    """Service events about what the load balancers say of this task."""
    told = []
    for target in task.status.registered:
        state, description = sight.targets.get(target, ("", ""))
        if state == "unhealthy":
            instance = f"(instance {target[1]})" if target[1].startswith("i-") else f"(task {task.meta.name})"
            told.append(
                f"{instance} (port {target[2]}) is unhealthy in (target-group {target[0]}) "
                f"due to (reason {description or 'Health checks failed'})"
            )
    return told


def has_check(body: Mapping[str, Any]) -> bool:
    return any(c["essential"] and c.get("healthCheck") for c in body["containerDefinitions"])
