"""What must hold after every write, whatever failed and whoever crashed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from havre.control.nodes import WORKLOAD
from havre.core.lifecycle import PHASES
from havre.services.ecs.resources import TASK
from havre.store.memory import MemoryStore
from havre.store.ports import Change

_KEPT = ("cluster", "definition", "launch", "node", "instance", "service", "deployment", "cpu", "memory", "attachment")


class Broken(AssertionError):
    """A promise was broken."""


class Monitor:
    """Sees every committed change, in order."""

    def __init__(self) -> None:
        self.told: Counter[str] = Counter()
        self.broken: list[str] = []
        self.parts: list[Callable[[Sequence[Change]], None]] = []

    def seen(self, changes: Sequence[Change]) -> None:
        for part in self.parts:
            part(changes)
        for change in changes:
            if change.key.kind == TASK.name:
                self._task(change)
            elif change.key.kind == WORKLOAD.name:
                self._workload(change)

    def demand(self, holds: Any, words: str) -> None:
        if not holds:
            self.broken.append(words)

    def _task(self, change: Change) -> None:
        old, new, name = change.old, change.new, change.key.name[:8]
        if new is None:
            self.demand(old is not None and old.status.last == "STOPPED", f"task {name} was purged before it stopped")
            return
        if new.status.last == "STOPPED":
            self.demand(new.status.stopped is not None, f"task {name} stopped at no time")
            self.demand(new.status.stop_code or new.spec.stop_code, f"task {name} stopped without a code")
            self.demand(new.status.stop_reason or new.spec.stop_reason, f"task {name} stopped without a reason")
        if old is None:
            return
        was, now = PHASES.index(old.status.last), PHASES.index(new.status.last)
        self.demand(now >= was, f"task {name} went back from {old.status.last} to {new.status.last}")
        self.demand(
            old.status.last != "STOPPED" or old.status == new.status, f"task {name} changed after it had stopped"
        )
        for field in _KEPT:
            self.demand(getattr(old.spec, field) == getattr(new.spec, field), f"the {field} of task {name} changed")
        if old.spec.desired == "STOPPED":
            self.demand(new.spec.desired == "STOPPED", f"task {name} is wanted again")
            self.demand(old.spec.stop_reason == new.spec.stop_reason, f"task {name} has another reason to stop")
        for field in ("started", "stopping", "pull_started", "interface"):
            before = getattr(old.status, field)
            self.demand(before in (None, getattr(new.status, field)), f"{field} of task {name} changed")

    def _workload(self, change: Change) -> None:
        old, new, name = change.old, change.new, change.key.name[:8]
        if old is None:
            self.told[change.key.name] += 1
            self.demand(self.told[change.key.name] == 1, f"task {name} was given to a node twice")
        elif new is not None:
            self.demand(old.spec.node == new.spec.node, f"task {name} moved to another node")


class WatchedStore(MemoryStore):
    """Tells the monitor of each commit before anybody else hears of it."""

    monitor: Monitor | None = None

    def _publish(self, changes: Sequence[Change]) -> None:
        if self.monitor is not None:
            self.monitor.seen(changes)
        super()._publish(changes)
