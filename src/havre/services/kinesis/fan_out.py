"""SubscribeToShard: records are pushed to a registered consumer for five minutes, as they come in.

The records are those that GetRecords gives, asked for as often as a consumer would wait for them. One subscription of a
consumer to a shard is open at a time: a later one takes it over, but not within five seconds.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from havre.control.borrowed import Lender
from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError, Temporary

LASTS = 300.0
"""Seconds."""
SETTLES = 5.0
"""Seconds for which a subscription cannot be taken over."""
EVERY = 0.2
"""Seconds between looks for records."""
HEARTBEAT = 5.0
"""Seconds after which it is told that there are none."""
MOST = 1_000
"""Records of an event."""
PATIENCE = 1.0


class Subscription(msgspec.Struct, eq=False):
    """``over``: another has taken its place."""

    since: float
    over: bool = False


class Place(msgspec.Struct, frozen=True):
    """Where a subscription reads."""

    consumer: str
    stream: str
    shard: str


class FanOut:
    """The open subscriptions of this process."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], Subscription] = {}

    async def subscribe(self, lender: Lender, call: Call, request: Request) -> Answer:
        arn, shard = request["ConsumerARN"], request["ShardId"]
        asked = _Asked(lender, call)
        consumer = await asked("DescribeStreamConsumer", {"ConsumerARN": arn})
        place = Place(arn, consumer["ConsumerDescription"]["StreamARN"], shard)
        iterator = await asked("GetShardIterator", _starting(place, request["StartingPosition"]))
        held = self._open.get((arn, shard))
        if held is not None and call.now < held.since + SETTLES:
            raise ApiError(
                "ResourceInUseException",
                f"Consumer {arn} already has an active subscription for shard {shard}, made less than 5 seconds ago.",
            )
        if held is not None:
            held.over = True
        subscription = self._open[arn, shard] = Subscription(call.now)
        return {"EventStream": self._events(asked, place, subscription, iterator["ShardIterator"])}

    async def _events(
        self, asked: _Asked, place: Place, subscription: Subscription, iterator: str
    ) -> AsyncIterator[Mapping[str, Any]]:
        told = asked.call.now
        try:
            while asked.call.now < subscription.since + LASTS:
                if subscription.over:
                    raise ApiError("ResourceInUseException", "Another subscription has taken this one's place.")
                try:
                    given = {"ShardIterator": iterator, "StreamARN": place.stream, "Limit": MOST}
                    read = await asked("GetRecords", given)
                except Temporary as passing:
                    await asyncio.sleep(max(PATIENCE, passing.after))
                    continue
                following = read.get("NextShardIterator")
                if read["Records"] or not following or asked.call.now >= told + HEARTBEAT:
                    told = asked.call.now
                    yield {"SubscribeToShardEvent": await _event(asked, place, read, iterator)}
                if not following:
                    return
                iterator = following
                if not read["Records"]:
                    await asyncio.sleep(EVERY)
        finally:
            if self._open.get((place.consumer, place.shard)) is subscription:
                del self._open[place.consumer, place.shard]


class _Asked:
    """Other operations of Kinesis, for the sake of one call."""

    def __init__(self, lender: Lender, call: Call) -> None:
        self.call = call
        self._lender = lender

    async def __call__(self, operation: str, request: Request) -> dict[str, Any]:
        return await self._lender.values(replace(self.call, operation=operation), False, request)


def _starting(place: Place, position: Mapping[str, Any]) -> dict[str, Any]:
    """The request for the iterator at which to begin."""
    given = {
        "StreamARN": place.stream,
        "ShardId": place.shard,
        "ShardIteratorType": position["Type"],
        "StartingSequenceNumber": position.get("SequenceNumber"),
        "Timestamp": position.get("Timestamp"),
    }
    return {name: value for name, value in given.items() if value is not None}


async def _event(asked: _Asked, place: Place, read: Mapping[str, Any], iterator: str) -> dict[str, Any]:
    """Without ContinuationSequenceNumber, and with the children, where the shard ends."""
    event: dict[str, Any] = {"Records": read["Records"], "MillisBehindLatest": read.get("MillisBehindLatest") or 0}
    if read.get("NextShardIterator"):
        following = read["Records"][-1]["SequenceNumber"] if read["Records"] else _reached(iterator)
        return {**event, "ContinuationSequenceNumber": following}
    listed = await asked("ListShards", {"StreamARN": place.stream})
    return {**event, "ChildShards": [child for each in listed["Shards"] if (child := _child(each, place.shard))]}


def _child(shard: Mapping[str, Any], parent: str) -> dict[str, Any] | None:
    parents = [each for each in (shard.get("ParentShardId"), shard.get("AdjacentParentShardId")) if each]
    if parent not in parents:
        return None
    return {"ShardId": shard["ShardId"], "ParentShards": parents, "HashKeyRange": shard["HashKeyRange"]}


def _reached(iterator: str) -> str:
    """moto's iterators are base64 of stream, shard and the last number that was read."""
    return b64decode(iterator).decode().split(":")[2]
