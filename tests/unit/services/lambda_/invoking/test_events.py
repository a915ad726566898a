"""The queue of asynchronous events, in virtual time: retries, destinations, fairness, crashes."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.services.lambda_.invoking.invoking_fakes import (
    ACCOUNT,
    CONFIG,
    REGION,
    ROLE,
    FakeFunctions,
    make_alias,
    make_function,
    make_version,
)

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Site
from havre.core.invoking import traces
from havre.kernel.errors import ApiError, Temporary
from havre.kernel.function import Function, Invocation, Outcome
from havre.kernel.resource import NoStatus
from havre.kernel.world import World
from havre.services.lambda_.invoking.assembly import Invoking
from havre.services.lambda_.invoking.destinations import Destinations
from havre.services.lambda_.invoking.events import Where
from havre.services.lambda_.resources import EVENT_INVOKE, FUNCTION, KINDS, EventInvokeSpec, qualified
from havre.store.memory import MemoryRecords, MemoryStore

pytestmark = pytest.mark.looptime
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:told"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:told"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/told"
FAILURE = Outcome(b'{"errorMessage":"no"}', "Unhandled")
START = 1_700_000_000.0


class Scene:
    """One process after another on the same store and records."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.world = World(lambda: START + self.loop.time(), Random(3))
        self.store = MemoryStore(KINDS, self.world)
        self.records = MemoryRecords()
        self.functions = FakeFunctions()
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.refuse: dict[str, list[Exception]] = {}
        self.sessions: list[str] = []
        self.loops: list[asyncio.Task[None]] = []
        self.begin()

    def begin(self) -> None:
        """Start a process anew."""
        for task in self.loops:
            task.cancel()
        self.invoking = Invoking(self.store, self.world, self.records, lambda: self.functions)
        deps = ReconcilerDeps(
            self.store,
            None,
            self.world,
            Site(),
            lambda a, r, s, source="", trace="": self.aws,
            self.with_role,  # type: ignore[arg-type]
        )
        self.loops = [self.loop.create_task(self.invoking.events.run(Destinations(deps)))]

    def with_role(self, account: str, region: str, credentials: Any, trace: str = "") -> Any:
        self.sessions.append(credentials["AccessKeyId"])
        return self.aws

    async def aws(self, service: str, operation: str, request: Any) -> Any:
        failures = self.refuse.get(operation)
        if failures:
            raise failures.pop(0)
        if operation == "AssumeRole":
            return {"Credentials": {"AccessKeyId": request["RoleArn"], "SecretAccessKey": "", "SessionToken": ""}}
        self.calls.append((service, operation, dict(request)))
        return {}

    async def change(self, *changes: Any) -> None:
        await self.store.transact(lambda tx: [change(tx) for change in changes] and None)

    async def configure(self, qualifier: str = "$LATEST", **spec: Any) -> None:
        made = EventInvokeSpec("f", qualifier, START, **spec)
        key = {"account": ACCOUNT, "region": REGION, "name": qualified("f", qualifier), "arn": ""}
        await self.change(lambda tx: tx.create(EVENT_INVOKE, spec=made, status=NoStatus(), **key))

    async def send(
        self, payload: bytes = b"{}", name: str = "f", qualifier: str = "", id: str = "id", trace: str = ""
    ) -> None:
        invoker = self.invoking.invoker
        target = invoker.find(ACCOUNT, REGION, name, qualifier)
        await self.invoking.events.put(target, id, payload, invoker.trace_of_event(target, trace), "")

    def waiting(self, name: str = "f") -> int:
        return self.invoking.events.waiting(Where(ACCOUNT, REGION, name))

    def kept(self, name: str = "f") -> int:
        return len(self.records.heads(Where(ACCOUNT, REGION, name).shelf))

    async def through(self, name: str = "f") -> None:
        while self.waiting(name):
            await asyncio.sleep(0.05)

    def told(self, index: int = -1) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.calls[index][2]["MessageBody"])
        return found


async def scene(**spec: Any) -> Scene:
    made = Scene()
    await made.change(lambda tx: make_function(tx, **spec))
    return made


def outcomes(*several: Outcome | Exception) -> Any:
    left = list(several)

    async def behave(function: Function, invocation: Invocation) -> Outcome:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found

    return behave


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
    assert record["requestContext"]["condition"] == "EventAgeExceeded" and "responseContext" not in record


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
    assert s.told()["requestContext"]["approximateInvokeCount"] == 0


