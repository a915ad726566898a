"""What is counted of mappings' events."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.services.lambda_.sources import test_queue as queues
from tests.unit.services.lambda_.sources.source_fakes import FakeAccess, FakeQueue, FakeStream
from tests.unit.services.lambda_.sources.test_stream import Rig
from tests.unit.services.metrics_fakes import CountedMetrics

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Site
from havre.core.event_sources.retries import Limits
from havre.kernel.errors import ApiError, Temporary
from havre.services.lambda_.sources.access import RoleAccess
from havre.services.lambda_.sources.reader import Shard

pytestmark = pytest.mark.looptime
LOST = "arn:aws:sqs:us-east-1:000000000000:lost"


async def test_messages_that_are_taken() -> None:
    queue = FakeQueue()
    queue.arrive(*['{"k":1}', '{"k":2}', '{"k":1}'])
    access = FakeAccess(queue, lambda event: None)
    await queues.poll(queues.source(filters=('{"body": {"k": [1]}}',)), access, 30)
    assert access.counted == {
        "PolledEventCount": 3,
        "FilteredOutEventCount": 1,
        "InvokedEventCount": 2,
        "DeletedEventCount": 2,
    }
    assert access.times["PolledEventCount"] > 1, "nothing counts as well, as 0"


async def test_messages_that_fail() -> None:
    queue = FakeQueue(visibility=1000)

    def function(event: Any) -> Any:
        return {"batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in event["Records"] if r["body"] == "b"]}

    queue.arrive("a", "b", "c")
    access = FakeAccess(queue, function)
    await queues.poll(queues.source(partial=True), access, 10)
    assert access.counted["InvokedEventCount"] == 3 and access.counted["FailedInvokeEventCount"] == 1
    assert access.counted["DeletedEventCount"] == 2 and "FilteredOutEventCount" not in access.counted


async def test_messages_for_which_there_is_no_room() -> None:
    queue, full = FakeQueue(visibility=1000), [Temporary("Rate Exceeded."), Temporary("Rate Exceeded.")]

    def function(event: Any) -> None:
        if full:
            raise full.pop()

    queue.arrive("a", "b")
    access = FakeAccess(queue, function)
    await queues.poll(queues.source(), access, 30)
    assert access.counted["InvokedEventCount"] == 6 and access.counted["FailedInvokeEventCount"] == 4
    assert access.counted["DeletedEventCount"] == 2


async def test_messages_that_cannot_be_deleted() -> None:
    queue = FakeQueue(visibility=1000)

    def function(event: Any) -> None:
        queue.refusal = ApiError("AccessDenied", "no")

    queue.arrive("a")
    access = FakeAccess(queue, function)
    await queues.poll(queues.source(), access, 5)
    assert access.counted["DeletedEventCount"] == 0 and access.times["DeletedEventCount"] == 1


async def test_provisioned_pollers() -> None:
    access = FakeAccess(FakeQueue(), lambda event: None)
    await queues.poll(queues.source(pollers=3, at_once=40), access, 130)
    assert set(access.polling) == {3} and 3 <= len(access.polling) <= 4, "each minute, and when their number changes"
    quiet = FakeAccess(FakeQueue(), lambda event: None)
    await queues.poll(queues.source(), quiet, 130)
    assert quiet.polling == []


async def test_records_that_are_given_up() -> None:
    def function(event: Any) -> None:
        raise AssertionError

    stream = FakeStream(Shard("s"))
    rig = Rig(stream, function, limits=Limits(attempts=1))
    for n in range(3):
        stream.put("s", "k", n)
    await rig.run(30)
    told = rig.access.counted
    assert told["PolledEventCount"] == 3 == told["DroppedEventCount"]
    assert told["InvokedEventCount"] == told["FailedInvokeEventCount"] == 6
    assert "OnFailureDestinationDeliveredEventCount" not in told and "DeletedEventCount" not in told
    ages = rig.access.measured["IteratorAge"]
    assert len(ages) == 2 and 0 <= ages[0] < ages[1] < 5000


async def test_records_of_which_a_destination_is_told() -> None:
    def function(event: Any) -> None:
        raise AssertionError

    stream = FakeStream(Shard("s"))
    rig = Rig(stream, function, limits=Limits(attempts=0), on_failure=LOST)
    for n in range(3):
        stream.put("s", "k", n)
    await rig.run(20)
    assert rig.access.counted["OnFailureDestinationDeliveredEventCount"] == 3
    assert "DroppedEventCount" not in rig.access.counted and "DestinationDeliveryFailures" not in rig.access.measured


async def test_records_of_which_a_destination_does_not_want_to_hear() -> None:
    def function(event: Any) -> None:
        raise AssertionError

    stream = FakeStream(Shard("s"))
    rig = Rig(stream, function, limits=Limits(attempts=0), on_failure=LOST)
    rig.queue.refusal = ApiError("AccessDenied", "no")
    stream.put("s", "k", 1)
    await rig.run(20)
    assert rig.access.counted["DroppedEventCount"] == 1
    assert rig.access.measured["DestinationDeliveryFailures"] == [1.0]
    assert "OnFailureDestinationDeliveredEventCount" not in rig.access.counted


async def test_records_that_a_filter_holds_back() -> None:
    stream = FakeStream(Shard("s"))
    rig = Rig(stream, lambda event: None, filters=('{"value": [1]}',))
    for n in range(3):
        stream.put("s", "k", n)
    await rig.run(20)
    assert rig.access.counted["FilteredOutEventCount"] == 2 and rig.access.counted["InvokedEventCount"] == 1


async def test_where_they_are_told() -> None:
    metrics = CountedMetrics()
    deps: Any = ReconcilerDeps(None, None, None, Site(), lambda *a, **k: None, None, metrics)  # type: ignore[arg-type]

    def access(counted: bool, function: str) -> RoleAccess:
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function}"
        return RoleAccess(deps, queues.source(function=arn, counted=counted), lambda result: None)

    access(False, "f").count("PolledEventCount", 3)
    assert metrics.of("PolledEventCount", EventSourceMappingUUID="m") == {}
    access(True, "f").count("PolledEventCount", 3)
    access(True, "f").count("PolledEventCount", 0)
    assert metrics.of("PolledEventCount", EventSourceMappingUUID="m") == {3.0: 1.0, 0.0: 1.0}
    access(False, "f:live").measure("IteratorAge", 5.0, "Milliseconds")
    assert metrics.of("IteratorAge", FunctionName="f") == {5.0: 1.0} and metrics.of("IteratorAge") == {}
    assert metrics.of("IteratorAge", FunctionName="f", Resource="f:live") == {5.0: 1.0}
    access(False, "f").pollers(2)
    assert metrics.of("ProvisionedPollers", EventSourceMappingUUID="m") == {2.0: 1.0}
