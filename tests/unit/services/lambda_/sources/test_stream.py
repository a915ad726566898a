"""Records of a stream on their way to a function, with failures and crashes."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

import pytest
from tests.unit.services.lambda_.sources.source_fakes import STREAM, FakeAccess, FakeQueue, FakeStream, clock

from havre.core.event_sources.retries import Limits
from havre.kernel.errors import Temporary
from havre.kernel.world import World
from havre.services.lambda_.sources.checkpoints import KINDS, Checkpoints
from havre.services.lambda_.sources.reader import Shard
from havre.services.lambda_.sources.source import FAILED, NOTHING, OK, Source
from havre.services.lambda_.sources.stream import StreamPoller
from havre.store.memory import MemoryStore

pytestmark = pytest.mark.looptime


def source(**more: Any) -> Source:
    base = {"id": "m", "arn": STREAM, "account": "000000000000", "region": "us-east-1", "function": "f", "role": "r"}
    return Source(**{**base, "batch": 10, "start": "TRIM_HORIZON", **more})


class Rig:
    def __init__(self, stream: Any, function: Any, **more: Any) -> None:
        self.stream = stream
        self.source = source(**more)
        self.queue = FakeQueue()
        self.access = FakeAccess(self.queue, function)
        store = MemoryStore(list(KINDS), World(clock, Random(1)))
        self.checkpoints = Checkpoints(store, "000000000000", "us-east-1", "m")
        self.task: asyncio.Task[None] | None = None

    def start(self) -> StreamPoller:
        poller = StreamPoller(self.source, self.stream, self.access, self.checkpoints)
        self.task = asyncio.get_running_loop().create_task(poller.run())
        return poller

    async def crash(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])

    async def run(self, seconds: float) -> None:
        self.start()
        await asyncio.sleep(seconds)
        await self.crash()

    def seen(self, shard_values: bool = True) -> list[Any]:
        return [record["value"] for event in self.access.events for record in event["Records"]]


async def test_every_record_in_order_over_crashes() -> None:
    stream = FakeStream(Shard("s"))
    stream.expires = 7
    taken: list[int] = []
    random = Random(3)

    def function(event: Any) -> None:
        assert random.random() > 0.3
        taken.extend(record["value"] for record in event["Records"])

    rig = Rig(stream, function)
    for n in range(300):
        stream.put("s", str(n % 5), n)
    for _ in range(6):
        await rig.run(random.random() * 3)
    await rig.run(60)
    firsts = list(dict.fromkeys(taken))
    assert firsts == list(range(300))
    assert rig.checkpoints.get("s").sequence == "00299"


async def test_lanes_keep_the_order_of_each_key() -> None:
    stream = FakeStream(Shard("s"))
    random = Random(5)
    taken: dict[str, list[int]] = {}

    def function(event: Any) -> None:
        assert random.random() > 0.2
        for record in event["Records"]:
            taken.setdefault(record["partition"], []).append(record["value"])

    rig = Rig(stream, function, lanes=4, batch=5)
    for n in range(400):
        stream.put("s", str(n % 11), n)
    for _ in range(4):
        await rig.run(random.random() * 2)
    await rig.run(60)
    assert rig.access.most > 1 and rig.checkpoints.get("s").sequence == "00399"
    for partition, values in taken.items():
        assert list(dict.fromkeys(values)) == [n for n in range(400) if n % 11 == int(partition)]


async def test_children_begin_when_their_parents_are_done_with() -> None:
    stream = FakeStream(Shard("a"), Shard("b", ("a", "gone")))
    rig = Rig(stream, lambda event: None)
    for n in range(30):
        stream.put("a", "k", n)
    for n in range(30, 40):
        stream.put("b", "k", n)
    await rig.run(20)
    assert rig.seen() == list(range(30))
    stream.closed.add("a")
    await rig.run(20)
    assert rig.seen() == list(range(40)) and rig.checkpoints.get("a").finished


async def test_poison_is_told_to_the_destination_and_the_rest_goes_on() -> None:
    stream = FakeStream(Shard("s"))

    def function(event: Any) -> None:
        assert all(record["value"] != 7 for record in event["Records"])

    on_failure = "arn:aws:sqs:us-east-1:000000000000:lost"
    rig = Rig(stream, function, limits=Limits(attempts=2, bisect=True), on_failure=on_failure)
    for n in range(20):
        stream.put("s", "k", n)
    await rig.run(60)
    sent = [json.loads(request["MessageBody"]) for operation, request in rig.queue.told if operation == "SendMessage"]
    assert len(sent) == 1
    assert sent[0]["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert sent[0]["requestContext"]["approximateInvokeCount"] == 3
    assert sent[0]["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    told = sent[0]["KinesisBatchInfo"]
    assert (told["startSequenceNumber"], told["endSequenceNumber"], told["batchSize"]) == ("00007", "00007", 1)
    assert rig.checkpoints.get("s").sequence == "00019"


async def test_what_a_function_reports_is_told_without_an_error_of_its_own() -> None:
    stream = FakeStream(Shard("s"))

    def function(event: Any) -> Any:
        return {"batchItemFailures": [{"itemIdentifier": "00002"}]}

    on_failure = "arn:aws:sqs:us-east-1:000000000000:lost"
    rig = Rig(stream, function, limits=Limits(attempts=1), on_failure=on_failure, partial=True, window=1, batch=4)
    for n in range(4):
        stream.put("s", "k", n)
    await rig.run(30)
    sent = [json.loads(request["MessageBody"]) for operation, request in rig.queue.told if operation == "SendMessage"]
    assert sent[0]["requestContext"]["approximateInvokeCount"] == 2
    assert sent[0]["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": None}
    assert [each["KinesisBatchInfo"]["startSequenceNumber"] for each in sent] == ["00002"]


async def test_a_function_that_has_no_room_is_told_of_while_it_has_none() -> None:
    stream, full = FakeStream(Shard("s")), [True]

    def function(event: Any) -> None:
        if full[0]:
            raise Temporary("TooManyRequestsException: Rate Exceeded.")

    rig = Rig(stream, function)
    stream.put("s", "k", 1)
    rig.start()
    await asyncio.sleep(5)
    assert rig.access.results[-1] == FAILED
    full[0] = False
    await asyncio.sleep(60)
    await rig.crash()
    assert OK in rig.access.results and rig.access.results[-1] == NOTHING


async def test_records_that_are_too_old_are_given_up() -> None:
    stream = FakeStream(Shard("s"))

    def function(event: Any) -> None:
        raise AssertionError

    rig = Rig(stream, function, limits=Limits(age=60), on_failure="arn:aws:sns:us-east-1:000000000000:lost")
    stream.put("s", "k", 1)
    await rig.run(200)
    published = [json.loads(r["Message"]) for o, r in rig.queue.told if o == "Publish"]
    (told,) = published
    assert told["requestContext"].pop("functionArn") and len(told["requestContext"].pop("requestId")) == 36
    assert told["requestContext"] == {"condition": "RecordAgeExceeded", "approximateInvokeCount": 1}
    assert "responseContext" not in told
    assert rig.checkpoints.get("s").sequence == "00000"


async def test_a_window_adds_up_and_closes_over_a_crash() -> None:
    stream = FakeStream(Shard("s"))
    sums: list[int] = []

    def function(event: Any) -> Any:
        total = event["state"].get("total", 0) + sum(record["value"] for record in event["Records"])
        if event["isFinalInvokeForWindow"]:
            sums.append(total)
            return None
        return {"state": {"total": total}}

    rig = Rig(stream, function, tumbling=30, batch=3)
    await asyncio.sleep(30 - clock() % 30)
    rig.start()
    for n in range(10):
        stream.put("s", "k", n)
    await asyncio.sleep(10)
    await rig.crash()
    rig.start()
    stream.put("s", "k", 100)
    await asyncio.sleep(60)
    for n in range(5):
        stream.put("s", "k", n)
    await asyncio.sleep(60)
    await rig.crash()
    assert sums == [145, 10]


async def test_filtered_records_count_as_done() -> None:
    stream = FakeStream(Shard("s"))
    rig = Rig(stream, lambda event: None, filters=('{"value": [1]}',))
    for n in range(25):
        stream.put("s", "k", n % 5)
    await rig.run(20)
    assert rig.seen() == [1] * 5 and rig.checkpoints.get("s").sequence == "00024"


async def test_a_poller_that_finishes_waits_for_what_the_function_has() -> None:
    """The one after it neither comes beside it, nor again with what is done."""
    stream = FakeStream(Shard("s"))
    rig = Rig(stream, lambda event: None, batch=2)
    rig.access.duration = 30
    for n in range(5):
        stream.put("s", "k", n)
    for _ in range(3):
        poller = rig.start()
        await asyncio.sleep(10)
        poller.finish()
        assert rig.task is not None
        await rig.task
    assert rig.seen() == list(range(5)) and rig.access.most == 1


async def test_a_poller_that_finishes_waits_neither_for_room_nor_for_a_destination() -> None:
    stream = FakeStream(Shard("s"))
    stream.put("s", "k", 1)

    def function(event: Any) -> None:
        raise Temporary("no room")

    rig = Rig(stream, function)
    failing = Rig(stream, _fail, limits=Limits(attempts=0), on_failure="arn:aws:sqs:us-east-1:000000000000:lost")
    failing.queue.refusal = Temporary("away")
    for each in (rig, failing):
        poller, begun = each.start(), clock()
        await asyncio.sleep(5)
        poller.finish()
        assert each.task is not None
        await each.task
        assert clock() < begun + 6 and each.checkpoints.get("s").sequence == ""


def _fail(event: Any) -> None:
    raise AssertionError


@pytest.mark.parametrize("away", [1.0, 30.0])
async def test_a_stream_that_is_made_again_is_read_from_its_start(away: float) -> None:
    """However short it was away: its shards have the names of those before, and begin to count again."""
    stream = FakeStream(Shard("s"), Shard("done"))
    rig = Rig(stream, lambda event: None)
    stream.closed.add("done")
    for n in range(3):
        stream.put("s", "k", n)
    stream.put("done", "k", 10)
    poller = rig.start()
    await asyncio.sleep(10)
    known, stream.known, stream.records = stream.known, [], {}
    stream.closed.clear()
    stream.gone = True
    await asyncio.sleep(away)
    stream.gone, stream.known, stream.records = False, known, {"s": [], "done": []}
    stream.put("s", "k", 3)
    stream.put("done", "k", 11)
    await asyncio.sleep(10)
    poller.finish()
    assert rig.task is not None
    await rig.task
    assert sorted(rig.seen()) == [0, 1, 2, 3, 10, 11]
