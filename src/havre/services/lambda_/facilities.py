"""What operations and reconcilers need besides the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from havre.control.functions.ports import CodeStore, Functions
from havre.control.metrics import UNMETERED, Metrics
from havre.core.invoking.meters import EXTENDED, NAMESPACE, dimensions, place
from havre.kernel.errors import Temporary
from havre.kernel.function import Function
from havre.kernel.world import World
from havre.services.lambda_.invoking.assembly import Invoking
from havre.store.ports import Reader, Records


def _nothing(account: str, region: str, group: str, role: str) -> str:
    return ""


@dataclass
class Facilities:
    """Filled in by apps. ``secret`` signs the URLs from which code is downloaded; ``architectures`` are those that the
    machines of this installation can run. ``records`` keep the events of asynchronous invocations; ``invoking`` is made of
    all that when it is first needed. ``unlogged(account, region, group, role)`` says why that role's lines do not get into
    the log group; "" when they do. ``metrics`` takes what is counted of invocations."""

    functions: Functions | None = None
    code: CodeStore | None = None
    secret: bytes = b""
    architectures: tuple[str, ...] = ("x86_64",)
    records: Records | None = None
    invoking: Invoking | None = None
    unlogged: Callable[[str, str, str, str], str] = _nothing
    metrics: Metrics = UNMETERED

    def open_functions(self) -> Functions:
        """Raises Temporary."""
        if self.functions is None:
            raise Temporary("nothing runs functions yet")
        return self.functions

    def open_code(self) -> CodeStore:
        """Raises Temporary."""
        if self.code is None:
            raise Temporary("the store of code is not open yet")
        return self.code

    def open_invoking(self, store: Reader, world: World) -> Invoking:
        """The same one for the whole process: it counts what runs. Raises Temporary."""
        if self.invoking is None:
            if self.records is None:
                raise Temporary("the queue of events is not open yet")
            self.invoking = Invoking(store, world, self.records, self.open_functions, self.metrics)
        return self.invoking

    def extended(self, function: Function, arn: str, milliseconds: float) -> None:
        """Extensions went on so long after an invocation of ``arn`` that this function (a version) had served."""
        _, _, qualifier = arn.split(":", 6)[6].partition(":")
        for where in dimensions(place(function.name, qualifier, function.version)):
            self.metrics.add(
                function.account, function.region, NAMESPACE, EXTENDED, where, milliseconds, "Milliseconds"
            )

    async def reset(self) -> None:
        """What the store does not hold goes as well; events go when they find their function gone."""
        if self.invoking is not None:
            await self.invoking.durable.executions.reset()
