"""Durable functions by the API."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from tests.running_gateway import code
from tests.unit.services.lambda_.durable.durable_fakes import LASTING, Context, Durables, until
from tests.unit.services.lambda_.invoking.invoking_fakes import ACCOUNT, CONFIG, REGION, make_function, make_version
from tests.unit.services.lambda_.invoking.test_invoke import refused

from havre.kernel.errors import ApiError, Temporary
from havre.kernel.function import Function, Invocation, Outcome
from havre.services.lambda_.invoking.destinations import Destinations
from havre.services.lambda_.invoking.taken import STATUS
from havre.services.lambda_.resources import Durable


@pytest.fixture
def aws() -> Iterator[Durables]:
    found = Durables()
    found.make(
        lambda tx: make_function(tx, "d", config=LASTING),
        lambda tx: make_version(tx, "1", "d", LASTING),
        lambda tx: make_function(tx, "plain"),
    )
    yield found
    found.stop()
    found.gateway.close()


def test_steps_are_done_once(aws: Durables) -> None:
    done: list[str] = []

    async def work(context: Context) -> Any:
        first = await context.step("first", lambda: done.append("first") or 1)
        status, _ = await context.until("pause", "WAIT", "WaitDetails", WaitOptions={"WaitSeconds": 1})
        return [first, status, await context.step("second", lambda: done.append("second") or context.input)]

    aws.function(work)
    answer = aws.client.invoke(FunctionName="d:1", Payload=b'{"n":1}')
    assert json.load(answer["Payload"]) == [1, "SUCCEEDED", {"n": 1}]
    assert done == ["first", "second"] and len(aws.entered) == 2
    arn = answer["DurableExecutionArn"]
    assert arn.startswith(f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:d:1/durable-execution/")
    assert aws.entered[1]["UpdatedOperationIds"] == ["pause"]
    assert isinstance(aws.entered[1]["InitialExecutionState"]["Operations"][0]["StartTimestamp"], int)
    assert aws.history(arn) == [
        "ExecutionStarted", "StepSucceeded", "WaitStarted", "InvocationCompleted", "WaitSucceeded", "StepSucceeded",
        "InvocationCompleted", "ExecutionSucceeded",
    ]  # fmt: skip
    assert aws.history(arn, ReverseOrder=True, MaxItems=2) == ["ExecutionSucceeded", "InvocationCompleted"]
    found = aws.client.get_durable_execution(DurableExecutionArn=arn)
    assert found["InputPayload"] == '{"n":1}' and json.loads(found["Result"]) == [1, "SUCCEEDED", {"n": 1}]
    assert "Result" not in aws.client.get_durable_execution(DurableExecutionArn=arn, IncludeExecutionData=False)


def test_callbacks(aws: Durables) -> None:
    async def work(context: Context) -> Any:
        status, details = await context.until("approval", "CALLBACK", "CallbackDetails")
        return [status, details.get("Result"), details.get("Error")]

    def waiting() -> tuple[str, str]:
        arn = aws.begin()
        until(lambda: "CallbackStarted" in aws.history(arn))
        events = aws.client.get_durable_execution_history(DurableExecutionArn=arn)["Events"]
        return arn, next(e["CallbackStartedDetails"]["CallbackId"] for e in events if "CallbackStartedDetails" in e)

    aws.function(work)
    arn, id = waiting()
    aws.client.send_durable_execution_callback_heartbeat(CallbackId=id)
    aws.client.send_durable_execution_callback_success(CallbackId=id, Result=b'"yes"')
    assert json.loads(aws.ended(arn)["Result"]) == ["SUCCEEDED", '"yes"', None]
    assert code(aws.client.send_durable_execution_callback_success, CallbackId=id) == "CallbackTimeoutException"
    arn, id = waiting()
    aws.client.send_durable_execution_callback_failure(CallbackId=id, Error={"ErrorMessage": "no"})
    assert json.loads(aws.ended(arn)["Result"]) == ["FAILED", None, {"ErrorMessage": "no"}]
    assert (
        code(aws.client.send_durable_execution_callback_success, CallbackId="AAAA") == "InvalidParameterValueException"
    )
    forged = id[:-8] + "AAAAAAA="
    assert code(aws.client.send_durable_execution_callback_success, CallbackId=forged) in (
        "CallbackTimeoutException", "InvalidParameterValueException"
    )  # fmt: skip


def test_other_functions(aws: Durables) -> None:
    async def fails(function: Function, invocation: Invocation) -> Outcome:
        return Outcome(b'{"errorMessage":"no","errorType":"KeyError"}', "Unhandled")

    async def child(context: Context) -> Any:
        return {"child of": context.input}

    async def work(context: Context) -> Any:
        found = []
        for id, name in (("one", "plain"), ("two", "c:1"), ("three", "bad"), ("four", "nobody")):
            more = {"ChainedInvokeOptions": {"FunctionName": name}, "Payload": '{"x":1}'}
            status, details = await context.until(id, "CHAINED_INVOKE", "ChainedInvokeDetails", **more)
            found.append([status, details.get("Result"), details.get("Error", {}).get("ErrorType")])
        return found

    aws.make(
        lambda tx: make_function(tx, "bad"),
        lambda tx: make_function(tx, "c", config=LASTING),
        lambda tx: make_version(tx, "1", "c", LASTING),
    )
    aws.behave("bad", fails)
    aws.function(child, "c")
    aws.function(work)
    arn = aws.begin()
    assert json.loads(aws.ended(arn)["Result"]) == [
        ["SUCCEEDED", '{"x":1}', None],
        ["SUCCEEDED", '{"child of": {"x": 1}}', None],
        ["FAILED", None, "KeyError"],
        ["FAILED", None, "ResourceNotFoundException"],
    ]


def test_failures(aws: Durables) -> None:
    async def work(context: Context) -> Any:
        raise ValueError("no such order")

    aws.function(work)
    answer = aws.client.invoke(FunctionName="d:1")
    assert answer["FunctionError"] == "Unhandled"
    assert json.load(answer["Payload"]) == {"errorMessage": "no such order", "errorType": "ValueError"}
    found = aws.client.get_durable_execution(DurableExecutionArn=answer["DurableExecutionArn"])
    assert found["Status"] == "FAILED" and found["Error"]["ErrorMessage"] == "no such order"

    async def odd(function: Function, invocation: Invocation) -> Outcome:
        return Outcome(b'{"Status":"FINE"}')

    aws.behave("d", odd)
    assert aws.client.invoke(FunctionName="d:1")["FunctionError"] == "Unhandled"


def test_runs_whose_environment_fails_are_run_again(aws: Durables) -> None:
    async def work(context: Context) -> Any:
        return await context.step("only", lambda: 1)

    aws.function(work)
    good, left = aws.functions.behaves["d"], [Outcome(b"{}", "Runtime.ExitError")] * 2

    async def behave(function: Function, invocation: Invocation) -> Outcome:
        return left.pop() if left else await good(function, invocation)

    aws.behave("d", behave)
    assert json.load(aws.client.invoke(FunctionName="d:1")["Payload"]) == 1


def test_nothing_pending_is_no_reason_to_wait(aws: Durables) -> None:
    async def idle(function: Function, invocation: Invocation) -> Outcome:
        return Outcome(b'{"Status":"PENDING"}')

    aws.behave("d", idle)
    arn = aws.begin()
    found = aws.ended(arn, "FAILED")
    assert found["Error"]["ErrorMessage"] == "Cannot return PENDING status with no pending operations."


def test_names_begin_once(aws: Durables) -> None:
    async def work(context: Context) -> Any:
        return context.input

    aws.function(work)
    first = aws.begin(1, DurableExecutionName="order-1")
    assert aws.begin(1, DurableExecutionName="order-1") == first
    aws.ended(first)
    answer = aws.client.invoke(FunctionName="d:1", Payload=b"1", DurableExecutionName="order-1")
    assert answer["DurableExecutionArn"] == first and answer["Payload"].read() == b"1"
    found = refused(aws.client.invoke, FunctionName="d:1", Payload=b"2", DurableExecutionName="order-1")
    assert found[:2] == ("DurableExecutionAlreadyStartedException", 409)
    assert len(aws.entered) == 1
    listed = aws.client.list_durable_executions_by_function(FunctionName="d", DurableExecutionName="order-1")
    assert [e["DurableExecutionArn"] for e in listed["DurableExecutions"]] == [first]
    assert (
        aws.client.list_durable_executions_by_function(FunctionName="d", Statuses=["RUNNING"])["DurableExecutions"]
        == []
    )


def test_what_durable_functions_do_not_take(aws: Durables) -> None:
    assert refused(aws.client.invoke, FunctionName="d")[2] == (
        "You cannot invoke a durable function using an unqualified ARN."
    )
    aws.make(lambda tx: make_version(tx, "2", "d", replace(CONFIG, durable=Durable(86_400))))
    assert "15 minutes" in refused(aws.client.invoke, FunctionName="d:2")[2]
    assert code(aws.client.invoke_with_response_stream, FunctionName="d:1") == "InvalidParameterValueException"
    assert code(aws.client.invoke, FunctionName="plain", DurableExecutionName="x") == "InvalidParameterValueException"


def test_stop_and_delete(aws: Durables) -> None:
    async def work(context: Context) -> Any:
        return await context.until("forever", "CALLBACK", "CallbackDetails")

    aws.function(work)
    arn = aws.begin()
    until(lambda: "InvocationCompleted" in aws.history(arn))
    assert code(aws.client.delete_durable_execution, DurableExecutionArn=arn) == "ResourceConflictException"
    stopped = aws.client.stop_durable_execution(DurableExecutionArn=arn, Error={"ErrorMessage": "enough"})
    assert stopped["StopTimestamp"] == aws.client.stop_durable_execution(DurableExecutionArn=arn)["StopTimestamp"]
    found = aws.client.get_durable_execution(DurableExecutionArn=arn)
    assert (found["Status"], found["Error"]["ErrorMessage"]) == ("STOPPED", "enough")
    aws.client.delete_durable_execution(DurableExecutionArn=arn)
    assert code(aws.client.get_durable_execution, DurableExecutionArn=arn) == "ResourceNotFoundException"


def test_pause_and_resume(aws: Durables) -> None:
    entered, go = threading.Event(), threading.Event()

    async def work(context: Context) -> Any:
        entered.set()
        while not go.is_set():
            await asyncio.sleep(0.01)
        return await context.step("only", lambda: 1)

    aws.function(work)
    arn = aws.begin()
    assert entered.wait(20)
    aws.client.pause_durable_execution(DurableExecutionArn=arn, Reason="look", ExecutionTimeoutPaused=True)
    assert aws.status(arn) == "PAUSING"
    assert code(aws.client.pause_durable_execution, DurableExecutionArn=arn) == "ResourceConflictException"
    go.set()
    found = aws.ended(arn, "PAUSED")
    assert found["PauseDetails"]["Reason"] == "look"
    aws.client.resume_durable_execution(DurableExecutionArn=arn)
    assert aws.ended(arn)["Result"] == "1"
    told = aws.history(arn)
    assert told.count("StepSucceeded") == 1 and "ExecutionPaused" in told and "ExecutionResumed" in told


def test_tokens_are_used_once(aws: Durables) -> None:
    told: list[str] = []

    async def work(context: Context) -> Any:
        first = context._token
        await context.step("one", lambda: 1)
        second, context._token = context._token, first
        try:
            await context.step("two", lambda: 2)
        except Exception as error:
            told.append(str(error))
        context._token = second
        return await context.step("two", lambda: 3)

    aws.function(work)
    assert json.load(aws.client.invoke(FunctionName="d:1")["Payload"]) == 3
    assert told == ["InvalidParameterValueException: Invalid checkpoint token"]


def test_executions_outlive_the_process(aws: Durables) -> None:
    done: list[int] = []

    async def work(context: Context) -> Any:
        await context.step("first", lambda: done.append(1))
        _, details = await context.until("approval", "CALLBACK", "CallbackDetails")
        return details["Result"]

    aws.function(work)
    arn = aws.begin()
    until(lambda: "InvocationCompleted" in aws.history(arn))
    aws.stop()
    aws.start()
    events = aws.client.get_durable_execution_history(DurableExecutionArn=arn)["Events"]
    id = next(e["CallbackStartedDetails"]["CallbackId"] for e in events if "CallbackStartedDetails" in e)
    aws.client.send_durable_execution_callback_success(CallbackId=id, Result=b"yes")
    assert json.loads(aws.ended(arn)["Result"]) == "yes" and done == [1]
    aws.stop()
    aws.start()
    assert aws.status(arn) == "SUCCEEDED"


def test_an_execution_that_takes_too_long(aws: Durables) -> None:
    short = replace(CONFIG, durable=Durable(1))
    aws.make(lambda tx: make_version(tx, "3", "d", short))

    async def work(context: Context) -> Any:
        return await context.until("forever", "CALLBACK", "CallbackDetails")

    aws.function(work)
    answer = aws.client.invoke(FunctionName="d:3")
    assert json.load(answer["Payload"])["errorType"] == "ExecutionTimedOut"
    assert aws.status(answer["DurableExecutionArn"]) == "TIMED_OUT"


def test_nothing_is_left_after_a_reset(aws: Durables) -> None:
    async def work(context: Context) -> Any:
        return await context.until("forever", "CALLBACK", "CallbackDetails")

    aws.function(work)
    arn = aws.begin(1, DurableExecutionName="one")
    until(lambda: "InvocationCompleted" in aws.history(arn))
    aws.gateway.wait(aws.facilities.reset())
    assert code(aws.client.get_durable_execution, DurableExecutionArn=arn) == "ResourceNotFoundException"
    assert aws.begin(2, DurableExecutionName="one") != arn
    aws.stop()
    aws.start()
    listed = aws.client.list_durable_executions_by_function(FunctionName="d")["DurableExecutions"]
    assert len(listed) == 1


def test_dead_letters_of_executions_that_did_not_succeed(aws: Durables) -> None:
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead"
    aws.make(lambda tx: make_version(tx, "4", "d", replace(LASTING, dead_letter=queue)))
    sent: list[dict[str, Any]] = []

    async def work(context: Context) -> Any:
        raise ValueError("no such order")

    async def carry(where: Any, event: Any, letter: Any, kind: str, arn: str) -> None:
        if kind == STATUS:
            return
        sent.append({"to": arn, "kind": kind, "payload": letter.payload, "response": json.loads(letter.response)})

    aws.function(work)
    events = aws.facilities.open_invoking(aws.gateway.store, aws.gateway.world).events
    events._courier.carry = carry  # type: ignore[union-attr, method-assign]
    aws.client.invoke(FunctionName="d:4", InvocationType="Event", Payload=b'{"n":1}')
    until(lambda: sent)
    told = {"errorMessage": "no such order", "errorType": "ValueError"}
    assert sent == [{"to": queue, "kind": "dead-letter", "payload": b'{"n":1}', "response": told}]
    aws.client.invoke(FunctionName="d:4")
    assert len(sent) == 1, "whoever waits has the answer"


def test_every_change_of_status_is_an_event(aws: Durables) -> None:
    told: list[dict[str, Any]] = []

    async def put_events(service: str, operation: str, request: Any) -> Any:
        if operation == "PutEvents":
            told.extend(request["Entries"])
        return {"FailedEntryCount": 0}

    async def work(context: Context) -> Any:
        if context.input == "fail":
            raise ValueError("no")
        return await context.until("w", "WAIT", "WaitDetails", WaitOptions={"WaitSeconds": 1})

    aws.function(work)
    events = aws.facilities.open_invoking(aws.gateway.store, aws.gateway.world).events
    events._courier = Destinations(dataclasses.replace(aws.deps, aws_for=lambda *_, **__: put_events))
    arns = [aws.begin(payload, DurableExecutionName=payload) for payload in ("fine", "fail", "stop")]
    aws.client.stop_durable_execution(DurableExecutionArn=arns[2])
    aws.ended(arns[0])
    until(lambda: len(told) == 6)
    assert {(e["Source"], e["DetailType"]) for e in told} == {("aws.lambda", "Durable Execution Status Change")}
    details = [json.loads(e["Detail"]) for e in told]
    ends = {d["durableExecutionName"]: d["status"] for d in details if d["status"] != "RUNNING"}
    assert ends == {"fine": "SUCCEEDED", "fail": "FAILED", "stop": "STOPPED"}
    begun = [d for d in details if d["status"] == "RUNNING"]
    assert sorted(d["durableExecutionArn"] for d in begun) == sorted(arns)
    for detail in details:
        assert detail["functionArn"].endswith(":function:d:1") and detail["startTimestamp"].endswith("Z")
        assert ("endTimestamp" in detail) == (detail["status"] != "RUNNING")


def test_a_disk_that_refuses(aws: Durables) -> None:
    """A checkpoint that was not taken can be sent again; a run whose end was not kept is run again."""
    refused: list[str] = []
    records: Any = aws.facilities.records

    def refuse() -> None:
        records.fault = None
        refused.append("once")
        raise Temporary("the disk is full", 0.01)

    async def work(context: Context) -> Any:
        if not refused:
            records.fault = refuse
            try:
                await context.step("one", lambda: 1)
            except ApiError as error:
                assert error.status == 503
        await context.step("one", lambda: 1)
        if len(refused) == 1:
            records.fault = refuse
        return "through"

    aws.function(work)
    arn = aws.begin()
    assert aws.ended(arn)["Result"] == '"through"'
    assert refused == ["once", "once"] and len(aws.entered) == 2
    assert aws.history(arn).count("StepSucceeded") == 1
