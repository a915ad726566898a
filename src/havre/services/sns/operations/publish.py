"""Publish and PublishBatch: what they acknowledge is written down for each subscription that wants it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from havre.control.deliveries import Delivery, send
from havre.control.envelopes import Sealer
from havre.control.operation import Answer, Call, Operations, Request
from havre.core.delivery import AWS_ENDPOINT, RetryPolicy
from havre.core.event_pattern import FilterPolicy, compile_filter_policy
from havre.kernel.errors import ApiError, not_built
from havre.kernel.resource import NoStatus
from havre.services.sns import delivery_policy, messages, metering, names, queries, sealing
from havre.services.sns.attributes import LARGEST
from havre.services.sns.errors import invalid
from havre.services.sns.messages import Message
from havre.services.sns.names import Place, of_target, of_topic
from havre.services.sns.resources import (
    DELIVERY,
    HTTP,
    SEEN,
    Letter,
    Seen,
    SubscriptionRecord,
    TopicRecord,
)
from havre.store.ports import Transaction

ops = Operations()
FIRST_SEQUENCE = 10**19
FORGOTTEN_AFTER = 300.0
MOST_ENTRIES = 10
MOST_TRACE = 1024
"""Characters of a trace header that travel on."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}\Z")


class Taken(NamedTuple):
    """A message with its id and its sequence number ("" of standard topics); ``filtered``: so many subscriptions did not
    want it."""

    id: str
    sequence: str
    message: Message
    filtered: int = 0


@lru_cache(4096)
def _filter(policy: str, scope: str) -> FilterPolicy | None:
    return compile_filter_policy(policy, scope)


@ops("Publish", resources=of_target, data_event=True)
async def publish(call: Call, request: Request) -> Answer:
    if request.get("PhoneNumber"):
        raise not_built("sns", "Publish to a phone number")
    target = request["TopicArn"] if request.get("TopicArn") is not None else request.get("TargetArn")
    if target is None:
        raise invalid("TopicArn or TargetArn Reason: no value for required parameter")
    if ":endpoint/" in target:
        raise not_built("sns", "Publish to a platform endpoint")
    place = names.topic_place(call, target)
    topic = queries.topic(call.store, place)
    message = messages.read(request, topic.spec)
    id, by = call.world.uuid(), await sealing.sealer(call, topic)
    (taken,) = await call.store.transact(lambda tx: _put(call, tx, place, [(id, message)], by))
    metering.published(call.metrics, topic.meta.arn, [message], taken.filtered)
    return {"MessageId": taken.id, "SequenceNumber": taken.sequence or None}


@ops("PublishBatch", action="sns:Publish", resources=of_topic(), data_event=True)
async def publish_batch(call: Call, request: Request) -> Answer:
    """An entry that is wrong fails them all, as in AWS."""
    place = names.topic_place(call, request["TopicArn"])
    entries = request["PublishBatchRequestEntries"]
    _check_batch(entries)
    topic = queries.topic(call.store, place)
    good = [(entry["Id"], call.world.uuid(), messages.read(entry, topic.spec)) for entry in entries]
    if sum(message.size for *_, message in good) > int(topic.spec.attributes.get("MaximumMessageSize", LARGEST)):
        raise ApiError(
            "BatchRequestTooLongException", "The length of all the messages put together is more than the limit."
        )
    by = await sealing.sealer(call, topic)
    taken = await call.store.transact(lambda tx: _put(call, tx, place, [(id, message) for _, id, message in good], by))
    filtered = sum(each.filtered for each in taken)
    metering.published(call.metrics, topic.meta.arn, [message for *_, message in good], filtered)
    done = [
        {"Id": entry, "MessageId": each.id, "SequenceNumber": each.sequence or None}
        for (entry, *_), each in zip(good, taken, strict=True)
    ]
    return {"Successful": done, "Failed": []}


def _check_batch(entries: Sequence[Request]) -> None:
    if not entries:
        raise ApiError("EmptyBatchRequestException", "The batch request doesn't contain any entries.")
    if len(entries) > MOST_ENTRIES:
        raise ApiError(
            "TooManyEntriesInBatchRequestException", "The batch request contains more entries than permissible."
        )
    ids = [entry["Id"] for entry in entries]
    if len(set(ids)) < len(ids):
        raise ApiError(
            "BatchEntryIdsNotDistinctException", "Two or more batch entries in the request have the same Id."
        )
    if not all(_ID.match(id) for id in ids):
        raise ApiError(
            "InvalidBatchEntryIdException",
            "The Id of a batch entry in a batch request doesn't abide by the specification.",
        )


