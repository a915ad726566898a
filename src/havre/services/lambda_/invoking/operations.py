"""Invoke, InvokeAsync, InvokeWithResponseStream."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from havre.control.operation import Answer, Call, Operations, Request, StreamingBody
from havre.core.invoking import payloads
from havre.kernel.function import Invocation
from havre.services.lambda_ import queries
from havre.services.lambda_.facilities import Facilities
from havre.services.lambda_.invoking import refusals
from havre.services.lambda_.invoking.assembly import Invoking
from havre.services.lambda_.invoking.invoker import Done, Invoker, Streamed
from havre.services.lambda_.invoking.targets import Target

UNHANDLED = "Unhandled"


class InvokeOperations:
    """``open`` gives what invocation consists of in this process."""

    def __init__(self, open: Callable[[Call], Invoking]) -> None:
        self._open = open

    def operations(self) -> Operations:
        ops = Operations()
        declared: dict[str, Any] = {"action": "lambda:InvokeFunction", "resources": _arns, "data_event": True}
        ops("Invoke", **declared)(self.invoke)
        ops("InvokeAsync", **declared)(self.invoke_async)
        ops("InvokeWithResponseStream", **declared)(self.invoke_with_response_stream)
        return ops

    async def invoke(self, call: Call, request: Request) -> Answer:
        invoking = self._open(call)
        invoker = invoking.invoker
        target = invoker.find(call.account, call.region, request["FunctionName"], request.get("Qualifier", ""))
        kind = request.get("InvocationType", "RequestResponse")
        payload = _payload(request, kind)
        name = request.get("DurableExecutionName", "")
        if kind == "Event":
            return await self._event(invoking, call, request, target, payload)
        if kind == "DryRun":
            invoker.draw(target, request.get("TenantId", ""))
            return {"StatusCode": 204}
        invocation = _invocation(invoker, call, request, target, payload)
        _check_tail(target, invocation)
        if name:
            return _answer(await self._named(invoking, target, invocation, name), invocation)
        return _answer(await invoker.invoke(target, invocation), invocation)

    @staticmethod
    async def _named(invoking: Invoking, target: Target, invocation: Invocation, name: str) -> Done:
        """A durable execution with a name of its own."""
        served = invoking.invoker.draw(target, invocation.tenant)
        if served.config.durable is None:
            raise refusals.not_durable()
        return await invoking.durable.wait(await invoking.durable.begin(target, served, invocation, name, True))

    async def _event(self, invoking: Invoking, call: Call, request: Request, target: Target, payload: bytes) -> Answer:
        tenant, name = request.get("TenantId", ""), request.get("DurableExecutionName", "")
        served = invoking.invoker.draw(target, tenant)
        if served.config.durable is not None:
            trace = invoking.invoker.trace(target, call.trace)
            invocation = Invocation(call.request_id, target.arn, payload, trace=trace, tenant=tenant)
            begun = await invoking.durable.begin(target, served, invocation, name, False)
            return {"StatusCode": 202, "DurableExecutionArn": begun.arn, "TraceHeader": trace}
        if name:
            raise refusals.not_durable()
        # a caller is told of the loop that he makes; what a service hands over would be lost by a refusal
        lead = invoking.invoker.trace_of_event if call.principal.service else invoking.invoker.trace
        trace = lead(target, call.trace)
        await invoking.events.put(target, call.request_id, payload, trace, tenant)
        return {"StatusCode": 202, "TraceHeader": trace}

    async def invoke_async(self, call: Call, request: Request) -> Answer:
        invoking = self._open(call)
        invoker = invoking.invoker
        target = invoker.find(call.account, call.region, request["FunctionName"])
        payload = await _whole(request["InvokeArgs"]) or payloads.NOTHING
        if len(payload) > payloads.INVOKE_ASYNC:
            raise refusals.event_too_large(len(payload), payloads.INVOKE_ASYNC)
        _check_json(payload)
        invoker.draw(target)
        await invoking.events.put(target, call.request_id, payload, invoker.trace(target, ""), "")
        return {"Status": 202}

    async def invoke_with_response_stream(self, call: Call, request: Request) -> Answer:
        invoker = self._open(call).invoker
        target = invoker.find(call.account, call.region, request["FunctionName"], request.get("Qualifier", ""))
        payload = _payload(request, "RequestResponse", "InvokeFunctionWithResponseStream")
        if request.get("InvocationType") == "DryRun":
            invoker.draw(target, request.get("TenantId", ""))
            return {"StatusCode": 204}
        invocation = _invocation(invoker, call, request, target, payload, streaming=True)
        _check_tail(target, invocation)
        streamed = await invoker.stream(target, invocation)
        if streamed.outcome is not None and (refused := refusals.not_restored(streamed.outcome)) is not None:
            raise refused
        return {
            "StatusCode": 200,
            "ExecutedVersion": streamed.version,
            "ResponseStreamContentType": streamed.content_type,
            "EventStream": Events(streamed, invocation.tail),
        }


class Events:
    """The events of a streamed answer. Closing them closes the answer, begun or not."""

    def __init__(self, streamed: Streamed, tail: bool) -> None:
        self._streamed = streamed
        self._tail = tail
        self._ended = False

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Mapping[str, Mapping[str, Any]]:
        if self._ended:
            raise StopAsyncIteration
        try:
            return {"PayloadChunk": {"Payload": await anext(self._streamed)}}
        except StopAsyncIteration:
            self._ended = True
            return {"InvokeComplete": self._complete()}

    def _complete(self) -> Mapping[str, Any]:
        outcome = self._streamed.outcome
        assert outcome is not None
        complete: dict[str, Any] = {}
        if outcome.error:
            complete["ErrorCode"] = UNHANDLED
            complete["ErrorDetails"] = outcome.payload.decode("utf-8", "replace")
        if self._tail:
            complete["LogResult"] = _tail(outcome.log_tail)
        return complete

    async def aclose(self) -> None:
        await self._streamed.aclose()


def _arns(call: Call, request: Request) -> Sequence[str]:
    return queries.arns(call.account, call.region, request["FunctionName"], request.get("Qualifier", ""))


def _payload(request: Request, kind: str, operation: str = "InvokeFunction") -> bytes:
    payload: bytes = request.get("Payload") or payloads.NOTHING
    if kind == "Event" and len(payload) > payloads.EVENT:
        raise refusals.event_too_large(len(payload))
    if len(payload) > payloads.SYNCHRONOUS:
        raise refusals.too_large(operation)
    _check_json(payload)
    return payload


def _check_json(payload: bytes) -> None:
    fault = payloads.json_fault(payload)
    if fault is not None:
        raise refusals.not_json(fault)


async def _whole(body: bytes | StreamingBody) -> bytes:
    """Bounded: the front read it before, within the limit of a request."""
    if isinstance(body, bytes):
        return body
    return b"".join([piece async for piece in body])


def _invocation(
    invoker: Invoker, call: Call, request: Request, target: Target, payload: bytes, streaming: bool = False
) -> Invocation:
    return Invocation(
        call.request_id,
        target.arn,
        payload,
        _client_context(request.get("ClientContext", "")),
        "",
        invoker.trace(target, call.trace),
        request.get("TenantId", ""),
        request.get("LogType") == "Tail",
        streaming,
    )


def _check_tail(target: Target, invocation: Invocation) -> None:
    if invocation.tail and target.managed:
        raise refusals.no_tail()


def _client_context(given: str) -> str:
    if not given:
        return ""
    try:
        if len(given) > payloads.CLIENT_CONTEXT:
            raise refusals.bad_client_context()
        text = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        raise refusals.bad_client_context() from None
    if payloads.json_fault(text) is not None:
        raise refusals.bad_client_context()
    return text.decode().replace("\r", " ").replace("\n", " ")  # between tokens; the runtime gets it in a header


def _answer(done: Done, asked: Invocation) -> Answer:
    outcome = done.outcome
    if (refused := refusals.not_restored(outcome)) is not None:
        raise refused
    answer: dict[str, Any] = {
        "StatusCode": 200,
        "ExecutedVersion": done.version,
        "Payload": outcome.payload,
        "TraceHeader": asked.trace,
    }
    if done.execution:
        answer["DurableExecutionArn"] = done.execution
    if outcome.error:
        answer["FunctionError"] = UNHANDLED
    if asked.tail:
        answer["LogResult"] = _tail(outcome.log_tail)
    return answer


def _tail(log: bytes) -> str:
    return base64.b64encode(log).decode()


def operations(facilities: Facilities) -> Operations:
    return InvokeOperations(lambda call: facilities.open_invoking(call.store, call.world)).operations()