async def test_a_loop_of_events_ends_and_the_last_one_is_told() -> None:
    s = await scene()
    await s.configure(on_failure=QUEUE)
    mark = traces.mark(f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f")
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0;Lineage={}:{}"
    await s.send(trace=header.format(mark, 15))
    await s.through()
    assert len(s.functions.asked) == 1 and s.calls == []
    await s.send(trace=header.format(mark, 16))
    await s.through()
    assert len(s.functions.asked) == 1
    context = s.told()["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("RecursiveInvocation", 0)
    await s.change(lambda tx: tx.update(tx.get(FUNCTION, ACCOUNT, REGION, "f"), spec=_allowing_loops(tx)))
    await s.send(trace=header.format(mark, 16))
    await s.through()
    assert len(s.functions.asked) == 2


def _allowing_loops(tx: Any) -> Any:
    return replace(tx.get(FUNCTION, ACCOUNT, REGION, "f").spec, recursive_loop="Allow")


async def test_dead_letters_are_the_event_itself() -> None:
    s = await scene(config=replace(CONFIG, dead_letter=QUEUE))
    s.functions.behaves["f"] = outcomes(FAILURE)
    await s.configure(on_failure=TOPIC, retries=0)
    await s.send(b'{"n":1}')
    await s.through()
    assert [c[1] for c in s.calls] == ["Publish", "SendMessage"]
    letter = s.calls[1][2]
    assert letter["MessageBody"] == '{"n":1}'
    assert letter["MessageAttributes"]["ErrorMessage"] == {"DataType": "String", "StringValue": "no"}
    assert letter["MessageAttributes"]["RequestID"]["StringValue"] == "id"


@pytest.mark.parametrize(("arn", "operation"), [
    (BUS, "PutEvents"),
    (f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:next", "Invoke"),
    ("arn:aws:s3:::bucket", "PutObject"),
])  # fmt: skip
async def test_other_destinations(arn: str, operation: str) -> None:
    s = await scene()
    s.functions.behaves["f"] = outcomes(FAILURE)
    await s.configure(on_failure=arn, retries=0)
    await s.send()
    await s.through()
    assert s.calls[-1][1] == operation
    request = s.calls[-1][2]
    if operation == "PutEvents":
        entry = request["Entries"][0]
        assert entry["Source"] == "lambda" and entry["DetailType"] == "Lambda Function Invocation Result - Failure"
        assert entry["Resources"][0] == arn and json.loads(entry["Detail"])["version"] == "1.0"
    elif operation == "Invoke":
        assert request["InvocationType"] == "Event" and json.loads(request["Payload"])["version"] == "1.0"
    else:
        assert request["Bucket"] == "bucket" and request["Key"].startswith("aws/lambda/async/f/2023/11/14/")


async def test_a_destination_that_is_away_is_tried_again_and_the_function_is_not() -> None:
    s = await scene()
    s.refuse["SendMessage"] = [Temporary("throttled")] * 3
    await s.configure(on_success=QUEUE)
    await s.send()
    await s.through()
    assert len(s.calls) == 1 and len(s.functions.asked) == 1 and s.kept() == 0


@pytest.mark.parametrize("operation", ["SendMessage", "AssumeRole"])
async def test_a_destination_that_refuses_is_given_up(operation: str) -> None:
    s = await scene()
    s.refuse[operation] = [ApiError("AccessDenied", "no")]
    await s.configure(on_success=QUEUE)
    await s.send()
    await s.through()
    assert s.calls == [] and s.kept() == 0


async def test_qualified_events_have_their_own_config() -> None:
    s = await scene()
    await s.change(lambda tx: make_version(tx, "1"), lambda tx: make_alias(tx, "live", "1"))
    await s.configure("live", on_success=QUEUE)
    await s.send()
    await s.send(qualifier="live")
    await s.through()
    assert len(s.calls) == 1 and s.told()["requestContext"]["functionArn"].endswith(":function:f:live")
    assert s.told()["responseContext"]["executedVersion"] == "1"


async def test_events_of_a_function_that_is_gone_are_dropped() -> None:
    s = await scene()
    s.functions.behaves["f"] = outcomes(Temporary("no room"))
    await s.send()
    await asyncio.sleep(0.5)
    found = s.store.get(FUNCTION, ACCOUNT, REGION, "f")
    await s.change(lambda tx: tx.remove(found), lambda tx: make_function(tx, uid="another of that name"))
    asked = len(s.functions.asked)
    await s.through()
    assert len(s.functions.asked) == asked and s.kept() == 0


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
