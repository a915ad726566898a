"""The queue of asynchronous events, in virtual time: retries, fairness, crashes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.services.lambda_.invoking.events_scene import FAILURE, QUEUE, TOPIC, Scene, outcomes, scene
from tests.unit.services.lambda_.invoking.invoking_fakes import (
    ACCOUNT,
    CONFIG,
    REGION,
    ROLE,
    make_alias,
    make_function,
    make_version,
)

from havre.kernel.errors import Temporary
from havre.kernel.function import Function, Invocation, Outcome
from havre.services.lambda_.resources import ALIAS, EVENT_INVOKE, FUNCTION

pytestmark = pytest.mark.looptime


async def test_an_event_runs_once_and_is_gone() -> None:
    s = await scene()
    await s.send(b'{"n":1}')
    await s.through()
    assert [i.payload for _, i in s.functions.asked] == [b'{"n":1}'] and s.functions.asked[0][1].request_id == "id"
    assert s.kept() == 0


async def test_an_event_is_on_disk_before_it_is_acknowledged() -> None:
    s = await scene()
    s.records.fault = lambda: (_ for _ in ()).throw(Temporary("the disk is full"))
    with pytest.raises(Temporary):
        await s.send()
    assert s.waiting() == 0


async def test_a_function_that_fails_is_tried_three_times() -> None:
    s = await scene()
    s.functions.behaves["f"] = outcomes(FAILURE)
    times = []

    async def behave(function: Function, invocation: Invocation) -> Outcome:
        times.append(round(s.loop.time()))
        return FAILURE

    s.functions.behaves["f"] = behave
    await s.configure(on_failure=QUEUE)
    await s.send(b'{"n":1}')
    await s.through()
    assert times == [0, 60, 180]
    record = s.told()
    assert record["requestContext"] == {
        "requestId": "id",
        "functionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f:$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 3,
    }
    assert record["requestPayload"] == {"n": 1} and record["responsePayload"] == {"errorMessage": "no"}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert s.calls[0][:2] == ("sqs", "SendMessage") and s.sessions == [ROLE]
    assert s.calls[0][2]["QueueUrl"].endswith(f"/{ACCOUNT}/told")


async def test_a_config_of_no_retries_and_a_short_age() -> None:
    s = await scene()
    s.functions.behaves["f"] = outcomes(FAILURE)
    await s.configure(on_failure=QUEUE, retries=0)
    await s.send()
    await s.through()
    assert len(s.functions.asked) == 1 and s.told()["requestContext"]["approximateInvokeCount"] == 1


async def test_an_event_that_grows_too_old() -> None:
    s = await scene()
    s.functions.behaves["f"] = outcomes(Temporary("no machine has room"))
    await s.configure(on_failure=QUEUE, age=60)
    await s.send()
    await s.through()
    assert s.loop.time() < 62
    record = s.told()
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record["responseContext"] == {"statusCode": 500}


async def test_setbacks_are_no_attempts() -> None:
    s = await scene()
    s.functions.behaves["f"] = outcomes(*[Temporary("no room")] * 6, FAILURE, Temporary("no room"), Outcome(b"1"))
    await s.configure(on_success=TOPIC)
    await s.send()
    await s.through()
    message = json.loads(s.calls[-1][2]["Message"])
    assert (
        message["requestContext"]["condition"] == "Success" and message["requestContext"]["approximateInvokeCount"] == 2
    )
    assert message["responsePayload"] == 1 and s.calls[-1][:2] == ("sns", "Publish")


async def test_a_reservation_of_zero_sends_events_away() -> None:
    s = await scene(reserved=0)
    await s.configure(on_failure=QUEUE)
    await s.send()
    await s.through()
    assert s.functions.asked == []
    assert s.told()["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert s.told()["requestContext"]["approximateInvokeCount"] == 0 and "responseContext" not in s.told()


async def test_qualified_events_have_their_own_config() -> None:
    s = await scene()
    await s.change(lambda tx: make_version(tx, "1"), lambda tx: make_alias(tx, "live", "1"))
    await s.configure("live", on_success=QUEUE)
    await s.send()
    await s.send(qualifier="live")
    await s.through()
    assert len(s.calls) == 1 and s.told()["requestContext"]["functionArn"].endswith(":function:f:live")
    assert s.told()["responseContext"]["executedVersion"] == "1"


async def _delete(s: Scene) -> None:
    found = s.store.get(FUNCTION, ACCOUNT, REGION, "f")
    configured = s.store.get(EVENT_INVOKE, ACCOUNT, REGION, "f:$LATEST")
    await s.change(lambda tx: tx.remove(found), lambda tx: tx.remove(configured) if configured else None)


async def test_events_of_a_function_that_is_gone_are_told_of() -> None:
    """As AWS was seen to do in October 2026: it counts as a run that failed, by what was said when they came."""
    dead = f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead"
    s = await scene(config=replace(CONFIG, dead_letter=dead))
    await s.configure(on_failure=QUEUE, retries=1)
    s.functions.behaves["f"] = outcomes(Temporary("no room"))
    await s.send(b'{"n":1}')
    await asyncio.sleep(0.5)
    await _delete(s)
    s.begin()
    await asyncio.sleep(5)
    asked = len(s.functions.asked)
    await s.through()
    assert len(s.functions.asked) == asked and s.kept() == 0 and 60 < s.loop.time() < 70
    (_, _, told), (_, _, letter) = s.calls
    record = json.loads(told["MessageBody"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2 and record["requestPayload"] == {"n": 1}
    assert record["responseContext"] == {"statusCode": 404} and "responsePayload" not in record
    said = {name: each["StringValue"] for name, each in letter["MessageAttributes"].items()}
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f:$LATEST"
    assert said == {"RequestID": "id", "ErrorCode": "404", "ErrorMessage": f"Function not found: {arn}"}
    assert letter["MessageBody"] == '{"n":1}' and letter["QueueUrl"].endswith("/dead")


async def test_events_of_a_function_that_is_gone_are_forgotten_where_nobody_is_to_be_told() -> None:
    s = await scene()
    s.functions.behaves["f"] = outcomes(Temporary("no room"))
    await s.send()
    await asyncio.sleep(0.5)
    await _delete(s)
    await s.through()
    assert s.kept() == 0 and s.calls == []


async def test_a_function_that_is_made_anew_gets_the_events_of_the_one_before() -> None:
    s = await scene()
    s.functions.behaves["f"] = outcomes(Temporary("no room"), Outcome(b"1"))
    await s.send()
    await asyncio.sleep(0.5)
    await _delete(s)
    await asyncio.sleep(10)
    await s.change(lambda tx: make_function(tx, uid="another of that name"))
    await s.configure(on_success=QUEUE)
    await s.through()
    assert s.told()["requestContext"]["condition"] == "Success" and s.told()["responsePayload"] == 1


async def test_an_alias_that_is_gone() -> None:
    s = await scene()
    await s.change(lambda tx: make_version(tx, "1"), lambda tx: make_alias(tx, "live", "1"))
    await s.configure("live", on_failure=QUEUE, retries=0)
    s.functions.behaves["f"] = outcomes(Temporary("no room"))
    await s.send(qualifier="live")
    await asyncio.sleep(0.5)
    found = s.store.get(ALIAS, ACCOUNT, REGION, "f:live")
    await s.change(lambda tx: tx.remove(found))
    await s.through()
    context = s.told()["requestContext"]
    assert context["functionArn"].endswith(":function:f:live") and context["approximateInvokeCount"] == 1


async def test_what_was_acknowledged_outlives_the_process() -> None:
    s = await scene()
    gate = asyncio.Event()

    async def behave(function: Function, invocation: Invocation) -> Outcome:
        await gate.wait()
        return Outcome()

    s.functions.behaves["f"] = behave
    for n in range(50):
        await s.send(str(n).encode())
    assert s.kept() == 50
    s.begin()
    await asyncio.sleep(0.1)
    gate.set()
    await s.through()
    assert {i.payload for _, i in s.functions.asked} == {str(n).encode() for n in range(50)} and s.kept() == 0


async def test_tries_are_remembered_over_a_restart() -> None:
    s = await scene()
    s.functions.behaves["f"] = outcomes(FAILURE)
    await s.configure(on_failure=QUEUE)
    await s.send()
    await asyncio.sleep(70)
    s.begin()
    await asyncio.sleep(1)
    assert s.waiting() == 1
    await s.through()
    assert len(s.functions.asked) == 3 and round(s.loop.time(), -1) == 180


async def test_a_record_that_was_not_delivered_is_delivered_after_a_restart() -> None:
    s = await scene()
    s.refuse["SendMessage"] = [Temporary("away")]
    await s.configure(on_success=QUEUE)
    await s.send()
    await asyncio.sleep(0.2)
    assert s.calls == []
    s.begin()
    await asyncio.sleep(0.1)
    await s.through()
    assert len(s.calls) == 1 and len(s.functions.asked) == 1


async def test_a_slow_function_holds_up_nobody_else() -> None:
    s = await scene()
    await s.change(lambda tx: make_function(tx, "quick"))

    async def slow(function: Function, invocation: Invocation) -> Outcome:
        await asyncio.sleep(100)
        return Outcome()

    s.functions.behaves["f"] = slow
    for _ in range(200):
        await s.send()
    await s.send(name="quick")
    await s.through("quick")
    assert s.loop.time() < 1


async def test_few_environments_for_quick_functions_and_many_for_slow_ones() -> None:
    s = await scene()

    def lasting(seconds: float) -> Any:
        async def behave(function: Function, invocation: Invocation) -> Outcome:
            await asyncio.sleep(seconds)
            return Outcome()

        return behave

    s.functions.behaves["f"] = lasting(0.001)
    for _ in range(2000):
        await s.send()
    await s.through()
    assert s.functions.most <= 10
    await s.change(lambda tx: make_function(tx, "slow"))
    s.functions.behaves["slow"] = lasting(10.0)
    for _ in range(2000):
        await s.send(name="slow")
    began = s.loop.time()
    await s.through("slow")
    assert s.functions.most > 200 and s.loop.time() - began < 150


async def test_a_reservation_bounds_what_runs() -> None:
    s = await scene(reserved=3)

    async def behave(function: Function, invocation: Invocation) -> Outcome:
        await asyncio.sleep(0.2)
        return Outcome()

    s.functions.behaves["f"] = behave
    for _ in range(60):
        await s.send()
    await s.through()
    assert s.functions.most <= 3 and s.kept() == 0
    assert s.loop.time() < 600


async def test_a_fault_of_ours_loses_no_event() -> None:
    s = await scene()
    s.functions.behaves["f"] = outcomes(RuntimeError("a bug"), Outcome())
    await s.send()
    await s.through()
    assert len(s.functions.asked) == 2 and s.kept() == 0 and 60 <= s.loop.time() < 62


async def test_a_disk_that_refuses_in_the_middle_of_a_delivery() -> None:
    """The function has run: what is left is the letter."""
    s = await scene()
    aws, refused = s.aws, []

    def refuse() -> None:
        s.records.fault = None
        refused.append("once")
        raise Temporary("the disk is full")

    async def away(service: str, operation: str, request: Any) -> Any:
        if operation == "SendMessage" and not refused:
            s.records.fault = refuse
            raise Temporary("the queue is away")
        return await aws(service, operation, request)

    s.aws = away  # type: ignore[method-assign]
    await s.configure(on_success=QUEUE)
    await s.send(b'{"n":1}')
    await s.through()
    assert refused == ["once"] and [i.payload for _, i in s.functions.asked] == [b'{"n":1}']
    assert s.told()["requestPayload"] == {"n": 1} and len(s.calls) == 1 and s.kept() == 0


async def test_events_that_come_while_those_on_disk_are_looked_through_run_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("havre.services.lambda_.invoking.queue.LOADED", 2)
    s = await scene()
    s.functions.behaves["f"] = outcomes(Temporary("no room"))
    for n in range(20):
        await s.send(str(n).encode(), id=f"old-{n}")
    s.functions.behaves["f"] = outcomes(Outcome(b"null"))
    s.functions.asked.clear()
    await s.configure(on_success=QUEUE)
    s.begin()
    for n in range(10):
        await asyncio.sleep(0)
        await s.send(str(n).encode(), id=f"new-{n}")
    await s.through()
    ran = [invocation.request_id for _, invocation in s.functions.asked]
    assert sorted(ran) == sorted(set(ran)) and len(ran) == 30
    assert all(invocation.payload for _, invocation in s.functions.asked) and s.kept() == 0
    assert len(s.calls) == 30 and all("requestPayload" in s.told(n) for n in range(30))
