"""What invocation consists of in one process."""

from __future__ import annotations

from collections.abc import Callable

from havre.control.deps import ReconcilerDeps
from havre.control.functions.ports import Functions
from havre.control.metrics import UNMETERED, Metrics
from havre.control.supervisor import Loop
from havre.kernel.world import World
from havre.services.lambda_.durable.executions import Executions
from havre.services.lambda_.durable.notices import Notices
from havre.services.lambda_.durable.runs import Runs
from havre.services.lambda_.invoking.destinations import Destinations
from havre.services.lambda_.invoking.invoker import Invoker
from havre.services.lambda_.invoking.queue import Events
from havre.store.ports import Reader, Records


class Invoking:
    """``functions`` gives what runs functions, and raises Temporary while nothing does."""

    def __init__(
        self,
        store: Reader,
        world: World,
        records: Records,
        functions: Callable[[], Functions],
        metrics: Metrics = UNMETERED,
    ) -> None:
        self.invoker = Invoker(store, world, functions, metrics)
        self.events = Events(store, world, records, self.invoker)
        executions = Executions(world, records)
        executions.tell = Notices(self.invoker, self.events)
        self.durable = Runs(executions, self.invoker)
        self.invoker.durable = self.durable

    def loops(self, deps: ReconcilerDeps) -> list[Loop]:
        events, durable = self.events, self.durable
        return [
            Loop("lambda events", lambda: events.run(Destinations(deps)), progress=lambda: events.progress),
            Loop("durable executions", lambda: durable.run(deps), progress=lambda: durable.progress),
        ]
