"""The one door to functions: admission, then the nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import msgspec

from havre.control.functions.calls import NoRoom
from havre.control.functions.ports import Functions
from havre.control.metrics import UNMETERED, Metrics
from havre.core.invoking import payloads, traces
from havre.core.invoking.concurrency import CONCURRENT, Concurrency
from havre.core.invoking.meters import LOOPS_ENDED, Place, place
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.kernel.function import Invocation, Outcome
from havre.kernel.world import World
from havre.services.lambda_.invoking import refusals
from havre.services.lambda_.invoking.admission import Accounts, Admission
from havre.services.lambda_.invoking.targets import Served, Target, Targets
from havre.store.ports import Reader


class Done(msgspec.Struct, frozen=True):
    """What came of an invocation, and which version served it. ``execution`` is the ARN of a durable one."""

    outcome: Outcome
    version: str
    execution: str = ""


class Durable(Protocol):
    async def until_through(self, target: Target, served: Served, invocation: Invocation) -> Done:
        """A durable execution from its start to its end. Raises ApiError."""
        ...


class Invoker:
    """Of a whole process: its counts are the installation's. ``functions`` raises Temporary while nothing runs functions."""

    def __init__(
        self, store: Reader, world: World, functions: Callable[[], Functions], metrics: Metrics = UNMETERED
    ) -> None:
        self.targets = Targets(store, functions)
        self._world = world
        self._functions = functions
        self.accounts = Accounts(world.now, metrics)
        self.durable: Durable | None = None
        """What runs durable functions."""

    def concurrency(self, account: str, region: str) -> Concurrency:
        return self.accounts.of(account, region).counts

    def meter(self, target: Target, name: str, value: float = 1.0) -> None:
        """Count something of AWS/Lambda that is no invocation's."""
        self.meter_at(target.account, target.region, place(target.name, target.qualifier), name, value)

    def meter_at(self, account: str, region: str, where: Place, name: str, value: float = 1.0) -> None:
        self.accounts.of(account, region).meters.add(where, name, value, self._world.now())

    def find(self, account: str, region: str, name: str, qualifier: str = "") -> Target:
        return self.targets.find(account, region, name, qualifier)

    def trace(self, target: Target, header: str) -> str:
        """The trace as the function gets it. Raises ApiError RecursiveInvocationException for a loop."""
        told, rounds = self._led(target, header)
        if rounds > traces.MOST_LOOPS and target.terminate:
            self.meter(target, LOOPS_ENDED)
            raise refusals.recursive(target.unqualified)
        return told

    def trace_of_event(self, target: Target, header: str) -> str:
        """The same where a loop is for the queue to end."""
        return self._led(target, header)[0]

    def _led(self, target: Target, header: str) -> tuple[str, int]:
        """The trace, and how often the chain has come by now."""
        trace = traces.parse(header) if header else None
        if trace is None:
            return traces.first(self._world.now(), self._world.hex(40), target.unqualified), 1
        trace, rounds = traces.through(trace, target.unqualified)
        return trace.header(), rounds

    def draw(self, target: Target, tenant: str = "") -> Served:
        """Raises ApiError where the version that is drawn cannot be run, or wants a tenant."""
        served = target.draw(self._world.chance.random() if len(target.served) > 1 else 0.0)
        if served.config.per_tenant != bool(tenant):
            raise refusals.tenant_wanted() if served.config.per_tenant else refusals.tenant_unwanted()
        return served

    def admit(self, target: Target, served: Served, synchronous: bool) -> Admission:
        """Raises ApiError TooManyRequestsException."""
        now = self._world.now()
        account = self.accounts.of(target.account, target.region)
        pool = self.targets.pool(target.account, target.region)
        if served.function.concurrency:
            return account.admit_freely(served.place, pool, now)
        admission = account.admit(served.place, self.targets.share(served), pool, now, synchronous)
        if isinstance(admission, str):
            raise refusals.throttled(admission)
        return admission

    def utilization(self, account: str, region: str, function: str, qualifier: str) -> float | None:
        """The part of the provisioned environments that is at work, 0 to 1; None when there are none."""
        try:
            target = self.find(account, region, function, qualifier)
        except ApiError:
            return None
        counts, used, ready = self.concurrency(account, region), 0, 0
        for version, served in target.served.items():
            if not isinstance(served, ApiError):
                ready += self.targets.share(served).provisioned
                used += counts.provisioned(function, version)
        return used / ready if ready else None

    async def invoke(self, target: Target, invocation: Invocation, synchronous: bool = True) -> Done:
        """Runs it once. Raises ApiError: throttled, not ready, cannot run (ResourceConflictException), no room or the answer
        is lost (ServiceException)."""
        served = self.draw(target, invocation.tenant)
        if served.config.durable is not None:
            return await self._durably(target, served, invocation)
        return await self.run(target, served, invocation, synchronous)

    async def run(self, target: Target, served: Served, invocation: Invocation, synchronous: bool = True) -> Done:
        """This version, once, whatever kind of function it is."""
        admission, outcome = self.admit(target, served, synchronous), None
        try:
            outcome = await self._functions().invoke(served.function, invocation)
        except Permanent as never:
            raise refusals.cannot_run(never.reason) from never
        except Temporary as later:
            raise self._not_now(target, served, later) from later
        finally:
            admission.over(outcome)
        return Done(outcome, served.version)

    async def _durably(self, target: Target, served: Served, invocation: Invocation) -> Done:
        if self.durable is None:
            raise refusals.no_room("durable executions are not open yet")
        return await self.durable.until_through(target, served, invocation)

    async def stream(self, target: Target, invocation: Invocation) -> Streamed:
        """Begins; errors as of ``invoke``. Whoever gets it closes it."""
        served = self.draw(target, invocation.tenant)
        if served.config.durable is not None:
            raise refusals.no_durable_streams()
        admission = self.admit(target, served, True)
        streamed: Streamed | None = None
        try:
            pieces = self._functions().stream(served.function, invocation)
            streamed = Streamed(pieces, served.version, admission.over)
            await streamed.begin()
        except BaseException as error:
            admission.over()
            if streamed is not None:
                await streamed.aclose()
            if isinstance(error, Permanent):
                raise refusals.cannot_run(error.reason) from error
            if isinstance(error, Temporary):
                raise self._not_now(target, served, error) from error
            raise
        return streamed

    def _not_now(self, target: Target, served: Served, later: Temporary) -> ApiError:
        """Where environments are not started for an invocation, one that finds all at work is throttled."""
        if served.function.concurrency and isinstance(later, NoRoom):
            self.accounts.of(target.account, target.region).meters.throttled(served.place, self._world.now())
            return refusals.throttled(CONCURRENT)
        return refusals.no_room(later.reason)


