"""Subscription filters at work: events that match are delivered, at least once, to a function or a stream of Kinesis.

The delivery is written down before PutLogEvents is acknowledged, and carried by ``control.deliveries``: as often as it takes
within a day, as on AWS.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from havre.control.deliveries import Delivery, Parcel, send, temporary
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Call
from havre.control.roles import Roles
from havre.core.delivery import event_policy
from havre.kernel.errors import ApiError
from havre.kernel.resource import scoped
from havre.services.logs.events import event_id, message
from havre.services.logs.operations.patterns import compiled
from havre.services.logs.resources import DELIVERY, SUBSCRIPTION, LogStream, Subscription
from havre.store.ports import Entry, Transaction

PRINCIPAL = "logs.amazonaws.com"
MOST = 384 * 1024
"""Bytes of messages in one delivery: an asynchronous invocation takes 1 MiB, and text that cannot be compressed grows."""


class Told(msgspec.Struct, frozen=True):
    """``events``: (id, milliseconds, text)."""

    subscription: Subscription
    owner: str
    stream: str
    events: tuple[tuple[str, int, str], ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Told).decode


async def hand_on(call: Call, stream: LogStream, entries: Sequence[tuple[int, bytes]], last: int) -> None:
    """To every subscription of the group; ``last`` is the journal's number of the last entry. Durable when it returns."""
    found = call.store.find(SUBSCRIPTION, "group", scoped(call.account, call.region, stream.group))
    told = [each for subscription in found for each in _told(call, subscription.spec, stream, entries, last)]
    if not told:
        return

    def change(tx: Transaction) -> None:
        for each in told:
            name = f"{call.now:017.6f}-{call.world.hex(16)}"
            lane = f"{each.subscription.group}:{each.subscription.name}:{each.stream}"
            delivery = Delivery(_encode(each), lane, call.now, event_policy())
            send(tx, DELIVERY, call.account, call.region, name, delivery)

    await call.store.transact(change)


def _told(
    call: Call, subscription: Subscription, stream: LogStream, entries: Sequence[tuple[int, bytes]], last: int
) -> Iterator[Told]:
    matches = compiled(subscription.pattern).matches
    batch: list[tuple[str, int, str]] = []
    size, first = 0, last - len(entries) + 1
    for number, (at, data) in enumerate(entries):
        text = message(data)
        if not matches(text):
            continue
        if batch and size + len(data) > MOST:
            yield Told(subscription, call.account, stream.stream, tuple(batch))
            batch, size = [], 0
        batch.append((event_id(stream.journal, Entry(at, first + number, b"")), at, text))
        size += len(data)
    if batch:
        yield Told(subscription, call.account, stream.stream, tuple(batch))


def packed(told: Told, kind: str = "DATA_MESSAGE") -> bytes:
    """As subscribers get it, compressed."""
    import gzip  # not before somebody subscribes

    return gzip.compress(
        json.dumps(
            {
                "messageType": kind,
                "owner": told.owner,
                "logGroup": told.subscription.group,
                "logStream": told.stream,
                "subscriptionFilters": [told.subscription.name],
                "logEvents": [{"id": id, "timestamp": at, "message": text} for id, at, text in told.events],
            },
            separators=(",", ":"),
        ).encode("utf-8", "replace"),
        mtime=0,
    )


class Courier:
    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._roles = Roles(deps, PRINCIPAL)

    async def carry(self, parcel: Parcel) -> None:
        told = _decode(parcel.spec.parcel)
        region = parcel.meta.region
        current = self._deps.store.find(
            SUBSCRIPTION, "group", scoped(parcel.meta.account, region, told.subscription.group)
        )
        if told.subscription.name not in [each.spec.name for each in current]:
            return
        try:
            await self._send(told, region)
        except ApiError as refusal:
            raise temporary(refusal) from refusal

    async def _send(self, told: Told, region: str) -> None:
        wanted = told.subscription
        if wanted.destination.split(":")[2] == "kinesis":
            aws = await self._roles.acting(wanted.role, told.owner, region, "CloudWatchLogs")
            key = told.stream if wanted.distribution == "ByLogStream" else told.events[0][0]
            record = {"StreamARN": wanted.destination, "Data": packed(told), "PartitionKey": key[:256]}
            await aws("kinesis", "PutRecord", record)
            return
        _, _, _, there, account, _ = wanted.destination.split(":", 5)
        source = f"arn:aws:logs:{region}:{told.owner}:log-group:{wanted.group}:*"
        aws = self._deps.aws_for(account, there, PRINCIPAL, source)
        await aws("lambda", "Invoke", invocation(wanted, packed(told)))

    async def bury(self, parcel: Parcel) -> None:
        """Log subscriptions have no dead-letter queue."""


def invocation(wanted: Subscription, data: bytes) -> dict[str, Any]:
    payload = json.dumps({"awslogs": {"data": base64.b64encode(data).decode()}}).encode()
    return {"FunctionName": wanted.destination, "InvocationType": "Event", "Payload": payload}