def _put(
    call: Call, tx: Transaction, place: Place, sent: Sequence[tuple[str, Message]], by: Sealer | None
) -> list[Taken]:
    topic = queries.topic(tx, place)
    subscriptions = [r for r in queries.subscriptions(tx, place) if not r.spec.pending]
    sequence = topic.status.sequence
    found: list[Taken] = []
    for id, message in sent:
        seen = _seen(call, tx, topic, message) if topic.spec.fifo else None
        if seen is not None:
            found.append(Taken(seen.message, seen.sequence, message))
            continue
        taken = Taken(id, "", message)
        if topic.spec.fifo:
            sequence += 1
            taken = Taken(id, str(FIRST_SEQUENCE + sequence), message)
            _remember(call, tx, topic, taken)
        filtered = _fan_out(call, tx, (topic, subscriptions), taken, by)
        found.append(taken._replace(filtered=filtered))
    if sequence != topic.status.sequence:
        tx.update(topic, status=replace(topic.status, sequence=sequence))
    return found


def _seen(call: Call, tx: Transaction, topic: TopicRecord, message: Message) -> Seen | None:
    meta = topic.meta
    found = tx.get(SEEN, meta.account, meta.region, _deduplicated(topic, message))
    return found.spec if found is not None and found.spec.until > call.now else None


def _remember(call: Call, tx: Transaction, topic: TopicRecord, taken: Taken) -> None:
    spec = Seen(taken.id, taken.sequence, call.now + FORGOTTEN_AFTER)
    name, meta = _deduplicated(topic, taken.message), topic.meta
    found = tx.get(SEEN, meta.account, meta.region, name)
    if found is not None:
        tx.update(found, spec=spec)
        return
    key = {"account": meta.account, "region": meta.region, "name": name}
    tx.create(SEEN, **key, arn="", spec=spec, status=NoStatus())


def _deduplicated(topic: TopicRecord, message: Message) -> str:
    """The name under which a message is remembered: within its topic, or within its group as well."""
    by_group = topic.spec.attributes.get("FifoThroughputScope") == "MessageGroup"
    return f"{topic.meta.name}:{message.group if by_group else ''}:{message.deduplication}"


def _fan_out(
    call: Call,
    tx: Transaction,
    to: tuple[TopicRecord, Sequence[SubscriptionRecord]],
    taken: Taken,
    by: Sealer | None,
) -> int:
    """Gives how many subscriptions do not want it."""
    (topic, subscriptions), (id, sequence, message, _) = to, taken
    filtered = 0
    for each in subscriptions:
        if not _wants(each, message):
            filtered += 1
            continue
        letter = Letter(
            each.meta.arn,
            topic.meta.arn,
            id,
            call.now,
            message.for_protocol(each.spec.protocol),
            subject=message.subject,
            attributes=message.attributes,
            group=message.group,
            deduplication=message.deduplication,
            sequence=sequence,
            trace=call.trace[:MOST_TRACE],
        )
        direct = each.spec.protocol in ("sqs", "lambda")
        name = f"{sequence or id}:{each.meta.name}"
        lane = f"{each.meta.name}:{message.group}" if sequence else name
        kept = sealing.sealed(by, msgspec.msgpack.encode(letter))
        spec = Delivery(kept, lane, call.now, _retries(topic, each, direct))
        send(tx, DELIVERY if direct else HTTP, topic.meta.account, topic.meta.region, name, spec)
    return filtered


def _wants(found: SubscriptionRecord, message: Message) -> bool:
    policy = found.spec.attributes.get("FilterPolicy")
    if not policy:
        return True
    compiled = _filter(policy, found.spec.attributes.get("FilterPolicyScope") or "MessageAttributes")
    return compiled is None or compiled.matches(message.attributes, message.for_protocol(found.spec.protocol))


def _retries(topic: TopicRecord, found: SubscriptionRecord, direct: bool) -> RetryPolicy:
    if direct:
        return AWS_ENDPOINT
    whole, own = topic.spec.attributes.get("DeliveryPolicy", ""), found.spec.attributes.get("DeliveryPolicy", "")
    return delivery_policy.retry_policy(delivery_policy.effective(whole, own))
