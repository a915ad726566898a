"""Records that were given up: their destination is told where they are, or were."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec

from havre.core.event_sources.retries import TOO_OLD, StreamRecord
from havre.core.invoking.meters import DESTINATION_FAILURES
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.lambda_.sources.counts import DELIVERED, DROPPED
from havre.services.lambda_.sources.source import Access, Invoked, Source, problem

log = logging.getLogger("havre.lambda")


class Loss(msgspec.Struct, frozen=True):
    """``tries`` so often they were handed over; ``info`` is the name of the member that describes them."""

    records: tuple[StreamRecord, ...]
    why: str
    tries: int
    shard: str
    info: str
    invoked: Invoked | None = None


async def tell(
    source: Source, access: Access, loss: Loss, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Tried for as long as it may come to something, with a ``pause`` of some seconds between."""
    while True:
        try:
            await _send(source, access, loss)
            access.count(DELIVERED, len(loss.records))
            return
        except Temporary as passing:
            access.measure(DESTINATION_FAILURES, 1.0)
            await pause(max(1.0, passing.after))
        except (ApiError, Permanent) as refusal:
            count = len(loss.records)
            log.error("%d records of %s: %s refuses to hear of them: %s", count, source.arn, source.on_failure, refusal)
            access.report(problem(f"the on-failure destination refuses: {refusal}"))
            access.measure(DESTINATION_FAILURES, 1.0)
            access.count(DROPPED, count)
            return


async def _send(source: Source, access: Access, loss: Loss) -> None:
    aws = await access.as_role()
    told = record(source, loss, access.now())
    text = json.dumps(told)
    service, _, _, name = source.on_failure.split(":", 5)[2:6]
    if service == "sqs":
        await aws("sqs", "SendMessage", {"QueueUrl": access.queue_url(source.on_failure), "MessageBody": text})
    elif service == "sns":
        await aws("sns", "Publish", {"TopicArn": source.on_failure, "Message": text})
    else:
        day = datetime.fromtimestamp(access.now(), UTC)
        where = f"aws/lambda/{source.id}/{loss.shard}/{day:%Y/%m/%d}"
        key = f"{where}/{day:%Y-%m-%dT%H.%M.%S}-{loss.records[0].sequence}"
        whole = {**told, "payload": json.dumps({"Records": [r.event for r in loss.records]})}
        await aws("s3", "PutObject", {"Bucket": name, "Key": key, "Body": json.dumps(whole).encode()})


def record(source: Source, loss: Loss, now: float) -> dict[str, Any]:
    """As AWS writes it; times are ISO 8601."""
    told: dict[str, Any] = {
        "requestContext": {
            "requestId": loss.invoked.request_id if loss.invoked is not None else _no_request(source, loss),
            "functionArn": source.function,
            "condition": loss.why,
            "approximateInvokeCount": 1 if loss.why == TOO_OLD else loss.tries,
        },
        "version": "1.0",
        "timestamp": _iso(now),
        loss.info: {
            "shardId": loss.shard,
            "startSequenceNumber": loss.records[0].sequence,
            "endSequenceNumber": loss.records[-1].sequence,
            "approximateArrivalOfFirstRecord": _iso(loss.records[0].arrived),
            "approximateArrivalOfLastRecord": _iso(loss.records[-1].arrived),
            "batchSize": len(loss.records),
            "streamArn": source.arn.partition("/consumer/")[0],
        },
    }
    if loss.invoked is not None:
        told["responseContext"] = {
            "statusCode": 200,
            "executedVersion": loss.invoked.version,
            "functionError": loss.invoked.error or None,
        }
    return told


def _no_request(source: Source, loss: Loss) -> str:
    """Names what no function was asked about: the same however often it is told."""
    return str(uuid5(NAMESPACE_URL, f"{source.id}/{loss.shard}/{loss.records[0].sequence}"))


def _iso(at: float) -> str:
    """Milliseconds are left out where there are none, as of streams of DynamoDB."""
    whole = datetime.fromtimestamp(round(at, 3), UTC)
    return whole.isoformat(timespec="milliseconds" if whole.microsecond else "seconds").replace("+00:00", "Z")
