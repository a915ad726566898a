"""Shards that are pushed: subscriptions that end, are refused and begin again, and no record is lost or comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tests.unit.services.lambda_.sources.source_fakes import STREAM, FakeAccess, clock
from tests.unit.services.lambda_.sources.test_stream import Rig

from havre.kernel.errors import ApiError
from havre.services.lambda_.sources.kinesis import ConsumerReader, KinesisReader
from havre.services.lambda_.sources.reader import Expired
from havre.services.lambda_.sources.source import Source

pytestmark = pytest.mark.looptime
CONSUMER = f"{STREAM}/consumer/fast:1"
BASE: dict[str, Any] = {
    "id": "m", "arn": CONSUMER, "account": "0", "region": "us-east-1", "function": "f", "role": "r", "batch": 1,
}  # fmt: skip


class FakeKinesis:
    """One shard of ``count`` records; a subscription gives ``each`` of them and ends."""

    def __init__(self, count: int, each: int) -> None:
        self.count, self.each = count, each
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.refusals = 0

    async def __call__(self, service: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append((operation, request))
        if operation == "ListShards":
            return {"Shards": [{"ShardId": "s"}]}
        if self.refusals:
            self.refusals -= 1
            raise ApiError("ResourceInUseException", "too soon", 400)
        return {"EventStream": self._pushed(request["StartingPosition"])}

    async def _pushed(self, position: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        at = int(position.get("SequenceNumber", 0))
        for number in range(at + 1, min(at + self.each, self.count) + 1):
            record = {
                "SequenceNumber": str(number),
                "PartitionKey": "k",
                "Data": b"x",
                "ApproximateArrivalTimestamp": 1,
            }
            following = {} if number == self.count else {"ContinuationSequenceNumber": str(number)}
            yield {"SubscribeToShardEvent": {"Records": [record], **following}}


def _reader(kinesis: FakeKinesis, **more: Any) -> ConsumerReader:
    access = FakeAccess(kinesis, lambda event: None)
    return ConsumerReader(Source(**{**BASE, **more}), access)


async def test_a_shard_is_read_to_its_end_by_one_subscription_after_the_other() -> None:
    kinesis = FakeKinesis(5, 2)
    reader = _reader(kinesis, start="TRIM_HORIZON")
    assert [shard.id for shard in await reader.shards()] == ["s"]
    assert kinesis.asked == [("ListShards", {"StreamARN": STREAM})]
    found: list[str] = []
    iterator: str | None = await reader.iterator("s", "")
    while iterator is not None:
        try:
            read = await reader.read(iterator, 1)
        except Expired:
            iterator = await reader.iterator("s", found[-1])
            continue
        found += [record.sequence for record in read.records]
        iterator = read.next
    assert found == ["1", "2", "3", "4", "5"]
    assert [request["StartingPosition"] for operation, request in kinesis.asked[1:]] == [
        {"Type": "TRIM_HORIZON"},
        {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": "2"},
        {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": "4"},
    ]


async def test_latest_is_the_moment_when_the_mapping_was_made() -> None:
    kinesis = FakeKinesis(1, 1)
    await _reader(kinesis, start="LATEST", start_at=7.0).iterator("s", "")
    assert kinesis.asked[0][1] == {
        "ConsumerARN": CONSUMER,
        "ShardId": "s",
        "StartingPosition": {"Type": "AT_TIMESTAMP", "Timestamp": 7.0},
    }


async def test_a_subscription_that_is_refused_is_tried_again() -> None:
    kinesis = FakeKinesis(3, 10)
    kinesis.refusals = 3
    rig = Rig(_reader(kinesis, start="TRIM_HORIZON"), lambda event: None, arn=CONSUMER, batch=1)
    rig.start()
    while len(rig.access.events) < 3:
        await asyncio.sleep(1)
    assert rig.access.results[0] == "PROBLEM: too soon" and clock() < 60
    await rig.crash()


class OldRole:
    """Knows DescribeStream alone, which tells of one shard at a time."""

    refusal = ApiError("AccessDeniedException", "no", 400)

    async def __call__(self, service: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation != "DescribeStream":
            raise self.refusal
        after = request.get("ExclusiveStartShardId")
        shard = {"ShardId": "b", "ParentShardId": "a"} if after else {"ShardId": "a"}
        return {"StreamDescription": {"Shards": [shard], "HasMoreShards": not after}}


async def test_shards_are_described_to_roles_that_may_not_list_them() -> None:
    old = OldRole()
    reader = KinesisReader(Source(**BASE), FakeAccess(old, lambda event: None))
    assert [(shard.id, shard.parents) for shard in await reader.shards()] == [("a", ()), ("b", ("a",))]
    old.refusal = ApiError("ResourceNotFoundException", "gone", 400)
    with pytest.raises(ApiError, match="gone"):
        await reader.shards()
