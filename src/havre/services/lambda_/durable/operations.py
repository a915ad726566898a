"""The API of durable executions: what their SDK calls, and what people do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.durable import history, timers
from havre.core.durable.model import FAILED, LARGEST_RESULT, STOPPED, SUCCEEDED, Execution, Fault, Op
from havre.core.durable.updates import Changed, fault
from havre.services.lambda_ import queries
from havre.services.lambda_.durable import present
from havre.services.lambda_.durable.executions import Executions, same
from havre.services.lambda_.durable.runs import Runs
from havre.services.lambda_.errors import invalid
from havre.services.lambda_.facilities import Facilities

USUAL, MOST = 100, 1000


def _by_arn(call: Call, request: Request) -> Sequence[str]:
    return (request["DurableExecutionArn"],)


def _by_callback(call: Call, request: Request) -> Sequence[str]:
    read = present.read_callback_id(request["CallbackId"])
    return (read[0],) if read is not None else ("*",)


def _by_function(call: Call, request: Request) -> Sequence[str]:
    return queries.arns(call.account, call.region, request["FunctionName"], request.get("Qualifier", ""))


class DurableOperations:
    """``open`` gives what runs durable functions in this process."""

    def __init__(self, open: Callable[[Call], Runs]) -> None:
        self._open = open

    def operations(self) -> Operations:
        ops = Operations()
        data: dict[str, Any] = {"resources": _by_arn, "data_event": True}
        ops("CheckpointDurableExecution", **data)(self.checkpoint)
        ops("GetDurableExecutionState", **data)(self.state)
        ops("GetDurableExecution", resources=_by_arn)(self.get)
        ops("GetDurableExecutionHistory", resources=_by_arn)(self.history)
        ops("ListDurableExecutionsByFunction", resources=_by_function)(self.list)
        ops("StopDurableExecution", resources=_by_arn)(self.stop)
        ops("PauseDurableExecution", resources=_by_arn)(self.pause)
        ops("ResumeDurableExecution", resources=_by_arn)(self.resume)
        ops("DeleteDurableExecution", resources=_by_arn)(self.delete)
        back: dict[str, Any] = {"resources": _by_callback, "data_event": True}
        ops("SendDurableExecutionCallbackSuccess", **back)(self.succeed)
        ops("SendDurableExecutionCallbackFailure", **back)(self.fail)
        ops("SendDurableExecutionCallbackHeartbeat", **back)(self.beat)
        return ops

    def _executions(self, call: Call) -> Executions:
        return self._open(call).executions

    # ------------------------------------------------------------------ for runs

    async def checkpoint(self, call: Call, request: Request) -> Answer:
        runs = self._open(call)
        arn, token, client = request["DurableExecutionArn"], request["CheckpointToken"], request.get("ClientToken", "")
        live = runs.executions.live.get(arn)
        answered = live.answered if live is not None else None
        if client and answered is not None and same(answered[0], token) and answered[1] == client:
            return answered[2]
        following, ops, live = await runs.executions.checkpoint(arn, token, request.get("Updates") or (), client)
        payload = live.data.payload
        answer: dict[str, Any] = {"NewExecutionState": {"Operations": [present.operation(op, payload) for op in ops]}}
        if following:
            answer["CheckpointToken"] = following
        live.answered = (token, client, answer)
        runs.checkpointed(live)
        return answer

    async def state(self, call: Call, request: Request) -> Answer:
        executions = self._executions(call)
        live = executions.live.get(request["DurableExecutionArn"])
        if live is None or not live.token or not same(live.token, request["CheckpointToken"]):
            raise invalid("Invalid checkpoint token")
        ops, start, limit = timers.replayed(live.ops), _place(request), _limit(request)
        shown = [present.operation(op, live.data.payload) for op in ops[start : start + limit]]
        more = start + limit < len(ops)
        return {"Operations": shown, "NextMarker": str(start + limit) if more else None}

    # ------------------------------------------------------------------ for people

    async def get(self, call: Call, request: Request) -> Answer:
        executions = self._executions(call)
        found = executions.get(request["DurableExecutionArn"])
        return present.whole(found, executions.data(found), request.get("IncludeExecutionData", True))

    async def history(self, call: Call, request: Request) -> Answer:
        executions = self._executions(call)
        found = executions.get(request["DurableExecutionArn"])
        limit, backwards = _limit(request), bool(request.get("ReverseOrder"))
        events = executions.shelf.history(found, _place(request), limit, backwards)
        shown = [history.shown(event, bool(request.get("IncludeExecutionData"))) for event in events]
        last = events[-1].number if events else 0
        more = bool(events) and (last > 1 if backwards else last < found.events)
        return {"Events": shown, "NextMarker": str(last) if more else None}

    async def list(self, call: Call, request: Request) -> Answer:
        said = queries.named(call.account, call.region, request["FunctionName"], request.get("Qualifier", ""))
        function = queries.function(call.store, said.account, said.region, said.name)
        versions = None
        if said.qualifier:
            resolved = queries.resolve(call.store, said.account, said.region, said.name, said.qualifier)
            versions = {version for version, _ in resolved.shares}
        m = function.meta
        found = self._executions(call).of_function(m.account, m.region, m.name)
        chosen = [e for e in found if _wanted(e, request) and (versions is None or e.version in versions)]
        chosen.sort(key=lambda e: (e.started, e.number), reverse=not request.get("ReverseOrder"))
        start, limit = _place(request), _limit(request)
        more = start + limit < len(chosen)
        shown = [present.summary(e) for e in chosen[start : start + limit]]
        return {"DurableExecutions": shown, "NextMarker": str(start + limit) if more else None}

    async def stop(self, call: Call, request: Request) -> Answer:
        executions = self._executions(call)
        found = executions.get(request["DurableExecutionArn"])
        if found.alive:
            given = fault(request.get("Error")) or Fault("The durable execution was stopped.", "ExecutionStopped")
            _check_size(given.size)
            await executions.end(executions.take_up(found), STOPPED, None, given)
        return {"StopTimestamp": executions.get(found.arn).ended}

    async def pause(self, call: Call, request: Request) -> Answer:
        executions = self._executions(call)
        live = executions.take_up(executions.get(request["DurableExecutionArn"]))
        await executions.pause(live, request.get("Reason"), bool(request.get("ExecutionTimeoutPaused")))
        return {}

    async def resume(self, call: Call, request: Request) -> Answer:
        runs = self._open(call)
        live = runs.executions.take_up(runs.executions.get(request["DurableExecutionArn"]))
        await runs.executions.resume(live, request.get("Reason"))
        runs.look(live)
        return {}

    async def delete(self, call: Call, request: Request) -> Answer:
        executions = self._executions(call)
        found = executions.get(request["DurableExecutionArn"])
        return {"DeletionRequestTimestamp": await executions.delete(found)}

    # ------------------------------------------------------------------ callbacks

    async def succeed(self, call: Call, request: Request) -> Answer:
        result = bytes(request.get("Result") or b"")
        _check_size(len(result))
        text = result.decode("utf-8", "replace") if result else None
        return await self._called_back(call, request, status=SUCCEEDED, result=text)

    async def fail(self, call: Call, request: Request) -> Answer:
        given = fault(request.get("Error")) or Fault()
        _check_size(given.size)
        return await self._called_back(call, request, status=FAILED, fault=given)

    async def beat(self, call: Call, request: Request) -> Answer:
        runs = self._open(call)
        live, op = runs.executions.callback(request["CallbackId"])
        if op.beat:
            await runs.executions.changed_quietly(live, replace(op, beat_due=call.now + op.beat))
            runs.look(live)
        return {}

    async def _called_back(self, call: Call, request: Request, **change: Any) -> Answer:
        runs = self._open(call)
        live, op = runs.executions.callback(request["CallbackId"])
        done: Op = replace(op, ended=call.now, due=None, beat_due=None, **change)
        await runs.executions.changed(live, [Changed(done)])
        runs.look(live)
        return {}


def _check_size(size: int) -> None:
    if size > LARGEST_RESULT:
        raise invalid(f"Payload size must be less than or equal to {LARGEST_RESULT} bytes.")


def _place(request: Mapping[str, Any]) -> int:
    marker = request.get("Marker") or "0"
    if not marker.isdecimal() or len(marker) > 9:
        raise invalid("Invalid marker")
    return int(marker)


def _limit(request: Mapping[str, Any]) -> int:
    return min(MOST, request.get("MaxItems") or USUAL)


def _wanted(execution: Execution, request: Mapping[str, Any]) -> bool:
    name, states = request.get("DurableExecutionName"), request.get("Statuses")
    after, before = request.get("StartedAfter"), request.get("StartedBefore")
    return (
        (name is None or execution.name == name)
        and (not states or execution.status in states)
        and (after is None or execution.started > after)
        and (before is None or execution.started < before)
    )


def operations(facilities: Facilities) -> Operations:
    return DurableOperations(lambda call: facilities.open_invoking(call.store, call.world).durable).operations()
