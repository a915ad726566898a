"""ReceiveMessage."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from havre.control.operation import Answer, Call, Request
from havre.core.queueing import Message, Missing, NotInFlight
from havre.kernel.errors import ApiError
from havre.services.sqs import metering, queries
from havre.services.sqs.broker import Broker
from havre.services.sqs.declaring import OfMessages
from havre.services.sqs.errors import bad_value, no_queue, unknown_attribute, wrong_type
from havre.services.sqs.live import Ask, Live, milliseconds
from havre.services.sqs.messages import Attribute, Envelope, chosen, digest, sequence
from havre.services.sqs.receipts import handle
from havre.services.sqs.resources import Queue
from havre.services.sqs.sealing import Found

messages = OfMessages()
SYSTEM = frozenset(
    (
        "All",
        "AWSTraceHeader",
        "ApproximateFirstReceiveTimestamp",
        "ApproximateReceiveCount",
        "DeadLetterQueueSourceArn",
        "MessageDeduplicationId",
        "MessageGroupId",
        "SenderId",
        "SentTimestamp",
        "SequenceNumber",
    )
)
_ATTEMPT = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}").fullmatch


@messages("ReceiveMessage", resources=queries.of_url, conditions=queries.tags_of, data_event=True)
async def receive_message(broker: Broker, call: Call, request: Request) -> Answer:
    queue = queries.found(call, request)
    system = {*(request.get("AttributeNames") or ()), *(request.get("MessageSystemAttributeNames") or ())}
    _check(request, system)
    names = request.get("MessageAttributeNames") or ()
    live = await broker.live(queue)
    if queue.spec.kms_key:
        await broker.keys.check(call, queue)
    found = await broker.receive(live, await _ask(broker, call, request, queue), call.world.now, call.hung_up)
    if live.gone:
        raise no_queue()
    if any(envelope.sealed is not None for _, envelope in found):
        found = await _opened(broker, call, queue, live, found)
    metering.received(broker, call, queue, len(found))
    return {"Messages": [_shown(queue, m, e, system, names) for m, e in found] or None}


async def _opened(broker: Broker, call: Call, queue: Queue, live: Live, found: Found) -> Found:
    """What the receiver may not open is there for others at once. Raises ApiError."""
    try:
        return await broker.keys.open(call, queue, found)
    except ApiError:
        now = milliseconds(call.now)
        for message, _ in found:
            with suppress(Missing, NotInFlight):
                live.queue.change(message.id, message.received, 0, now)
        live.wake(len(found))
        raise


async def _ask(broker: Broker, call: Call, request: Request, queue: Queue) -> Ask:
    spec, redrive = queue.spec, queue.spec.redrive
    hidden, wait = request.get("VisibilityTimeout"), request.get("WaitTimeSeconds")
    attempt = request.get("ReceiveRequestAttemptId") or ""
    if attempt and not spec.fifo:
        raise wrong_type("ReceiveRequestAttemptId", attempt)
    dead = queries.by_arn(call.store, redrive.target) if redrive is not None else None
    return Ask(
        request.get("MaxNumberOfMessages") or 1,
        1000 * (spec.visibility if hidden is None else hidden),
        1000 * (spec.wait if wait is None else wait),
        1000 * spec.retention,
        redrive.lives if redrive is not None else 0,
        await broker.live(dead) if dead is not None else None,
        queue.meta.arn,
        attempt,
    )


def _check(request: Request, system: Collection[str]) -> None:
    for name, least, most in (
        ("MaxNumberOfMessages", 1, 10),
        ("WaitTimeSeconds", 0, 20),
        ("VisibilityTimeout", 0, 43_200),
    ):
        value = request.get(name)
        if value is not None and not least <= value <= most:
            told = f"Must be between {least} and {most}" if least else f"Must be >= 0 and <= {most}"
            raise bad_value(name, value, f"{told}, if provided.")
    attempt = request.get("ReceiveRequestAttemptId")
    if attempt is not None and not _ATTEMPT(attempt):
        told = "ReceiveRequestAttemptId can only include alphanumeric and punctuation characters. 1 to 128 in length."
        raise bad_value("ReceiveRequestAttemptId", attempt, told)
    for name in system:
        if name not in SYSTEM:
            raise unknown_attribute(name)


def _shown(
    queue: Queue, message: Message, envelope: Envelope, system: Collection[str], names: Collection[str]
) -> dict[str, Any]:
    attributes = chosen(envelope.attributes, names) if names and envelope.attributes else None
    return {
        "MessageId": envelope.message_id,
        "ReceiptHandle": handle(queue.spec.uid, message.id, message.received),
        "MD5OfBody": envelope.md5,
        "Body": envelope.body,
        "Attributes": _system(queue, message, envelope, system) or None if system else None,
        "MessageAttributes": {n: _value(a) for n, a in attributes.items()} if attributes else None,
        "MD5OfMessageAttributes": digest(attributes) if attributes else None,
    }


def _value(attribute: Attribute) -> Mapping[str, Any]:
    return {"StringValue": attribute.text, "BinaryValue": attribute.data, "DataType": attribute.type}


def _system(queue: Queue, message: Message, envelope: Envelope, wanted: Collection[str]) -> dict[str, str]:
    every = {
        "SenderId": envelope.sender,
        "SentTimestamp": str(message.sent),
        "ApproximateReceiveCount": str(message.received),
        "ApproximateFirstReceiveTimestamp": str(message.first_received),
    }
    for name, value in (
        ("AWSTraceHeader", envelope.trace),
        ("DeadLetterQueueSourceArn", envelope.source),
        ("MessageDeduplicationId", envelope.dedup),
        ("MessageGroupId", message.group),
        ("SequenceNumber", sequence(message.id) if queue.spec.fifo else ""),
    ):
        if value:
            every[name] = value
    return every if "All" in wanted else {name: value for name, value in every.items() if name in wanted}
