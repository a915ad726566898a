"""Streams of Kinesis: asked for their records, or pushed them as a registered consumer."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from havre.control.operation import Aws
from havre.core.event_sources.retries import StreamRecord
from havre.kernel.errors import ApiError
from havre.services.lambda_.sources.reader import Expired, Read, Shard, seconds
from havre.services.lambda_.sources.source import Access, Source

_OVERHEAD = 600
"""Bytes of a record's event besides its data."""


class KinesisReader:
    info = "KinesisBatchInfo"

    def __init__(self, source: Source, access: Access) -> None:
        self._source = source
        self._access = access
        self._stream = source.arn.partition("/consumer/")[0]

    async def shards(self) -> Sequence[Shard]:
        aws = await self._access.as_role()
        try:
            found = await self._listed(aws)
        except ApiError as refusal:
            if refusal.code != "AccessDeniedException":
                raise
            found = await self._described(aws)  # roles that are older than ListShards may do just this, on AWS as well
        both = ("ParentShardId", "AdjacentParentShardId")
        return [Shard(shard["ShardId"], tuple(shard[p] for p in both if shard.get(p))) for shard in found]

    async def _listed(self, aws: Aws) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        request: dict[str, Any] = {"StreamARN": self._stream}
        while True:
            answer = await aws("kinesis", "ListShards", request)
            found += answer["Shards"]
            if not answer.get("NextToken"):
                return found
            request = {"NextToken": answer["NextToken"]}

    async def _described(self, aws: Aws) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        request: dict[str, Any] = {"StreamARN": self._stream}
        while True:
            answer = (await aws("kinesis", "DescribeStream", request))["StreamDescription"]
            found += answer["Shards"]
            if not (answer.get("HasMoreShards") and answer["Shards"]):
                return found
            request["ExclusiveStartShardId"] = answer["Shards"][-1]["ShardId"]

    async def iterator(self, shard: str, after: str) -> str:
        aws = await self._access.as_role()
        request: dict[str, Any] = {"StreamARN": self._stream, "ShardId": shard}
        position = self._position(after)
        request["ShardIteratorType"] = position.pop("Type")
        if after:
            request["StartingSequenceNumber"] = position.pop("SequenceNumber")
        return str((await aws("kinesis", "GetShardIterator", request | position))["ShardIterator"])

    def _position(self, after: str) -> dict[str, Any]:
        """A StartingPosition."""
        if after:
            return {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": after}
        if self._source.start == "TRIM_HORIZON":
            return {"Type": "TRIM_HORIZON"}
        # LATEST is a moment too, the one when the mapping was made: a crash before the first record loses none
        return {"Type": "AT_TIMESTAMP", "Timestamp": self._source.start_at}

    async def read(self, iterator: str, most: int) -> Read:
        aws = await self._access.as_role()
        request = {"ShardIterator": iterator, "Limit": min(most, 10_000), "StreamARN": self._stream}
        try:
            answer = await aws("kinesis", "GetRecords", request)
        except ApiError as refusal:
            if refusal.code == "ExpiredIteratorException":
                raise Expired from None
            raise
        return Read([self._event(r) for r in answer["Records"]], answer.get("NextShardIterator") or None)

    def _event(self, record: Mapping[str, Any]) -> StreamRecord:
        data = base64.b64encode(record["Data"]).decode()
        arrived = seconds(record["ApproximateArrivalTimestamp"])
        event = {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": record["PartitionKey"],
                "sequenceNumber": record["SequenceNumber"],
                "data": data,
                "approximateArrivalTimestamp": arrived,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": record["SequenceNumber"],
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": self._source.role,
            "awsRegion": self._source.region,
            "eventSourceARN": self._source.arn,
        }
        size = len(data) + _OVERHEAD + len(self._source.arn)
        return StreamRecord(record["SequenceNumber"], record["PartitionKey"], arrived, event, size)


class ConsumerReader(KinesisReader):
    """A shard's iterator is the shard itself: there is one subscription to it, which ends after some minutes."""

    def __init__(self, source: Source, access: Access) -> None:
        super().__init__(source, access)
        self._pushed: dict[str, AsyncIterator[Mapping[str, Any]]] = {}

    async def iterator(self, shard: str, after: str) -> str:
        aws = await self._access.as_role()
        request = {"ConsumerARN": self._source.arn, "ShardId": shard, "StartingPosition": self._position(after)}
        self._pushed[shard] = aiter((await aws("kinesis", "SubscribeToShard", request))["EventStream"])
        return shard

    async def read(self, iterator: str, most: int) -> Read:
        """As many as are pushed, whatever ``most`` is."""
        try:
            event = (await anext(self._pushed[iterator]))["SubscribeToShardEvent"]
        except (KeyError, StopAsyncIteration):
            self._pushed.pop(iterator, None)
            raise Expired from None
        over = not event.get("ContinuationSequenceNumber")
        return Read([self._event(r) for r in event["Records"]], None if over else iterator)


def name_shard(event: dict[str, Any], shard: str) -> None:
    """Kinesis' event ids have the shard in them."""
    if event.get("eventSource") == "aws:kinesis":
        event["eventID"] = f"{shard}:{event['kinesis']['sequenceNumber']}"
