"""Metrics: what records those of the services, and where all of them are kept. Opened when the first one comes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from havre.control.metrics import Recorder
from havre.kernel.world import World

if TYPE_CHECKING:
    from havre.control.operation import Service
    from havre.services.cloudwatch import Facilities
    from havre.store.points import Points


class Metering:
    """Composed once a process. ``recorder`` is what services are handed as ``metrics``; ``opened`` is called when something
    is measured, or asked for, for the first time: from then on somebody has to look after what is kept."""

    def __init__(self, state: Path, world: World, opened: Callable[[], None] = lambda: None) -> None:
        self._path = state / "metrics.db"
        self._opened = opened
        self.recorder = Recorder(world.now, lambda: self.points)

    @cached_property
    def points(self) -> Points:
        from havre.core.metrics.values import merge
        from havre.store.sqlite.points import SqlitePoints

        self._opened()
        return SqlitePoints(self._path, merge)

    @cached_property
    def facilities(self) -> Facilities:
        from havre.services.cloudwatch import Facilities

        return Facilities(lambda: self.points, self.recorder.flush, self._path.exists)

    def make_cloudwatch(self) -> Service:
        from havre.services import cloudwatch

        return cloudwatch.service(self.facilities)

    @property
    def there(self) -> bool:
        """Whether anything was ever measured here."""
        return self._path.exists()

    async def reset(self) -> None:
        await self.recorder.flush()
        if self.there:
            await self.points.reset()

    async def close(self) -> None:
        await self.recorder.close()
        if "points" in self.__dict__:
            await self.points.close()
