"""The executions of this installation: begun, changed, ended. Runs are ``runs.py``'s."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.tasks import Tasks
from havre.core.durable import history, timers, updates
from havre.core.durable.model import (
    EXECUTION,
    FAILED,
    PAUSED,
    PAUSING,
    RUNNING,
    STARTED,
    STOPPED,
    SUCCEEDED,
    TIMED_OUT,
    Event,
    Execution,
    Fault,
    Op,
    Pause,
    Refused,
)
from havre.core.durable.updates import Changed
from havre.kernel.errors import ApiError
from havre.kernel.function import Invocation
from havre.kernel.world import World
from havre.services.lambda_.durable.live import Live, begun
from havre.services.lambda_.durable.present import callback_id, read_callback_id
from havre.services.lambda_.durable.shelf import Data, Shelf
from havre.services.lambda_.errors import conflict, invalid, not_found
from havre.services.lambda_.invoking import refusals
from havre.services.lambda_.invoking.targets import Served, Target
from havre.store.ports import Put, Records

Tell = Callable[[Execution, Data], Sequence[tuple[Put, Callable[[], None]]]]
DAY = 86_400.0
LONGEST_SYNCHRONOUS = 900
_ENDS = {
    SUCCEEDED: "ExecutionSucceeded",
    FAILED: "ExecutionFailed",
    TIMED_OUT: "ExecutionTimedOut",
    STOPPED: "ExecutionStopped",
}


class Executions:
    """Knows all of them by their records' heads; operations are in memory only of those that are under way."""

    def __init__(self, world: World, records: Records) -> None:
        self.shelf = Shelf(records)
        self.world = world
        self.tasks = Tasks()
        self.live: dict[str, Live] = {}
        self.tell: Tell = lambda execution, data: ()
        """What tells others of those that begin and end (``notices.py``)."""
        self._known: dict[str, Execution] | None = None
        self._names: dict[tuple[str, str, str, str], str] = {}

    @property
    def known(self) -> dict[str, Execution]:
        """By ARN."""
        if self._known is None:
            self._known = {}
            for execution in self.shelf.executions():
                self.remember(execution)
        return self._known

    def remember(self, execution: Execution) -> None:
        known = self._known if self._known is not None else self.known
        known[execution.arn] = execution
        self._names[execution.account, execution.region, execution.function, execution.name] = execution.arn

    def get(self, arn: str) -> Execution:
        """Raises ApiError ResourceNotFoundException."""
        live = self.live.get(arn)
        found = live.execution if live is not None else self.known.get(arn)
        if found is None:
            raise not_found(f"Durable execution not found: {arn}")
        return found

    def data(self, execution: Execution) -> Data:
        live = self.live.get(execution.arn)
        return live.data if live is not None else self.shelf.data(execution)

    def of_function(self, account: str, region: str, function: str) -> list[Execution]:
        where = (account, region, function)
        return [self.get(e.arn) for e in self.known.values() if (e.account, e.region, e.function) == where]

    def take_up(self, execution: Execution) -> Live:
        """The execution as it is under way, read from the disk when it is not yet."""
        live = self.live.get(execution.arn)
        if live is None:
            ops = self.shelf.ops(execution.uid)
            live = self.live[execution.arn] = Live(self.shelf, execution, self.shelf.data(execution), ops)
        return live

    # ------------------------------------------------------------------ begin

    async def begin(
        self, target: Target, served: Served, invocation: Invocation, name: str, synchronous: bool
    ) -> Execution:
        """A new one, or the one of this name that had the same payload. Raises ApiError, Temporary."""
        durable = served.config.durable
        assert durable is not None
        if not target.qualifier:
            raise refusals.durable_unqualified()
        if synchronous and durable.timeout > LONGEST_SYNCHRONOUS:
            raise refusals.durable_too_long()
        digest = hashlib.sha256(invocation.payload).hexdigest()
        _ = self.known
        same = self._names.get((target.account, target.region, target.name, name)) if name else None
        if same is not None:
            found = self.get(same)
            if found.digest != digest:
                raise refusals.already_started(name)
            return found
        made = self._made(target, served, invocation, name, synchronous)
        live = Live(self.shelf, made, Data(invocation.payload.decode()), {})
        self.remember(made)
        self.live[made.arn] = live
        started = {"Input": {"Payload": live.data.payload}, "ExecutionTimeout": made.limit}
        event = history.of_execution(0, made.started, "ExecutionStarted", started)
        notices = self.tell(made, live.data)
        try:
            await live.save(made, made.started, [Changed(begun(made))], [event], [put for put, _ in notices])
        except BaseException:
            self._drop(made)
            raise
        for _, kept in notices:
            kept()
        return live.execution

    def _made(self, target: Target, served: Served, invocation: Invocation, name: str, synchronous: bool) -> Execution:
        durable = served.config.durable
        assert durable is not None
        uid, now = self.world.uuid(), self.world.now()
        name = name or uid
        return Execution(
            number=self.shelf.number(target.account, target.region),
            uid=uid,
            arn=f"{target.unqualified}:{served.version}/durable-execution/{name}/{uid}",
            account=target.account,
            region=target.region,
            function=target.name,
            version=served.version,
            name=name,
            arn_named=target.arn,
            started=now,
            limit=durable.timeout,
            expires=now + durable.timeout,
            retention=durable.retention,
            trace=invocation.trace,
            tenant=invocation.tenant,
            synchronous=synchronous,
            digest=hashlib.sha256(invocation.payload).hexdigest(),
        )

    # ------------------------------------------------------------------ change

    async def checkpoint(
        self, arn: str, token: str, given: Sequence[Mapping[str, Any]], client: str
    ) -> tuple[str, list[Op], Live]:
        """The next token ("" for none: the run is to end), and the operations that the run has not seen. Raises ApiError."""
        live = self.live.get(arn)
        if live is None or not live.execution.alive or not live.token or not same(live.token, token):
            raise invalid("Invalid checkpoint token")
        now = self.world.now()
        changes = [Changed(op) for op in timers.passed(live.ops.values(), now)]
        try:
            state = {**live.ops, **{each.op.id: each.op for each in changes}}
            changes += updates.apply(state, given, now, lambda id: self._callback(arn, id), live.execution.synchronous)
        except Refused as refused:
            raise invalid(str(refused)) from None
        closing = next((each.op for each in changes if each.op.kind == EXECUTION), None)
        changes = [each for each in changes if each.op.kind != EXECUTION]
        live.token = ""  # a second one that comes meanwhile is too late
        try:
            await live.save(live.execution, now, changes)
        except BaseException:
            live.token = token
            raise
        if closing is not None:
            live.closing = replace(live.data, result=closing.result, fault=closing.fault)
        live.unseen |= {each.op.id for each in changes}
        shown = [op for id, op in live.ops.items() if id in live.unseen]
        live.unseen.clear()
        if live.execution.status == PAUSING or closing is not None:
            live.wanted = closing is None
            return "", shown, live
        return live.fresh_token(), shown, live

    def _callback(self, arn: str, operation: str) -> str:
        return callback_id(arn, operation, secrets.token_hex(8))

    async def passed(self, live: Live) -> None:
        """What time has changed by now."""
        now = self.world.now()
        await self.changed(live, [Changed(op) for op in timers.passed(live.ops.values(), now)])

    async def changed(self, live: Live, changes: Sequence[Changed]) -> None:
        """From outside of a run: it is told of them at its next checkpoint, or run again."""
        if changes:
            await live.save(live.execution, self.world.now(), changes)
            live.unseen |= {each.op.id for each in changes}

    async def changed_quietly(self, live: Live, op: Op) -> None:
        """Nothing that history tells of, or that a run has to know."""
        execution = live.execution
        live.ops[op.id] = op
        await self.shelf.save(execution, live.data, [op])

    def callback(self, id: str) -> tuple[Live, Op]:
        """Raises ApiError for an id that is none, and for a callback that has ended."""
        read = read_callback_id(id)
        execution = self.known.get(read[0]) if read is not None else None
        if read is None or execution is None:
            raise invalid("Invalid callback id")
        execution = self.get(execution.arn)
        op = self.take_up(execution).ops.get(read[1]) if execution.alive else None
        if op is None or op.status != STARTED or not same(op.callback, id):
            raise ApiError("CallbackTimeoutException", "The callback has timed out or has already been completed.")
        return self.take_up(execution), op

    # ------------------------------------------------------------------ end

    async def end(self, live: Live, status: str, result: str | None = None, fault: Fault | None = None) -> None:
        """Whoever waits for it hears of it."""
        execution = live.execution
        if not execution.alive:
            return
        now = self.world.now()
        if status == SUCCEEDED:
            details: dict[str, Any] = {"Result": {"Payload": result or ""}}
        else:
            details = {"Error": {"Payload": history.fault_of(fault)}}
        before = live.data
        live.data = replace(before, result=result, fault=fault)
        live.token = ""
        ended = replace(execution, status=status, ended=now, pause=None)
        own = replace(live.ops[execution.uid], status=status, ended=now)
        notices = self.tell(ended, live.data)
        event = history.of_execution(0, now, _ENDS[status], details)
        try:
            await live.save(ended, now, [Changed(own)], [event], [put for put, _ in notices])
        except BaseException:
            live.data = before
            raise
        for _, kept in notices:
            kept()
        self.remember(live.execution)
        live.through.set()
        if live.timer is not None:
            live.timer.cancel()
        self.live.pop(live.arn, None)

    async def pause(self, live: Live, reason: str | None, clock: bool) -> None:
        """Raises ApiError ResourceConflictException for one that is not running."""
        now = self.world.now()
        execution = live.execution
        if execution.status != RUNNING:
            raise conflict(f"The durable execution cannot be paused: its status is {execution.status}.")
        asked = replace(execution, status=PAUSING, pause=Pause(now, clock, reason))
        if live.running:
            await live.save(asked, now)
        else:
            await self.paused(live, asked)

    async def paused(self, live: Live, execution: Execution) -> None:
        """No run is under way any more."""
        pause, now = execution.pause, self.world.now()
        assert pause is not None
        details: dict[str, Any] = {"PauseRequestTimestamp": pause.requested, "ExecutionTimeoutPaused": pause.clock}
        if pause.reason is not None:
            details["Reason"] = {"Payload": pause.reason}
        event = history.of_execution(0, now, "ExecutionPaused", details)
        await live.save(replace(execution, status=PAUSED), now, (), [event])

    async def resume(self, live: Live, reason: str | None) -> None:
        """Raises ApiError ResourceConflictException for one that is not paused."""
        execution, now = live.execution, self.world.now()
        if execution.status not in (PAUSING, PAUSED) or execution.pause is None:
            raise conflict(f"The durable execution cannot be resumed: its status is {execution.status}.")
        pause, events = execution.pause, list[Event]()
        expires = execution.expires + (now - pause.requested if pause.clock else 0.0)
        if execution.status == PAUSED:
            details: dict[str, Any] = {"ResumeRequestTimestamp": now}
            if reason is not None:
                details["Reason"] = {"Payload": reason}
            events.append(history.of_execution(0, now, "ExecutionResumed", details))
        await live.save(replace(execution, status=RUNNING, pause=None, expires=expires), now, (), events)

    async def delete(self, execution: Execution) -> float:
        """When. Raises ApiError ResourceConflictException for one that is alive."""
        if execution.alive:
            raise conflict("The durable execution must be in a terminal state to be deleted.")
        await self.shelf.remove(execution)
        self._drop(execution)
        return self.world.now()

    def _drop(self, execution: Execution) -> None:
        self.known.pop(execution.arn, None)
        self.live.pop(execution.arn, None)
        self._names.pop((execution.account, execution.region, execution.function, execution.name), None)

    async def expire(self) -> None:
        """Forget those whose history has been kept long enough."""
        now = self.world.now()
        for execution in list(self.known.values()):
            ended = execution.ended
            if ended is not None and ended + execution.retention * DAY <= now:
                await self.delete(execution)

    async def reset(self) -> None:
        """Forget all of them, wherever they are."""
        for execution in list(self.known.values()):
            live = self.live.get(execution.arn)
            if live is not None:
                live.execution, live.token = replace(live.execution, status=STOPPED), ""
                live.through.set()
                if live.timer is not None:
                    live.timer.cancel()
            await self.shelf.remove(execution)
            self._drop(execution)

    def alive(self) -> Iterable[Execution]:
        return [execution for execution in self.known.values() if execution.alive]


def same(one: str, other: str) -> bool:
    """Of tokens: how long it takes tells nothing of them."""
    return secrets.compare_digest(one.encode(), other.encode())
