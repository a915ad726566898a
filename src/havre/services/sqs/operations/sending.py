"""SendMessage and SendMessageBatch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.services.sqs import metering, queries
from havre.services.sqs.batches import Entry, answer, entries, failed
from havre.services.sqs.broker import Broker
from havre.services.sqs.declaring import OfMessages
from havre.services.sqs.live import Told, milliseconds
from havre.services.sqs.messages import Draft, check_batch, digest, draft, sequence
from havre.services.sqs.resources import LARGEST, Queue

messages = OfMessages()


async def _send(broker: Broker, call: Call, queue: Queue, drafts: Sequence[Draft]) -> Sequence[Told]:
    kept = await broker.keys.seal(call, queue, drafts) if queue.spec.kms_key else drafts
    told = await broker.send(
        await broker.live(queue),
        kept,
        ids=call.world.uuid,
        sender=call.principal.id,
        scope=queue.spec.deduplication_scope,
        now=milliseconds(call.now),
    )
    metering.sent(broker, call, queue, drafts)
    return told


@messages("SendMessage", resources=queries.of_url, conditions=queries.tags_of, data_event=True)
async def send_message(broker: Broker, call: Call, request: Request) -> Answer:
    queue = queries.found(call, request)
    made = draft(queue.spec, request, call.trace)
    (told,) = await _send(broker, call, queue, (made,))
    return _answer(queue, made, told)


@messages(
    "SendMessageBatch",
    action="sqs:SendMessage",
    resources=queries.of_url,
    conditions=queries.tags_of,
    data_event=True,
)
async def send_message_batch(broker: Broker, call: Call, request: Request) -> Answer:
    queue = queries.found(call, request)
    good: list[tuple[Entry, Draft]] = []
    bad = []
    given = entries("SendMessageBatch", request["Entries"])
    check_batch(queue.spec, given)
    for entry in given:
        try:
            good.append((entry, draft(queue.spec, entry, call.trace, batch=True)))
        except ApiError as error:
            bad.append(failed(entry, error))
    size = sum(made.size for _, made in good)
    if size > LARGEST:
        told = f"Batch requests cannot be longer than {LARGEST} bytes. You have sent {size} bytes."
        raise ApiError("BatchRequestTooLong", told)
    answers = await _send(broker, call, queue, [made for _, made in good]) if good else ()
    sent = [
        {"Id": entry["Id"], **_answer(queue, made, told)} for (entry, made), told in zip(good, answers, strict=True)
    ]
    return answer(sent, bad)


def _answer(queue: Queue, made: Draft, told: Told) -> dict[str, Any]:
    return {
        "MessageId": told.message_id,
        "MD5OfMessageBody": made.md5,
        "MD5OfMessageAttributes": digest(made.attributes) if made.attributes else None,
        "MD5OfMessageSystemAttributes": made.system_md5 or None,
        "SequenceNumber": sequence(told.number) if queue.spec.fifo else None,
    }
