"""Messages of a queue on their way to a function."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.services.lambda_.sources.source_fakes import QUEUE, FakeAccess, FakeQueue, clock

from havre.kernel.errors import ApiError, Temporary
from havre.services.lambda_.sources.queue import QueuePoller, parts
from havre.services.lambda_.sources.source import FAILED, OK, Source

pytestmark = pytest.mark.looptime


def source(**more: Any) -> Source:
    base = {"id": "m", "arn": QUEUE, "account": "000000000000", "region": "us-east-1", "function": "f", "role": "r"}
    return Source(**{**base, "batch": 10, **more})


async def poll(source: Source, access: FakeAccess, seconds: float) -> None:
    task = asyncio.get_running_loop().create_task(QueuePoller(source, access).run())
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def bodies(event: Any) -> list[str]:
    return [record["body"] for record in event["Records"]]


async def test_every_message_is_handed_over_and_deleted() -> None:
    queue = FakeQueue()
    queue.arrive(*[str(n) for n in range(95)])
    access = FakeAccess(queue, lambda event: None)
    await poll(source(), access, 10)
    assert sorted((body for event in access.events for body in bodies(event)), key=int) == [str(n) for n in range(95)]
    assert queue.left == [] and set(access.results) == {OK}
    record = access.events[0]["Records"][0]
    assert (
        record["eventSource"] == "aws:sqs" and record["eventSourceARN"] == QUEUE and record["awsRegion"] == "us-east-1"
    )
    lists: dict[str, list[Any]] = {"stringListValues": [], "binaryListValues": []}
    assert record["messageAttributes"] == {
        "n": {"binaryValue": "AQ==", **lists, "dataType": "Binary"},
        "s": {"stringValue": "text", **lists, "dataType": "String"},
    }
    assert "md5OfMessageAttributes" not in record


async def test_a_failed_batch_comes_again_after_its_visibility_timeout() -> None:
    queue, tried = FakeQueue(visibility=20), []

    def function(event: Any) -> None:
        tried.append(clock())
        assert len(tried) > 2

    queue.arrive("a")
    access = FakeAccess(queue, function)
    await poll(source(), access, 60)
    assert queue.left == [] and len(tried) == 3
    assert tried[1] - tried[0] >= 20 and access.results == [FAILED, FAILED, OK]


async def test_what_a_function_names_comes_again_and_the_rest_is_deleted() -> None:
    queue = FakeQueue(visibility=1000)

    def function(event: Any) -> Any:
        bad = [r["messageId"] for r in event["Records"] if r["body"] == "bad"]
        return {"batchItemFailures": [{"itemIdentifier": id} for id in bad]}

    queue.arrive("a", "bad", "c")
    await poll(source(partial=True), FakeAccess(queue, function), 60)
    assert queue.left == ["bad"]


async def test_what_no_filter_lets_through_is_deleted_unseen() -> None:
    queue = FakeQueue()
    queue.arrive('{"kind": "order"}', '{"kind": "other"}', "text")
    access = FakeAccess(queue, lambda event: None)
    await poll(source(filters=('{"body": {"kind": ["order"]}}',)), access, 5)
    assert [bodies(e) for e in access.events] == [['{"kind": "order"}']] and queue.left == []


async def test_a_window_gathers_a_batch() -> None:
    queue = FakeQueue(visibility=200)
    access = FakeAccess(queue, lambda event: None)

    async def trickle() -> None:
        for n in range(10):
            await asyncio.sleep(1)
            queue.arrive(str(n))

    task = asyncio.get_running_loop().create_task(trickle())
    await poll(source(batch=100, window=30), access, 60)
    await task
    assert len(access.events) == 1 and len(access.events[0]["Records"]) == 10


async def test_what_fills_an_event_waits_for_no_window() -> None:
    queue = FakeQueue()
    queue.arrive(*["x" * 1_000_000] * 30)
    access = FakeAccess(queue, lambda event: None)
    await poll(source(batch=10_000, window=300), access, 10)
    assert queue.left == [] and all(1 <= len(event["Records"]) <= 6 for event in access.events)


async def test_no_more_batches_at_once_than_the_mapping_says() -> None:
    queue = FakeQueue(visibility=10_000)
    queue.arrive(*[str(n) for n in range(2000)])
    access = FakeAccess(queue, lambda event: None, duration=5)
    await poll(source(at_once=7), access, 60)
    assert access.most == 7
    queue.messages.clear()
    queue.arrive(*[str(n) for n in range(4000)])
    access = FakeAccess(queue, lambda event: None, duration=5)
    await poll(source(), access, 20)
    assert 50 < access.most <= 5 + 20 * 5


async def test_provisioned_pollers_are_there_from_the_first_message_on() -> None:
    queue = FakeQueue(visibility=10_000)
    access = FakeAccess(queue, lambda event: None, duration=2)
    task = asyncio.get_running_loop().create_task(QueuePoller(source(pollers=3, at_once=40), access).run())
    await asyncio.sleep(3)
    waiting = [request for operation, request in queue.told if operation == "ReceiveMessage"]
    assert len(waiting) == 3, "each asks by itself"
    queue.arrive(*[str(n) for n in range(2000)])
    await asyncio.sleep(1)
    assert access.most == 30, "ten batches each, at once"
    await asyncio.sleep(10)
    assert access.most == 40, "and no more than the most of them may"
    task.cancel()


async def test_provisioned_pollers_that_are_refused_go_on() -> None:
    queue = FakeQueue()
    queue.arrive(*[str(n) for n in range(50)])
    queue.refusal = ApiError("AccessDenied", "the role may not receive")
    access = FakeAccess(queue, lambda event: None)
    task = asyncio.get_running_loop().create_task(QueuePoller(source(pollers=2, at_once=20), access).run())
    await asyncio.sleep(5)
    assert access.results[-1] == "PROBLEM: the role may not receive"
    queue.refusal = None
    await asyncio.sleep(30)
    assert queue.left == []
    task.cancel()


async def test_a_function_without_room_is_asked_again_while_the_messages_are_ours() -> None:
    queue = FakeQueue(visibility=60)
    queue.arrive("a")
    asked = []

    def function(event: Any) -> None:
        asked.append(clock())
        if clock() < 20:
            raise Temporary("Rate Exceeded.")

    await poll(source(), FakeAccess(queue, function), 60)
    assert queue.left == [] and len(asked) > 2 and queue.messages["0"]["received"] == 1


async def test_a_queue_that_is_refused_is_told_and_tried_again() -> None:
    queue = FakeQueue()
    queue.arrive("a")
    queue.refusal = ApiError("AccessDenied", "the role may not receive")
    access = FakeAccess(queue, lambda event: None)
    task = asyncio.get_running_loop().create_task(QueuePoller(source(), access).run())
    await asyncio.sleep(5)
    assert access.results[-1] == "PROBLEM: the role may not receive"
    queue.refusal = None
    await asyncio.sleep(30)
    assert queue.left == [] and access.results[-1] == OK
    task.cancel()


def test_no_event_is_too_large() -> None:
    records = [({"ReceiptHandle": str(n)}, {"body": "x" * 1_000_000}) for n in range(14)]
    made = list(parts(records))
    assert [len(part) for part in made] == [6, 6, 2]
    assert [pair for part in made for pair in part] == records


async def test_a_poller_that_finishes_leaves_nothing_that_was_received() -> None:
    queue = FakeQueue(visibility=100)
    access = FakeAccess(queue, lambda event: None, duration=20)
    poller = QueuePoller(source(batch=2, window=60), access)
    task = asyncio.get_running_loop().create_task(poller.run())
    queue.arrive("a", "b", "c")
    await asyncio.sleep(5)  # two are with the function, one waits for a second
    poller.finish()
    queue.arrive("late")
    await task
    assert clock() < 26 and queue.left == ["late"]
    assert sorted(len(event["Records"]) for event in access.events) == [1, 2]


async def test_a_poller_that_finishes_waits_for_no_room() -> None:
    queue = FakeQueue(visibility=1000)

    def function(event: Any) -> None:
        raise Temporary("no room")

    queue.arrive("a")
    poller = QueuePoller(source(), FakeAccess(queue, function))
    task = asyncio.get_running_loop().create_task(poller.run())
    await asyncio.sleep(5)
    poller.finish()
    await task
    assert clock() < 6 and queue.left == ["a"]


@pytest.mark.parametrize(("suffix", "taken"), [(".fifo", "b1"), ("", "b1 a2")])
async def test_nothing_of_a_fifo_group_overtakes_what_failed(suffix: str, taken: str) -> None:
    """Batches that are too large for one event are handed over in parts; queues without order may have groups, too."""
    queue = FakeQueue(visibility=1000)

    def function(event: Any) -> None:
        assert not bodies(event)[0].startswith("a1")

    names = ("a1", "b1", "a2")
    queue.arrive(*[name + "x" * 4_000_000 for name in names])
    access = FakeAccess(queue, function)
    await poll(source(arn=QUEUE + suffix), access, 60)
    left = [body[:2] for body in queue.left]
    assert [name for name in names if name not in left] == sorted(taken.split(), key=names.index)
    assert len(access.events) == 1 + len(taken.split())
