"""Containers that have ended, as Docker's events say it.

Asked for such a container, Docker answers only when it has taken down the container's network, a tenth of a second after it
has said that the container is over; meanwhile the next one could be starting.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from havre.engines.groups import Groups
from havre.engines.ports import RunState

_KILLED = 137


def starved(state: RunState, groups: Groups | None) -> RunState:
    """With cgroup v2 Docker misses at times that a container was killed for want of memory: containerd reads the group's
    counter only when the group may be gone already. The group around it still tells."""
    if state.exit_code == _KILLED and not state.oom_killed and groups is not None and groups.killed(state.workload):
        return msgspec.structs.replace(state, oom_killed=True)
    return state


class Endings:
    """Of the containers that this process has started. What it does not know has to be asked for."""

    def __init__(self) -> None:
        self._running: dict[str, RunState] = {}
        self._starved: set[str] = set()
        self._over: dict[str, RunState] = {}

    def started(self, state: RunState) -> None:
        """Not of one that holds a port of the host: it is over for good when the port is free."""
        if state.state == "running":
            self._running[state.id] = state

    def hear(self, event: Mapping[str, Any]) -> None:
        """One of Docker's events, whatever its kind."""
        id, action = event["Actor"]["ID"], event.get("Action", "")
        if action == "oom":
            self._starved.add(id)  # maybe of one whose start has not returned yet
        elif action == "die" and id in self._running:
            self._over[id] = msgspec.structs.replace(
                self._running[id],
                state="exited",
                pid=0,
                exit_code=int(event["Actor"]["Attributes"]["exitCode"]),
                oom_killed=id in self._starved,
                finished=event["timeNano"] / 1e9,
                health="UNKNOWN",
            )
        elif action == "destroy":
            self.forget(id)

    def of(self, id: str) -> RunState | None:
        return self._over.get(id)

    def forget(self, id: str) -> None:
        self._running.pop(id, None)
        self._over.pop(id, None)
        self._starved.discard(id)

    def forget_all(self) -> None:
        """Events were missed."""
        self._running.clear()
        self._over.clear()
        self._starved.clear()
