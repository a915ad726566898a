"""What AWS promises of services, after every write: bounds while they move, words for what happens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil

from havre.control.nodes import NODE
from havre.kernel.resource import scoped
from havre.services.ecs.queries import ServiceRecord, TaskRecord
from havre.services.ecs.resources import DEPLOYMENT, EVENTS, SERVICE, TASK
from havre.store.ports import Change, Reader
from tests.simulation.monitor import Monitor

_COUNTED = ("PROVISIONING", "PENDING", "ACTIVATING", "RUNNING")
_TASKS = r"(?: ?\(task [0-9a-f]{32}\))+"
_GROUP = r"\(target-group arn:aws:elasticloadbalancing:[^ )]+\)"
WORDS = re.compile(
    r"\(service [a-z]+\) (?:"
    + "|".join(
        (
            rf"has started \d+ tasks: {_TASKS}\.",
            rf"has stopped \d+ running tasks: {_TASKS}\.",
            r"has begun draining connections on \d+ tasks\.",
            r"has reached a steady state\.",
            rf"registered \d+ targets in {_GROUP}",
            rf"deregistered \d+ targets in {_GROUP}",
            r"\(deployment ecs-svc/\d+\) deployment completed\.",
            r"\(deployment ecs-svc/\d+\) deployment failed: tasks failed to start\.",
            r"rolling back to deployment ecs-svc/\d+\.",
            rf"(?:\(instance i-[0-9a-f]+\)|{_TASKS}) \(port \d+\) is unhealthy in {_GROUP} due to \(reason .+\)",
            rf"{_TASKS} failed container health checks\.",
            r"is unable to consistently start tasks successfully\. For more information, see .+",
            r"was unable to place a task because no container instance met all of its requirements\. .+",
            r"was unable to stop or start tasks during a deployment because of the service deployment configuration\. .+",
        )
    )
    + ")"
)
SETTLED = 3.0
SLOWEST = 10.0
"""Seconds that a decision may be old when it is written down: effects can be slow."""


class ServiceRules:
    """A part of the monitor. ``reader`` already shows what the changes have made."""

    def __init__(self, monitor: Monitor, reader: Reader) -> None:
        self._demand = monitor.demand
        self._reader = reader

    def seen(self, changes: Sequence[Change]) -> None:
        touched = set()
        for change in changes:
            task = change.new
            if change.key.kind == TASK.name and task is not None and task.spec.service:
                touched.add((change.key.account, change.key.region, f"{task.spec.cluster}/{task.spec.service}"))
            elif change.key.kind == EVENTS.name and task is not None:
                for event in task.spec.events[:10]:
                    self._demand(WORDS.fullmatch(event.message), f"these are not AWS's words: {event.message}")
        for account, region, name in touched:
            service = self._reader.get(SERVICE, account, region, name)
            if service is not None and service.spec.state == "ACTIVE":
                mine = [c for c in changes if c.key.kind == TASK.name]
                self._bounds(service, self._tasks(service), mine)

    def _tasks(self, service: ServiceRecord) -> Sequence[TaskRecord]:
        m = service.meta
        return self._reader.find(TASK, "service", scoped(m.account, m.region, m.name))

    def _bounds(self, service: ServiceRecord, tasks: Sequence[TaskRecord], changes: Sequence[Change]) -> None:
        spec = service.spec
        started = [c.new for c in changes if c.old is None and c.new is not None]
        stopped = [c.old for c in changes if c.old is not None and c.new is not None and _scaled(c)]
        if spec.scheduling == "DAEMON":
            self._one_each(tasks, started)
            return
        most = spec.desired * spec.deployment["maximumPercent"] // 100
        counted = sum(1 for t in tasks if t.status.last in _COUNTED)
        if started:
            self._demand(counted <= most, f"{spec.name} has {counted} tasks; maximumPercent allows {most}")
        least = ceil(spec.desired * spec.deployment["minimumHealthyPercent"] / 100)
        now = max((t.meta.updated for t in tasks), default=0.0)
        left = sum(1 for t in tasks if t.spec.desired == "RUNNING" and t.status.last == "RUNNING")
        if any(self._serves(t, now) for t in stopped):
            self._demand(
                left >= least, f"{spec.name} is scaled to {left} tasks; minimumHealthyPercent asks for {least}"
            )

    def _serves(self, task: TaskRecord, now: float) -> bool:
        """Healthy, as far as that can be told from here: it ran long enough while its node told of it."""
        status, node = task.status, self._reader.get(NODE, "", "", task.spec.node)
        if status.started is None or node is None or not node.status.connected:
            return False
        if task.spec.targets and status.registered_at is None:
            return False
        settled = now >= max(status.started, node.status.since, status.registered_at or 0.0) + SETTLED + SLOWEST
        return status.last == "RUNNING" and settled and status.health != "UNHEALTHY"

    def _one_each(self, tasks: Sequence[TaskRecord], started: Sequence[TaskRecord]) -> None:
        for each in started:
            here = [t for t in tasks if t.spec.instance == each.spec.instance and t.status.last != "STOPPED"]
            self._demand(len(here) == 1, f"{each.spec.service} has {len(here)} tasks on one instance")

    # --- when nothing is under way

    def at_rest(self, machines: int) -> None:
        for service in self._reader.list(SERVICE):
            spec, tasks = service.spec, self._tasks(service)
            alive = [t for t in tasks if t.status.last != "STOPPED"]
            if spec.state != "ACTIVE":
                self._demand(spec.state == "INACTIVE" and not alive, f"{spec.name} is {spec.state}, with {len(alive)}")
                continue
            wanted = machines if spec.scheduling == "DAEMON" else spec.desired
            up = [t for t in alive if t.status.last == "RUNNING" and t.spec.deployment == spec.primary]
            self._demand(len(up) == wanted, f"{spec.name} has {len(up)} current tasks of {wanted}")
            self._demand(len(alive) == len(up), f"{spec.name} has {len(alive) - len(up)} tasks besides")
            primary = self._reader.get(DEPLOYMENT, service.meta.account, service.meta.region, spec.primary)
            state = primary.status.state if primary is not None else "gone"
            self._demand(state == "COMPLETED", f"the deployment of {spec.name} is {state}")
            self._demand(service.status.steady, f"{spec.name} is not steady")


def _scaled(change: Change) -> bool:
    """The scheduler has stopped it, for its own reasons."""
    old, new = change.old, change.new
    assert old is not None and new is not None
    told = old.spec.desired == "RUNNING" and new.spec.desired == "STOPPED"
    return bool(told and new.spec.stop_reason.startswith("Scaling activity"))
