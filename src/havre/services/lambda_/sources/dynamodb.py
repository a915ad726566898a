"""Streams of DynamoDB tables."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from havre.core.event_sources.retries import StreamRecord
from havre.kernel.errors import ApiError
from havre.services.lambda_.sources.reader import Expired, Read, Shard, Trimmed, seconds
from havre.services.lambda_.sources.source import Access, Source


class DynamodbReader:
    info = "DDBStreamBatchInfo"

    def __init__(self, source: Source, access: Access) -> None:
        self._source = source
        self._access = access

    async def shards(self) -> Sequence[Shard]:
        aws = await self._access.as_role()
        found: list[Shard] = []
        request: dict[str, Any] = {"StreamArn": self._source.arn}
        while True:
            answer = (await aws("dynamodbstreams", "DescribeStream", request))["StreamDescription"]
            for shard in answer["Shards"]:
                parent = shard.get("ParentShardId")
                found.append(Shard(shard["ShardId"], (parent,) if parent else ()))
            if not answer.get("LastEvaluatedShardId"):
                return found
            request["ExclusiveStartShardId"] = answer["LastEvaluatedShardId"]

    async def iterator(self, shard: str, after: str) -> str:
        aws = await self._access.as_role()
        request: dict[str, Any] = {"StreamArn": self._source.arn, "ShardId": shard}
        if after:
            request |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": after}
        else:
            request["ShardIteratorType"] = "TRIM_HORIZON"
        try:
            return str((await aws("dynamodbstreams", "GetShardIterator", request))["ShardIterator"])
        except ApiError as refusal:
            raise _passing(refusal) from None

    async def read(self, iterator: str, most: int) -> Read:
        aws = await self._access.as_role()
        try:
            answer = await aws("dynamodbstreams", "GetRecords", {"ShardIterator": iterator, "Limit": min(most, 1000)})
        except ApiError as refusal:
            raise _passing(refusal) from None
        records = [self._record(r) for r in answer["Records"]]
        if self._source.start == "LATEST":
            # these streams know no start by time: what is older than the mapping is passed over
            records = [r for r in records if r.arrived >= int(self._source.start_at)]
        return Read(records, answer.get("NextShardIterator") or None)

    def _record(self, record: Mapping[str, Any]) -> StreamRecord:
        change = dict(record["dynamodb"])
        arrived = seconds(change["ApproximateCreationDateTime"])
        change["ApproximateCreationDateTime"] = arrived
        event = {
            "eventID": record["eventID"],
            "eventName": record["eventName"],
            "eventVersion": record.get("eventVersion", "1.1"),
            "eventSource": "aws:dynamodb",
            "awsRegion": record.get("awsRegion", self._source.region),
            "dynamodb": jsonable(change),
            "eventSourceARN": self._source.arn,
        }
        if record.get("userIdentity"):
            identity = record["userIdentity"]
            event["userIdentity"] = {"type": identity.get("Type"), "principalId": identity.get("PrincipalId")}
        text = json.dumps(event)
        key = json.dumps(event["dynamodb"].get("Keys", {}), sort_keys=True)
        return StreamRecord(str(change["SequenceNumber"]), key, arrived, event, len(text))


def jsonable(value: Any) -> Any:
    """Values as Lambda's events have them: binary ones in base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {name: jsonable(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [jsonable(each) for each in value]
    return value


def _passing(refusal: ApiError) -> Exception:
    if refusal.code == "ExpiredIteratorException":
        return Expired()
    return Trimmed() if refusal.code == "TrimmedDataAccessException" else refusal