def loops(target: Target, trace: str) -> bool:
    """Whether this is one round too many of a chain that comes back to the function; ``trace`` is what the function gets."""
    return target.terminate and traces.rounds(trace, target.unqualified) > traces.MOST_LOOPS


class Streamed:
    """An answer that is being written: iterate over its pieces, then look at ``outcome``.

    Its slot is given back when the answer ends, when it is closed, and when it is forgotten.
    """

    def __init__(
        self, pieces: AsyncIterator[bytes | str | Outcome], version: str, over: Callable[[Outcome | None], None]
    ) -> None:
        self.version = version
        self.content_type = "application/octet-stream"
        self.outcome: Outcome | None = None
        self._pieces = pieces
        self._over = over
        self._first: bytes | None = None
        self._size = 0

    @property
    def failed(self) -> bool:
        """Whether the function failed before it answered anything."""
        return self.outcome is not None and bool(self.outcome.error) and self._size == 0 and self._first is None

    async def begin(self) -> None:
        """Returns when the function has said what it answers with, or has ended."""
        first = await self._next()
        if isinstance(first, str):
            self.content_type = first
        elif isinstance(first, bytes):
            self._first = first

    async def _next(self) -> bytes | str | None:
        try:
            piece = await anext(self._pieces)
        except StopAsyncIteration:
            piece = self.outcome or Outcome(error="Runtime.ExitError", payload=b'{"errorType":"Runtime.ExitError"}')
        except Permanent as never:
            piece = _lost(never.reason)
        except Temporary as later:
            if self._size == 0 and self._first is None:
                raise
            piece = _lost(later.reason)
        if isinstance(piece, Outcome):
            self.outcome = piece
            self._over(piece)
            return None
        return piece

    def __aiter__(self) -> Streamed:
        return self

    async def __anext__(self) -> bytes:
        while self.outcome is None or self._first is not None:
            piece: Any = self._first
            self._first = None
            if piece is None:
                piece = await self._next()
            if isinstance(piece, bytes) and piece:
                self._size += len(piece)
                if self._size > payloads.STREAMED:
                    self.outcome = _too_large()
                    break
                return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._over(None)
        close = getattr(self._pieces, "aclose", None)
        if close is not None:
            await close()

    def __del__(self) -> None:
        self._over(None)


def _lost(reason: str, kind: str = "ServiceException") -> Outcome:
    """The end of an answer that broke off."""
    return Outcome(error=kind, payload=msgspec.json.encode({"errorType": kind, "errorMessage": reason}))


def _too_large() -> Outcome:
    words = f"Response payload size exceeded maximum allowed payload size ({payloads.STREAMED} bytes)."
    return _lost(words, "Function.ResponseSizeTooLarge")
