"""Runs of durable functions: begun when there is something new to go on with, judged when they end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from havre.control.deps import ReconcilerDeps
from havre.core.durable import history, timers
from havre.core.durable.history import fault_of
from havre.core.durable.model import (
    CHAINED,
    FAILED,
    PAUSED,
    PAUSING,
    RUNNING,
    STARTED,
    SUCCEEDED,
    TIMED_OUT,
    Execution,
    Fault,
)
from havre.core.durable.updates import fault as read_fault
from havre.core.invoking.payloads import value
from havre.kernel.errors import ApiError, Temporary
from havre.kernel.function import Invocation, Outcome
from havre.services.lambda_.durable.chains import Chains
from havre.services.lambda_.durable.executions import Executions
from havre.services.lambda_.durable.live import Live
from havre.services.lambda_.durable.present import in_milliseconds, operation
from havre.services.lambda_.invoking.invoker import Done, Invoker
from havre.services.lambda_.invoking.targets import Served, Target

log = logging.getLogger("havre.lambda")
PAGE_BYTES = 4 * 1024 * 1024
"""Of operations that a run is handed at once; it asks for the others."""
SET_BACK = 2.0
"""Seconds until a run is tried again that was throttled, or that no machine had room for."""
SWEEP = 3600.0
NOTHING_PENDING = "Cannot return PENDING status with no pending operations."


class Runs:
    """``run`` is a loop; until it runs, executions are kept and none goes on."""

    def __init__(self, executions: Executions, invoker: Invoker) -> None:
        self.executions = executions
        self._invoker = invoker
        self._world = executions.world
        self._chains: Chains | None = None
        self.progress: float | None = None

    async def run(self, deps: ReconcilerDeps) -> None:
        """Until cancelled. Executions that were under way go on."""
        executions = self.executions
        self._chains = Chains(deps, executions, self._invoker, self.look)
        try:
            for execution in executions.alive():
                self.checkpointed(executions.take_up(execution))
            while True:
                await executions.expire()
                self.progress = self._world.now()
                await asyncio.sleep(SWEEP)
        finally:
            self._chains = None
            await executions.tasks.close()

    async def until_through(self, target: Target, served: Served, invocation: Invocation) -> Done:
        """See ``invoker.Durable``."""
        execution = await self.begin(target, served, invocation, "", True)
        return await self.wait(execution)

    async def begin(
        self, target: Target, served: Served, invocation: Invocation, name: str, synchronous: bool
    ) -> Execution:
        execution = await self.executions.begin(target, served, invocation, name, synchronous)
        live = self.executions.live.get(execution.arn)
        if live is not None:
            self.look(live)
        return execution

    async def wait(self, execution: Execution) -> Done:
        """Until it has ended."""
        live = self.executions.live.get(execution.arn)
        if live is not None:
            await live.through.wait()
        ended = self.executions.get(execution.arn)
        data = self.executions.data(ended)
        if ended.status == SUCCEEDED:
            return Done(Outcome((data.result or "null").encode()), ended.version, ended.arn)
        told = fault_of(data.fault)
        shown = {"errorMessage": told.get("ErrorMessage", ""), "errorType": told.get("ErrorType", ended.status)}
        if "StackTrace" in told:
            shown["stackTrace"] = told["StackTrace"]
        return Done(Outcome(msgspec.json.encode(shown), "Unhandled"), ended.version, ended.arn)

    def checkpointed(self, live: Live) -> None:
        """A run has said what it did: begin what it waits for."""
        if self._chains is not None:
            for op in live.ops.values():
                if op.kind == CHAINED and op.status == STARTED:
                    self._chains.begin(live, op)
        self.look(live)

    # ------------------------------------------------------------------ when

    def look(self, live: Live) -> None:
        """Something may have changed: go on with it in the background."""
        self.executions.tasks.spawn(self._advance(live), f"execution {live.execution.name}")

    async def _advance(self, live: Live) -> None:
        try:
            await self._step(live)
        except Temporary as refused:
            log.warning("execution %s is set back: %s", live.arn, refused.reason)
            self._wake(live, self._world.now() + refused.after)

    async def _step(self, live: Live) -> None:
        executions = self.executions
        if not live.execution.alive or self._chains is None:
            return
        await executions.passed(live)
        execution, now = live.execution, self._world.now()
        stands = execution.pause is not None and execution.pause.clock
        if execution.expires <= now and not stands:
            words = f"The durable execution timed out after {execution.limit} seconds."
            await executions.end(live, TIMED_OUT, None, Fault(words, "ExecutionTimedOut"))
            return
        new = live.wanted or bool(live.unseen)
        if execution.status == RUNNING and not live.running and new and execution.again <= now:
            live.running, live.wanted = True, False
            self._arm(live)
            try:
                await self._run(live)
            except BaseException:  # what came of it is not on disk: it is run once more
                live.wanted = True
                raise
            finally:
                live.running = False
            self.progress = self._world.now()
            if live.execution.alive:
                self.look(live)
            return
        self._arm(live)

    def _arm(self, live: Live) -> None:
        execution, now = live.execution, self._world.now()
        times = [timers.next_time(live.ops.values())]
        if execution.pause is None or not execution.pause.clock:
            times.append(execution.expires)
        if (live.wanted or live.unseen) and execution.again > now and execution.status == RUNNING:
            times.append(execution.again)
        due = [t for t in times if t is not None]
        if due:
            self._wake(live, min(due))

    def _wake(self, live: Live, when: float) -> None:
        if live.timer is not None:
            live.timer.cancel()
        delay = min(max(0.0, when - self._world.now()), 3600.0)
        live.timer = asyncio.get_running_loop().call_later(delay, self.look, live)

    # ------------------------------------------------------------------ a run

    async def _run(self, live: Live) -> None:
        execution, began = live.execution, self._world.now()
        id = self._world.uuid()
        try:
            target = self._invoker.find(execution.account, execution.region, execution.function, execution.version)
            payload = self._payload(live)
            invocation = Invocation(id, execution.arn_named, payload, trace=execution.trace, tenant=execution.tenant)
            done = await self._invoker.run(target, target.draw(0.0), invocation, synchronous=False)
        except ApiError as error:
            await self._not_run(live, error)
            return
        finally:
            live.token = ""
        await self._judge(live, id, began, done.outcome)

    def _payload(self, live: Live) -> bytes:
        shown: list[dict[str, Any]] = []
        size, marker = 0, ""
        replayed = timers.replayed(live.ops)
        for place, op in enumerate(replayed):
            told = in_milliseconds(operation(op, live.data.payload))
            size += len(op.result or "") + len(op.payload or "") + 400
            if size > PAGE_BYTES and shown:
                marker = str(place)
                break
            shown.append(told)
        updated = sorted(id for id in live.unseen if id != live.execution.uid)
        live.unseen.clear()
        state: dict[str, Any] = {"Operations": shown}
        if marker:
            state["NextMarker"] = marker
        return msgspec.json.encode(
            {
                "DurableExecutionArn": live.arn,
                "CheckpointToken": live.fresh_token(),
                "InitialExecutionState": state,
                "UpdatedOperationIds": updated,
            }
        )

    async def _not_run(self, live: Live, error: ApiError) -> None:
        """Throttles and missing room pass; a function that is gone does not come back."""
        if error.code == "ResourceNotFoundException":
            await self.executions.end(live, FAILED, None, Fault(error.message, error.code))
            return
        log.warning("execution %s: %s", live.arn, error)
        live.wanted = True
        chance = self._world.chance.random()
        live.execution = replace(live.execution, again=self._world.now() + SET_BACK * (1.0 + chance))

    async def _judge(self, live: Live, id: str, began: float, outcome: Outcome) -> None:
        if not live.execution.alive:  # stopped, or timed out meanwhile
            return
        error = _failure(outcome) if outcome.error else None
        status, result, fault = ("", None, None) if error is not None else _output(outcome.payload)
        if status == "PENDING" and not self._may_wait(live):
            error = Fault(NOTHING_PENDING, "InvalidParameterValueException")
        now = self._world.now()
        details: dict[str, Any] = {"StartTimestamp": began, "EndTimestamp": now, "RequestId": id}
        if error is not None:
            details["Error"] = {"Payload": fault_of(error)}
        event = history.of_execution(0, now, "InvocationCompleted", details)
        if error is not None:
            await self._failed(live, outcome, error, event)
            return
        await live.save(replace(live.execution, retries=0, again=0.0), now, (), [event])
        if status == SUCCEEDED:
            closing = live.closing
            await self.executions.end(live, SUCCEEDED, closing.result if closing is not None and not result else result)
        elif status == FAILED:
            await self.executions.end(live, FAILED, None, fault or Fault())
        elif live.execution.status == PAUSING:
            await self.executions.paused(live, live.execution)

    def _may_wait(self, live: Live) -> bool:
        return live.execution.status in (PAUSING, PAUSED) or bool(live.unseen) or timers.waits(live.ops.values())

    async def _failed(self, live: Live, outcome: Outcome, error: Fault, event: Any) -> None:
        retries, now = live.execution.retries + 1, self._world.now()
        delay = timers.retry_delay(retries, timers.of_environment(outcome.error))
        if error.message == NOTHING_PENDING and retries > timers.AT_ONCE:
            delay = None
        again = now + (delay or 0.0)
        live.wanted = True
        await live.save(replace(live.execution, retries=retries, again=again), now, (), [event])
        if delay is None:
            await self.executions.end(live, FAILED, None, error)
        elif live.execution.status == PAUSING:
            await self.executions.paused(live, live.execution)


def _failure(outcome: Outcome) -> Fault:
    told = value(outcome.payload)
    if not isinstance(told, Mapping):
        return Fault(outcome.payload.decode("utf-8", "replace")[:1024] or None, outcome.error)
    stack = told.get("stackTrace")
    lines = tuple(str(line) for line in stack) if isinstance(stack, list) else None
    message, kind = told.get("errorMessage"), told.get("errorType")
    return Fault(str(message) if message is not None else None, str(kind or outcome.error), None, lines)


def _output(payload: bytes) -> tuple[str, str | None, Fault | None]:
    """(status, result, fault) of a run that ended by itself."""
    told = value(payload)
    status = told.get("Status") if isinstance(told, Mapping) else None
    if not isinstance(told, Mapping) or status not in (SUCCEEDED, FAILED, "PENDING"):
        return FAILED, None, Fault("Invalid Status in invocation output.", "Durable.InvalidOutput")
    result, error = told.get("Result"), told.get("Error")
    fault = read_fault(error) if isinstance(error, Mapping) else None
    return str(status), result if isinstance(result, str) else None, fault
