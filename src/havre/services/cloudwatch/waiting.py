"""The loop of the alarms, before there is one: what evaluates them is loaded with the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from havre.control.deps import ReconcilerDeps
from havre.services.cloudwatch.facilities import Facilities
from havre.services.cloudwatch.resources import ALARM

if TYPE_CHECKING:
    from havre.services.cloudwatch.alarming import Alarming


class Alarms:
    def __init__(self, deps: ReconcilerDeps, facilities: Facilities) -> None:
        self._deps = deps
        self._facilities = facilities
        self._alarming: Alarming | None = None

    @property
    def progress(self) -> float | None:
        return self._alarming.progress if self._alarming is not None else None

    async def run(self) -> None:
        changes = self._deps.store.subscribe([ALARM.name])
        try:
            while not self._deps.store.list(ALARM):
                await anext(changes)
            from havre.services.cloudwatch.alarming import Alarming

            self._alarming = Alarming(self._deps, self._facilities)
            await self._alarming.follow(changes)
        finally:
            changes.close()
