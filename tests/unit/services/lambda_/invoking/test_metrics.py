"""AWS/Lambda: what invocations, events and function URLs count for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import pytest
from tests.running_gateway import code
from tests.unit.services.lambda_.invoking.events_scene import FAILURE, QUEUE, TOPIC, outcomes, scene
from tests.unit.services.lambda_.invoking.invoking_fakes import (
    ACCOUNT,
    REGION,
    make_alias,
    make_function,
    make_version,
)
from tests.unit.services.lambda_.invoking.test_invoke import Lambda
from tests.unit.services.lambda_.invoking.test_urls import Urls, open_to_all
from tests.unit.services.metrics_fakes import CountedMetrics

from havre.core.invoking import traces
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.kernel.function import Function, Invocation, Outcome
from havre.services.lambda_.invoking.events import Where
from havre.services.lambda_.resources import FUNCTION

L = TypeVar("L", bound=Lambda)


@pytest.fixture
def aws() -> Iterator[Lambda]:
    found = counted(Lambda())
    found.make(make_function)
    yield found
    found.gateway.close()


def counted(found: L) -> L:
    found.facilities.metrics = CountedMetrics()
    return found


def metrics(of: Lambda) -> CountedMetrics:
    assert isinstance(of.facilities.metrics, CountedMetrics)
    return of.facilities.metrics


def test_three_invocations(aws: Lambda) -> None:
    aws.behave("f", outcomes(Outcome(b"1", duration=10.0), Outcome(b"2", duration=30.0), Outcome(b"{}", "Unhandled")))
    for _ in range(3):
        aws.client.invoke(FunctionName="f")
    told = metrics(aws)
    assert told.sum("Invocations", FunctionName="f") == 3 == told.sum("Invocations")
    assert told.sum("Invocations", FunctionName="f", Resource="f") == 3
    assert told.of("Errors", FunctionName="f") == {0.0: 2.0, 1.0: 1.0}
    assert told.of("Duration", FunctionName="f") == {10.0: 1.0, 30.0: 1.0, 0.0: 1.0}
    assert told.of("ConcurrentExecutions", FunctionName="f") == {1.0: 3.0}
    assert (told.units["Invocations"], told.units["Duration"]) == ("Count", "Milliseconds")


def test_what_is_throttled_or_cannot_run_is_no_invocation(aws: Lambda) -> None:
    aws.behave("f", outcomes(Permanent("no such runtime"), Temporary("no node"), Outcome(b"1")))
    assert code(aws.client.invoke, FunctionName="f") == "ResourceConflictException"
    assert code(aws.client.invoke, FunctionName="f") == "ServiceException"
    aws.change(reserved=0)
    assert code(aws.client.invoke, FunctionName="f") == "TooManyRequestsException"
    assert metrics(aws).of("Invocations", FunctionName="f") == {}
    assert metrics(aws).of("Throttles", FunctionName="f") == {1.0: 1.0}
    assert metrics(aws).of("Errors", FunctionName="f") == {0.0: 1.0}
    aws.change(reserved=None)
    aws.client.invoke(FunctionName="f")
    assert metrics(aws).of("ConcurrentExecutions")[1.0] == 3.0 and aws.running() == 0


def test_versions_of_an_alias_are_told_apart(aws: Lambda) -> None:
    aws.make(
        lambda tx: make_version(tx, "1"),
        lambda tx: make_version(tx, "2"),
        lambda tx: make_alias(tx, "live", "1", v2=0.5),
    )
    executed = [aws.client.invoke(FunctionName="f", Qualifier="live")["ExecutedVersion"] for _ in range(20)]
    aws.client.invoke(FunctionName="f:2")
    alias = {"FunctionName": "f", "Resource": "f:live"}
    assert metrics(aws).sum("Invocations", **alias) == 20
    for version in ("1", "2"):
        assert metrics(aws).sum("Invocations", **alias, ExecutedVersion=version) == executed.count(version) > 0
    assert metrics(aws).sum("Invocations", FunctionName="f", Resource="f:2") == 1
    assert metrics(aws).sum("Invocations", FunctionName="f") == 21


def test_streams_count_when_they_end(aws: Lambda) -> None:
    aws.functions.pieces = ["text/plain", b"a", b"b", Outcome(duration=7.0)]
    answer = aws.client.invoke_with_response_stream(FunctionName="f")
    assert len(list(answer["EventStream"])) == 3
    assert metrics(aws).of("Duration", FunctionName="f") == {7.0: 1.0}
    aws.functions.pieces = [Temporary("no node")]
    assert code(aws.client.invoke_with_response_stream, FunctionName="f") == "ServiceException"
    assert metrics(aws).sum("Invocations", FunctionName="f") == 1 and aws.running() == 0


def test_loops_that_are_ended(aws: Lambda) -> None:
    header = f"Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0;Lineage={traces.mark(arn())}:16"
    aws_of = aws.gateway.gateway.as_service("sqs.amazonaws.com", ACCOUNT, REGION, trace=header)
    with pytest.raises(ApiError):
        aws.gateway.wait(aws_of("lambda", "Invoke", {"FunctionName": "f"}))
    assert metrics(aws).sum("RecursiveInvocationsDropped", FunctionName="f") == 1
    assert metrics(aws).of("Invocations", FunctionName="f") == {}


def arn() -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"


@pytest.fixture
def urls() -> Iterator[Urls]:
    found = counted(Urls())
    found.make(lambda tx: make_function(tx, policies={"": open_to_all()}))
    yield found
    found.gateway.close()


def test_requests_of_a_function_url(urls: Urls) -> None:
    urls.url()
    urls.answers({"statusCode": 404})
    urls.ask()
    urls.answers({}, "Unhandled")
    assert urls.ask().status == 502
    urls.answers("fine")
    assert urls.ask().status == 200
    of = metrics(urls).of
    assert of("UrlRequestCount", FunctionName="f") == {1.0: 3.0}
    assert of("Url4xxCount", FunctionName="f") == of("Url5xxCount", FunctionName="f") == {0.0: 2.0, 1.0: 1.0}
    assert sum(of("UrlRequestLatency", FunctionName="f", Resource="f").values()) == 3
    assert metrics(urls).units["UrlRequestLatency"] == "Milliseconds"
    assert of("UrlRequestCount") == {}, "it is not told across all functions"


def test_requests_that_are_not_let_in_or_streamed(urls: Urls) -> None:
    urls.url("AWS_IAM", qualifier="")
    assert urls.ask().status == 403
    assert metrics(urls).sum("Url4xxCount", FunctionName="f") == 1
    assert metrics(urls).of("Invocations", FunctionName="f") == {}


def test_a_streamed_answer_of_a_function_url(urls: Urls) -> None:
    urls.url(mode="RESPONSE_STREAM")
    urls.functions.pieces = ["text/plain", b"a", b"b", Outcome(duration=7.0)]
    assert urls.ask().body == b"ab"
    assert metrics(urls).of("UrlRequestCount", FunctionName="f") == {1.0: 1.0}
    assert metrics(urls).of("Url5xxCount", FunctionName="f") == {0.0: 1.0}


def test_extensions_that_go_on_after_their_function(aws: Lambda) -> None:
    aws.make(lambda tx: make_version(tx, "3"), lambda tx: make_alias(tx, "live", "3"))
    aws.client.invoke(FunctionName="f", Qualifier="live")
    function, invocation = aws.functions.asked[-1]
    aws.facilities.extended(function, invocation.arn, 12.0)
    of = metrics(aws).of
    where = {"FunctionName": "f", "Resource": "f:live", "ExecutedVersion": "3"}
    assert of("PostRuntimeExtensionsDuration", **where) == of("PostRuntimeExtensionsDuration") == {12.0: 1.0}
    assert metrics(aws).units["PostRuntimeExtensionsDuration"] == "Milliseconds"


# --- events


@pytest.mark.looptime
async def test_events_that_come_and_go() -> None:
    s = await scene()
    s.functions.behaves["f"] = outcomes(Outcome(b"{}", duration=1.0))
    await s.send()
    await s.through()
    assert s.metrics.sum("AsyncEventsReceived", FunctionName="f") == 1
    assert s.metrics.of("AsyncEventAge", FunctionName="f") == {0.0: 1.0}
    assert s.metrics.of("AsyncEventsDropped", FunctionName="f") == {}
    assert s.metrics.sum("Invocations", FunctionName="f") == 1


@pytest.mark.looptime
async def test_an_event_that_fails_is_dropped_after_three_tries() -> None:
    s = await scene()
    s.functions.behaves["f"] = outcomes(FAILURE)
    await s.send()
    await s.through()
    assert s.metrics.sum("AsyncEventsDropped", FunctionName="f", Resource="f") == 1
    ages = sorted(s.metrics.of("AsyncEventAge", FunctionName="f"))
    assert [round(age, -3) for age in ages] == [0, 60_000, 180_000]
    assert s.metrics.of("Errors", FunctionName="f") == {1.0: 3.0}


@pytest.mark.looptime
async def test_events_of_a_function_that_is_stopped_are_dropped_unthrottled() -> None:
    s = await scene(reserved=0)
    await s.send()
    await s.through()
    assert s.metrics.sum("AsyncEventsDropped", FunctionName="f") == 1
    assert s.metrics.of("Throttles", FunctionName="f") == s.metrics.of("AsyncEventAge", FunctionName="f") == {}


@pytest.mark.looptime
async def test_events_of_a_function_that_has_gone_are_dropped() -> None:
    s = await scene()

    async def go(function: Function, invocation: Invocation) -> Outcome:
        found = s.store.get(FUNCTION, ACCOUNT, REGION, "f")
        assert found is not None
        await s.change(lambda tx: tx.remove(found))
        return FAILURE

    s.functions.behaves["f"] = go
    await s.send()
    await s.through()
    assert s.metrics.sum("AsyncEventsDropped", FunctionName="f") == 1


@pytest.mark.looptime
async def test_destinations_that_cannot_be_told() -> None:
    s = await scene()
    s.functions.behaves["f"] = outcomes(Outcome(b"{}"))
    await s.configure(on_success=QUEUE, on_failure=TOPIC)
    s.refuse["SendMessage"] = [Temporary("busy"), ApiError("AccessDenied", "no")]
    await s.send()
    await s.through()
    assert s.metrics.sum("DestinationDeliveryFailures", FunctionName="f") == 2
    assert s.metrics.of("DeadLetterErrors", FunctionName="f") == {}


@pytest.mark.looptime
async def test_loops_of_events() -> None:
    s = await scene()
    header = f"Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0;Lineage={traces.mark(arn())}:16"
    await s.send(trace=header)
    await s.through()
    assert s.metrics.sum("RecursiveInvocationsDropped", FunctionName="f") == 1
    assert s.metrics.sum("AsyncEventsDropped", FunctionName="f") == 1
    assert s.invoking.events.waiting(Where(ACCOUNT, REGION, "f")) == 0
