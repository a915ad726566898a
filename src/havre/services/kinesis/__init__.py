"""Kinesis Data Streams.

The promise: streams, shards that are split and merged, records in order of their sequence numbers, iterators, consumers,
retention and tags, from moto (docs/design/borrowed.md): signatures, policies and the trail are Havre's, what an operation
does is moto's. Records go after the retention of their stream; a shard that is split or merged keeps its
own, and ends; registered consumers are pushed their records (SubscribeToShard). Left out: encryption.
"""

from __future__ import annotations

from msgspec.structs import replace

from havre.control.borrowed import Lender, Loans
from havre.control.operation import Answer, Call, Request, Service
from havre.kernel.errors import not_built
from havre.services.kinesis.fan_out import FanOut


def service(lender: Lender | None = None) -> Service:
    loans = Loans("kinesis", lender)
    loans.lend(
        *("CreateStream", "DeleteStream", "DescribeStream", "DescribeStreamSummary", "ListShards"),
        *("MergeShards", "SplitShard", "UpdateShardCount", "UpdateStreamMode"),
        *("AddTagsToStream", "ListTagsForStream", "RemoveTagsFromStream"),
        *("DecreaseStreamRetentionPeriod", "IncreaseStreamRetentionPeriod"),
        *("RegisterStreamConsumer", "ListStreamConsumers"),
        resources=_stream,
    )
    loans.lend("GetShardIterator", resources=_stream, data_event=True)
    loans.lend("GetRecords", resources=_iterated, data_event=True)
    loans.lend("PutRecord", "PutRecords", resources=_stream, data_event=True)
    subscribe = FanOut().subscribe
    loans.lend("SubscribeToShard", resources=_consumer, data_event=True, reads=True, own=subscribe)
    loans.lend("DeregisterStreamConsumer", "DescribeStreamConsumer", resources=_consumer)
    loans.lend("DeleteResourcePolicy", "GetResourcePolicy", "PutResourcePolicy", resources=_resource)
    loans.lend("TagResource", "UntagResource", "ListTagsForResource", resources=_resource, own=tags_of_resource)
    loans.lend("DescribeLimits", "ListStreams")
    return loans.service(
        partial={
            "PutResourcePolicy": "kept and told, not asked for decisions",
        }
    )


_OLDER = {
    "TagResource": ("AddTagsToStream", "Tags"),
    "UntagResource": ("RemoveTagsFromStream", "TagKeys"),
    "ListTagsForResource": ("ListTagsForStream", ""),
}


async def tags_of_resource(lender: Lender, call: Call, request: Request) -> Answer:
    """moto knows the tags of streams by older operations only."""
    arn: str = request["ResourceARN"]
    if "/consumer/" in arn:
        raise not_built("kinesis", f"{call.operation} of consumers")
    operation, member = _OLDER[call.operation]
    given = {member: request[member]} if member else {}
    older = replace(call, operation=operation)
    answer = await lender.values(older, bool(member), {"StreamName": arn.rpartition("/")[2], **given})
    return {"Tags": answer["Tags"]} if not member else None


def _arn(call: Call, request: Request) -> str:
    arn: str = request.get("StreamARN", "")
    return arn or call.arn(f"stream/{request.get('StreamName', '*')}")


def _stream(call: Call, request: Request) -> tuple[str, ...]:
    return (_arn(call, request),)


def _iterated(call: Call, request: Request) -> tuple[str, ...]:
    """moto's iterators are base64 of stream, shard and place."""
    from base64 import b64decode
    from binascii import Error

    if request.get("StreamARN"):
        return (_arn(call, request),)
    try:
        stream = b64decode(request["ShardIterator"]).decode().split(":")[0]
    except (Error, UnicodeDecodeError):
        stream = "*"
    return (call.arn(f"stream/{stream}"),)


def _consumer(call: Call, request: Request) -> tuple[str, ...]:
    arn = request.get("ConsumerARN")
    return (arn,) if arn else (f"{_arn(call, request)}/consumer/{request.get('ConsumerName', '*')}:*",)


def _resource(call: Call, request: Request) -> tuple[str, ...]:
    return (request["ResourceARN"],)
