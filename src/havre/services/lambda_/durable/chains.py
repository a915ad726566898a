"""Functions that a durable execution invokes and waits for: by the role of its function."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from havre.control.deps import ReconcilerDeps
from havre.control.roles import Roles
from havre.core.durable.model import FAILED, LARGEST_RESULT, STARTED, STOPPED, SUCCEEDED, TIMED_OUT, Fault, Op
from havre.core.durable.updates import Changed
from havre.core.durable.updates import fault as read_fault
from havre.core.invoking.payloads import value
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.kernel.function import session_name
from havre.services.lambda_.durable.executions import Executions
from havre.services.lambda_.durable.live import Live
from havre.services.lambda_.invoking.invoker import Invoker
from havre.services.lambda_.roles import PRINCIPAL

log = logging.getLogger("havre.lambda")
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
_ENDS = {SUCCEEDED: SUCCEEDED, TIMED_OUT: TIMED_OUT, STOPPED: STOPPED}


class Chains:
    """``look`` is told of each execution that an answer has come for."""

    def __init__(
        self, deps: ReconcilerDeps, executions: Executions, invoker: Invoker, look: Callable[[Live], None]
    ) -> None:
        self._roles = Roles(deps, PRINCIPAL)
        self._executions = executions
        self._invoker = invoker
        self._look = look
        self._followed: set[tuple[str, str]] = set()

    def begin(self, live: Live, op: Op) -> None:
        """Once for each operation."""
        if (live.arn, op.id) in self._followed:
            return
        self._followed.add((live.arn, op.id))
        self._executions.tasks.spawn(self._follow(live, op), f"{op.function} for {live.execution.name}")

    async def _follow(self, live: Live, op: Op) -> None:
        try:
            await self._until_answered(live, op)
        finally:
            self._followed.discard((live.arn, op.id))

    async def _until_answered(self, live: Live, op: Op) -> None:
        wait = FIRST_WAIT
        while live.execution.alive:
            try:
                ended = await self._invoke(live, op)
                break
            except Temporary as later:
                log.warning("%s for %s: %s", op.function, live.arn, later.reason)
                await asyncio.sleep(wait)
                wait = min(LONGEST_WAIT, wait * 2)
            except ApiError as error:
                ended = self._failed(op, Fault(error.message, error.code))
                break
            except Permanent as never:
                ended = self._failed(op, Fault(never.reason, "ServiceException"))
                break
        else:
            return
        if live.execution.alive and live.ops[op.id].status == STARTED:
            await self._executions.changed(live, [Changed(ended)])
            self._look(live)

    async def _invoke(self, live: Live, op: Op) -> Op:
        """The operation as it has ended. Raises ApiError, Temporary, Permanent."""
        execution = live.execution
        own = self._invoker.find(execution.account, execution.region, execution.function, execution.version)
        role = own.role(execution.version)
        trace = op.trace or execution.trace
        session = session_name(execution.function)
        aws = await self._roles.acting(role, execution.account, execution.region, session, trace)
        target = self._invoker.find(execution.account, execution.region, op.function)
        request: dict[str, Any] = {"FunctionName": op.function, "Payload": (op.payload or "{}").encode()}
        if op.tenant:
            request["TenantId"] = op.tenant
        if target.draw(0.0).config.durable is None:
            return self._answered(op, await aws("lambda", "Invoke", request))
        name = f"{execution.uid[:18]}-{op.id}"[:64].rstrip("-")
        answer = await aws("lambda", "Invoke", {**request, "InvocationType": "Event", "DurableExecutionName": name})
        return await self._child(op, answer["DurableExecutionArn"])

    async def _child(self, op: Op, arn: str) -> Op:
        executions = self._executions
        live = executions.live.get(arn)
        if live is not None:
            await live.through.wait()
        ended = executions.get(arn)
        data = executions.data(ended)
        if ended.status == SUCCEEDED:
            return self._succeeded(op, data.result)
        failed = self._failed(op, data.fault or Fault(None, ended.status))
        return replace(failed, status=_ENDS.get(ended.status, FAILED))

    def _answered(self, op: Op, answer: Mapping[str, Any]) -> Op:
        payload = bytes(answer.get("Payload") or b"")
        if not answer.get("FunctionError"):
            return self._succeeded(op, payload.decode("utf-8", "replace"))
        told = value(payload)
        given = told if isinstance(told, Mapping) else {}
        stack = given.get("stackTrace")
        names = {"ErrorMessage": given.get("errorMessage"), "ErrorType": given.get("errorType"), "StackTrace": stack}
        return self._failed(op, read_fault(names) or Fault())

    def _succeeded(self, op: Op, result: str | None) -> Op:
        if len((result or "").encode()) > LARGEST_RESULT:
            words = f"Chained invoke result size must be less than or equal to {LARGEST_RESULT} bytes."
            return self._failed(op, Fault(words, "InvalidParameterValueException"))
        return replace(op, status=SUCCEEDED, ended=self._executions.world.now(), result=result)

    def _failed(self, op: Op, fault: Fault) -> Op:
        return replace(op, status=FAILED, ended=self._executions.world.now(), fault=fault)
