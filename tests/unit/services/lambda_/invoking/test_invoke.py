"""Invoke, InvokeAsync and InvokeWithResponseStream by boto3, on functions that run in the test."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace
from tests.running_gateway import OTHER_ROOT, Running, code
from tests.unit.services.lambda_.invoking.invoking_fakes import (
    ACCOUNT,
    CONFIG,
    REGION,
    FakeFunctions,
    allowing,
    make_alias,
    make_function,
    make_version,
)

from havre.control.operation import Service, merge
from havre.core.invoking import traces
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.function import Function, Invocation, Outcome
from havre.services.lambda_.facilities import Facilities
from havre.services.lambda_.invoking.operations import operations
from havre.services.lambda_.policies import resource_policy
from havre.services.lambda_.resources import FUNCTION, KINDS, Readiness
from havre.store.memory import MemoryRecords


class Lambda:
    """A gateway with nothing of Lambda but invocation."""

    def __init__(self, *modules: Any, **more: Any) -> None:
        """``modules`` have further operations."""
        self.functions = FakeFunctions()
        self.facilities = Facilities(functions=self.functions, records=MemoryRecords())
        further = [module.operations(self.facilities) for module in modules]
        service = Service("lambda", merge(operations(self.facilities), *further), KINDS)
        self.gateway = Running(besides=[service], resource_policies={"lambda": resource_policy}, **more)
        self.client = self.gateway.client("lambda")

    def make(self, *changes: Any) -> None:
        self.gateway.wait(self.gateway.store.transact(lambda tx: [change(tx) for change in changes] and None))

    def change(self, name: str = "f", **spec: Any) -> None:
        found = self.gateway.store.get(FUNCTION, ACCOUNT, REGION, name)
        assert found is not None
        self.make(lambda tx: tx.update(found, spec=replace(found.spec, **spec)))

    def behave(self, name: str, behaviour: Any) -> None:
        self.functions.behaves[name] = behaviour

    def running(self, name: str = "f") -> int:
        invoking = self.facilities.invoking
        return 0 if invoking is None else invoking.invoker.concurrency(ACCOUNT, REGION).running(name)


@pytest.fixture
def aws() -> Iterator[Lambda]:
    found = Lambda()
    found.make(make_function)
    yield found
    found.gateway.close()


def refused(call: Any, **arguments: Any) -> tuple[str, int, str, dict[str, Any]]:
    with pytest.raises(ClientError) as told:
        call(**arguments)
    answer = told.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Message"], answer


def test_the_payload_passes_as_it_is(aws: Lambda) -> None:
    given = b'{ "a" : [1, 2.50, "\xc3\xbc"] }'
    answer = aws.client.invoke(FunctionName="f", Payload=given)
    assert answer["Payload"].read() == given
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST" and "FunctionError" not in answer
    assert answer["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/json"
    function, invocation = aws.functions.asked[0]
    assert invocation.request_id == answer["ResponseMetadata"]["RequestId"]
    assert invocation.arn == function.arn.removesuffix(":$LATEST") == f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
    assert aws.running() == 0


def test_callers_are_told_the_trace(aws: Lambda) -> None:
    answer = aws.client.invoke(FunctionName="f")
    trace = answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-trace-id"]
    assert trace == aws.functions.asked[0][1].trace and trace.startswith("Root=1-")
    assert "TraceHeader" not in answer


def test_nothing_given_is_an_empty_event(aws: Lambda) -> None:
    assert aws.client.invoke(FunctionName="f")["Payload"].read() == b"{}"


def test_a_function_that_fails_is_an_answer(aws: Lambda) -> None:
    async def fails(function: Function, invocation: Invocation) -> Outcome:
        return Outcome(b'{"errorMessage":"no","errorType":"ValueError"}', "Unhandled", log_tail=b"the log")

    aws.behave("f", fails)
    answer = aws.client.invoke(FunctionName="f", LogType="Tail")
    assert answer["StatusCode"] == 200 and answer["FunctionError"] == "Unhandled"
    assert base64.b64decode(answer["LogResult"]) == b"the log"
    assert json.load(answer["Payload"])["errorType"] == "ValueError"


@pytest.mark.parametrize(
    "error, status, words",
    [
        ("SnapStartException", 400, "The afterRestore() runtime hook encountered an error."),
        ("SnapStartTimeoutException", 408, "Lambda couldn't restore the snapshot within the timeout limit."),
    ],
)
def test_a_snapshot_that_cannot_be_restored_is_an_error_of_the_call(
    aws: Lambda, error: str, status: int, words: str
) -> None:
    outcome = Outcome(b'{"errorType":"ValueError"}', error)

    async def fails(function: Function, invocation: Invocation) -> Outcome:
        return outcome

    aws.behave("f", fails)
    aws.functions.pieces = [outcome]
    for call in (aws.client.invoke, aws.client.invoke_with_response_stream):
        found = refused(call, FunctionName="f")
        assert found[:2] == (error, status) and found[2].startswith(words) and found[3]["Type"] == "User"
    assert aws.running() == 0


def test_a_dry_run_runs_nothing(aws: Lambda) -> None:
    assert aws.client.invoke(FunctionName="f", InvocationType="DryRun")["StatusCode"] == 204
    assert code(aws.client.invoke, FunctionName="g", InvocationType="DryRun") == "ResourceNotFoundException"
    assert aws.functions.asked == []


def test_what_is_not_there(aws: Lambda) -> None:
    found = refused(aws.client.invoke, FunctionName="nobody")
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:nobody"
    assert found[:3] == ("ResourceNotFoundException", 404, f"Function not found: {arn}")
    assert refused(aws.client.invoke, FunctionName="f", Qualifier="7")[2].endswith(":function:f:7")


def test_payloads_that_are_too_large_or_no_json(aws: Lambda) -> None:
    whole = b'"' + b"x" * (6 * 1024 * 1024 - 2) + b'"'
    assert aws.client.invoke(FunctionName="f", Payload=whole)["StatusCode"] == 200
    found = refused(aws.client.invoke, FunctionName="f", Payload=whole[:-1] + b'x"')
    words = "Request must be smaller than 6291456 bytes for the InvokeFunction operation"
    assert found[:3] == ("RequestEntityTooLargeException", 413, words)
    event = b'"' + b"x" * (1024 * 1024) + b'"'
    found = refused(aws.client.invoke, FunctionName="f", Payload=event, InvocationType="Event")
    words = "1048578 byte payload is too large for the Event invocation type (limit 1048576 bytes)"
    assert found[:3] == ("RequestEntityTooLargeException", 413, words)
    found = refused(aws.client.invoke, FunctionName="f", Payload=b"hello")
    assert found[:2] == ("InvalidRequestContentException", 400)
    assert found[2].startswith("Could not parse request body into json: ")
    assert len(aws.functions.asked) == 1


def test_client_context(aws: Lambda) -> None:
    text = '{"custom":{"a":"b"}}'
    aws.client.invoke(FunctionName="f", ClientContext=base64.b64encode(text.encode()).decode())
    assert aws.functions.asked[0][1].client_context == text
    lines = (
        b'{"a":\r\n1,\r\n\r\n"b":2}'  # which the runtime would take for headers of its own, and the event after them
    )
    aws.client.invoke(FunctionName="f", ClientContext=base64.b64encode(lines).decode())
    assert aws.functions.asked[1][1].client_context == '{"a":  1,    "b":2}'
    for bad in ("***", base64.b64encode(b"no json").decode(), base64.b64encode(b'"' + b"x" * 3000 + b'"').decode()):
        assert code(aws.client.invoke, FunctionName="f", ClientContext=bad) == "InvalidRequestContentException"


@pytest.mark.parametrize("state", ["Pending", "Failed", "Inactive"])
def test_a_function_that_is_not_ready(aws: Lambda, state: str) -> None:
    aws.make(lambda tx: make_function(tx, "g", Readiness(state=state)))
    for kind in ("RequestResponse", "Event", "DryRun"):
        found = refused(aws.client.invoke, FunctionName="g", InvocationType=kind)
        assert found[:2] == ("ResourceConflictException", 409)
        assert found[2].endswith(f"The function is currently in the following state: {state}")


def test_a_snapshot_that_is_being_made(aws: Lambda) -> None:
    config = replace(CONFIG, snap_start=True)
    aws.make(
        lambda tx: make_function(tx, "g", Readiness(), config=config),
        lambda tx: make_version(tx, "1", "g", config, Readiness()),
    )
    assert refused(aws.client.invoke, FunctionName="g", Qualifier="1")[:2] == ("SnapStartNotReadyException", 409)
    code = refused(aws.client.invoke, FunctionName="g")[0]
    assert code == "ResourceConflictException", "snapshots are taken of versions"


def test_versions_and_aliases_by_weight(aws: Lambda) -> None:
    aws.make(
        lambda tx: make_version(tx, "1"),
        lambda tx: make_version(tx, "2"),
        lambda tx: make_alias(tx, "live", "1", v2=0.25),
        lambda tx: make_alias(tx, "fixed", "2"),
    )
    assert aws.client.invoke(FunctionName="f", Qualifier="1")["ExecutedVersion"] == "1"
    assert aws.client.invoke(FunctionName="f:fixed")["ExecutedVersion"] == "2"
    assert aws.functions.asked[-1][1].arn.endswith(":function:f:fixed")
    drawn = [aws.client.invoke(FunctionName="f", Qualifier="live")["ExecutedVersion"] for _ in range(200)]
    assert 20 <= drawn.count("2") <= 85 and drawn.count("1") + drawn.count("2") == 200
    assert code(aws.client.invoke, FunctionName="f:1", Qualifier="2") == "InvalidParameterValueException"


def test_throttles_say_why_and_when_to_come_again(aws: Lambda) -> None:
    aws.change(reserved=0)
    status, _, words, answer = refused(aws.client.invoke, FunctionName="f")
    assert (status, words) == ("TooManyRequestsException", "Rate Exceeded.")
    assert answer["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429 and answer["Type"] == "User"
    aws.change(reserved=None)
    assert aws.client.invoke(FunctionName="f")["StatusCode"] == 200


def test_slots_are_given_back_whatever_happens(aws: Lambda) -> None:
    aws.change(reserved=1)
    for failure, expected, status in (
        (Permanent("no such runtime on this machine"), "ResourceConflictException", 409),
        (Temporary("no machine has room"), "ServiceException", 500),
        (RuntimeError("a bug"), "InternalFailure", 500),
    ):

        async def fails(function: Function, invocation: Invocation, failure: Exception = failure) -> Outcome:
            raise failure

        aws.behave("f", fails)
        found = refused(aws.client.invoke, FunctionName="f")
        assert found[:2] == (expected, status)
        assert aws.running() == 0


def test_slots_of_cancelled_calls(aws: Lambda) -> None:
    async def hangs(function: Function, invocation: Invocation) -> Outcome:
        await asyncio.sleep(3600)
        return Outcome()

    aws.behave("f", hangs)
    aws.client.invoke(FunctionName="f", InvocationType="DryRun")

    async def cancelled() -> int:
        invoking = aws.facilities.invoking
        assert invoking is not None
        target = invoking.invoker.find(ACCOUNT, REGION, "f")
        task = asyncio.get_running_loop().create_task(invoking.invoker.invoke(target, Invocation("id", target.arn)))
        while not aws.running():
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return aws.running()

    assert aws.gateway.wait(cancelled()) == 0


def test_an_update_is_seen_at_once(aws: Lambda) -> None:
    aws.client.invoke(FunctionName="f")
    before = aws.functions.asked[-1][0].id
    found = aws.gateway.store.get(FUNCTION, ACCOUNT, REGION, "f")
    assert found is not None
    serving = replace(CONFIG, memory=512)
    aws.make(lambda tx: tx.update(found, status=replace(found.status, serving=serving)))
    aws.client.invoke(FunctionName="f")
    assert aws.functions.asked[-1][0].memory == 512 and aws.functions.asked[-1][0].id != before
    aws.make(lambda tx: make_function(tx, "another"))
    aws.client.invoke(FunctionName="f")
    assert aws.functions.asked[-1][0] is aws.functions.asked[-2][0], "nothing of it has changed: nothing is made anew"
    gone = aws.gateway.store.get(FUNCTION, ACCOUNT, REGION, "f")
    aws.make(lambda tx: tx.remove(gone))
    assert code(aws.client.invoke, FunctionName="f") == "ResourceNotFoundException"


def test_other_accounts_need_the_functions_policy(aws: Lambda) -> None:
    other = aws.gateway.client("lambda", OTHER_ROOT)
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
    assert refused(other.invoke, FunctionName=arn)[:2] == ("AccessDeniedException", 403)
    statement = json.dumps(
        {
            "Effect": "Allow",
            "Principal": {"AWS": OTHER_ROOT.account},
            "Action": "lambda:InvokeFunction",
            "Resource": arn,
        }
    )
    aws.change(policies={"": allowing(statement)})
    assert other.invoke(FunctionName=arn)["StatusCode"] == 200
    aws.make(lambda tx: make_version(tx, "1"))
    assert refused(other.invoke, FunctionName=arn, Qualifier="1")[0] == "AccessDeniedException"


def test_loops_end(aws: Lambda) -> None:
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"

    async def within(times: int, kind: str = "RequestResponse") -> Any:
        header = f"Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0;Lineage={traces.mark(arn)}:{times}"
        aws_of = aws.gateway.gateway.as_service("sqs.amazonaws.com", ACCOUNT, REGION, trace=header)
        return await aws_of("lambda", "Invoke", {"FunctionName": "f", "InvocationType": kind})

    aws.gateway.wait(within(15))
    assert f"Lineage={traces.mark(arn)}:16" in aws.functions.asked[-1][1].trace
    with pytest.raises(Exception, match="RecursiveInvocationException"):
        aws.gateway.wait(within(16))
    assert aws.gateway.wait(within(16, "Event"))["StatusCode"] == 202, "the queue ends it, and tells of it"
    header = f"Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0;Lineage={traces.mark(arn)}:16"
    aws.client.meta.events.register(
        "before-sign.lambda.Invoke", lambda request, **_: request.headers.__setitem__("X-Amzn-Trace-Id", header)
    )
    assert code(aws.client.invoke, FunctionName="f", InvocationType="Event") == "RecursiveInvocationException"
    aws.change(recursive_loop="Allow")
    aws.gateway.wait(within(16))


def test_tenants(aws: Lambda) -> None:
    aws.make(lambda tx: make_function(tx, "t", config=replace(CONFIG, per_tenant=True)))
    assert code(aws.client.invoke, FunctionName="t") == "InvalidParameterValueException"
    assert code(aws.client.invoke, FunctionName="f", TenantId="blue") == "InvalidParameterValueException"
    aws.client.invoke(FunctionName="t", TenantId="blue")
    assert aws.functions.asked[-1][1].tenant == "blue"


def test_invocations_are_not_in_cloudtrail(aws: Lambda) -> None:
    aws.client.invoke(FunctionName="f")
    assert aws.gateway.events("Invoke") == []


def test_the_old_invoke_async(aws: Lambda) -> None:
    assert aws.client.invoke_async(FunctionName="f", InvokeArgs=b'{"a":1}')["Status"] == 202
    too_large = b'"' + b"x" * 300_000 + b'"'
    assert refused(aws.client.invoke_async, FunctionName="f", InvokeArgs=too_large)[:2] == (
        "RequestEntityTooLargeException",
        413,
    )
    assert code(aws.client.invoke_async, FunctionName="f", InvokeArgs=b"nope") == "InvalidRequestContentException"


# Streams


def test_an_answer_in_pieces(aws: Lambda) -> None:
    aws.functions.pieces = ["text/plain", b"one", b"", b"two", Outcome(log_tail=b"log")]
    answer = aws.client.invoke_with_response_stream(FunctionName="f", LogType="Tail")
    assert answer["ExecutedVersion"] == "$LATEST" and answer["ResponseStreamContentType"] == "text/plain"
    events = list(answer["EventStream"])
    assert [e["PayloadChunk"]["Payload"] for e in events[:-1]] == [b"one", b"two"]
    assert events[-1] == {"InvokeComplete": {"LogResult": base64.b64encode(b"log").decode()}}
    assert aws.functions.asked[0][1].streaming and aws.running() == 0


def test_a_stream_that_fails(aws: Lambda) -> None:
    aws.functions.pieces = ["text/plain", b"one", Outcome(b'{"errorType":"X"}', "Unhandled")]
    events = list(aws.client.invoke_with_response_stream(FunctionName="f")["EventStream"])
    assert events[-1] == {"InvokeComplete": {"ErrorCode": "Unhandled", "ErrorDetails": '{"errorType":"X"}'}}
    aws.functions.pieces = ["text/plain", b"one", Temporary("the machine is gone")]
    events = list(aws.client.invoke_with_response_stream(FunctionName="f")["EventStream"])
    assert json.loads(events[-1]["InvokeComplete"]["ErrorDetails"])["errorMessage"] == "the machine is gone"
    aws.functions.pieces = [Temporary("no machine has room")]
    assert code(aws.client.invoke_with_response_stream, FunctionName="f") == "ServiceException"
    aws.functions.pieces = [Outcome(b"{}", "Runtime.ExitError")]
    events = list(aws.client.invoke_with_response_stream(FunctionName="f")["EventStream"])
    assert [list(e) for e in events] == [["InvokeComplete"]]
    assert aws.running() == 0


def test_a_dry_run_of_a_stream(aws: Lambda) -> None:
    answer = aws.client.invoke_with_response_stream(FunctionName="f", InvocationType="DryRun")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204 and aws.functions.asked == []


def test_streams_that_nobody_reads_give_their_slot_back(aws: Lambda) -> None:
    aws.client.invoke(FunctionName="f", InvocationType="DryRun")
    aws.functions.pieces = ["text/plain", *[b"x"] * 1000]

    async def begun(close: bool) -> int:
        invoking = aws.facilities.invoking
        assert invoking is not None
        target = invoking.invoker.find(ACCOUNT, REGION, "f")
        streamed = await invoking.invoker.stream(target, Invocation("id", target.arn))
        assert aws.running() == 1
        if close:
            await streamed.aclose()
        del streamed
        return aws.running()

    assert aws.gateway.wait(begun(True)) == 0
    assert aws.gateway.wait(begun(False)) == 0
