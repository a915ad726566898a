"""DynamoDB Streams: what was changed in a table, in order.

The promise: streams of tables, their one shard, iterators that are good for fifteen minutes and survive a restart, from moto
(docs/design/borrowed.md). Records go after 24 hours. Left out: shards that end and are followed by others.
"""

from __future__ import annotations

from havre.control.borrowed import Lender, Loans
from havre.control.operation import Call, Request, Service


def service(lender: Lender | None = None) -> Service:
    loans = Loans("dynamodbstreams", lender)
    loans.lend("DescribeStream", resources=_stream)
    loans.lend("GetShardIterator", resources=_stream, data_event=True)
    loans.lend("GetRecords", resources=_iterated, data_event=True)
    loans.lend("ListStreams", resources=_all)
    return loans.service(prefix="dynamodb")


def _stream(call: Call, request: Request) -> tuple[str, ...]:
    return (request["StreamArn"],)


def _iterated(call: Call, request: Request) -> tuple[str, ...]:
    """An iterator begins with the ARN of its stream."""
    stream = request["ShardIterator"].partition("|")[0]
    return (stream if stream.startswith("arn:") else call.arn("table/*/stream/*", "dynamodb"),)


def _all(call: Call, request: Request) -> tuple[str, ...]:
    return (call.arn(f"table/{request.get('TableName', '*')}/stream/*", "dynamodb"),)
