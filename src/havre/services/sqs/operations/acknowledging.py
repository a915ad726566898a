"""What becomes of received messages: DeleteMessage, ChangeMessageVisibility, and both in batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.control.operation import Answer, Call, Request
from havre.core.queueing import Missing, NotInFlight, TooLong
from havre.kernel.errors import ApiError
from havre.services.sqs import metering, queries, receipts
from havre.services.sqs.batches import Entry, answer, entries, failed
from havre.services.sqs.broker import Broker
from havre.services.sqs.declaring import OfMessages
from havre.services.sqs.errors import bad_value, expired_receipt, missing, not_available
from havre.services.sqs.live import Live, milliseconds
from havre.services.sqs.resources import Queue

messages = OfMessages()
LONGEST = 43_200


@messages("DeleteMessage", resources=queries.of_url, conditions=queries.tags_of, data_event=True)
async def delete_message(broker: Broker, call: Call, request: Request) -> Answer:
    queue = queries.found(call, request)
    receipt = receipts.opened(queue.spec.uid, request["ReceiptHandle"])
    (good,) = await broker.delete(await broker.live(queue), (receipt,), milliseconds(call.now))
    if not good:
        raise expired_receipt(request["ReceiptHandle"])
    metering.deleted(broker, call, queue, 1)
    return None


@messages(
    "DeleteMessageBatch",
    action="sqs:DeleteMessage",
    resources=queries.of_url,
    conditions=queries.tags_of,
    data_event=True,
)
async def delete_message_batch(broker: Broker, call: Call, request: Request) -> Answer:
    queue = queries.found(call, request)
    opened: list[tuple[Entry, tuple[int, int]]] = []
    bad = []
    for entry in entries("DeleteMessageBatch", request["Entries"]):
        try:
            opened.append((entry, receipts.opened(queue.spec.uid, entry["ReceiptHandle"])))
        except ApiError as error:
            bad.append(failed(entry, error))
    found = await broker.delete(await broker.live(queue), [r for _, r in opened], milliseconds(call.now))
    done = []
    for (entry, _), good in zip(opened, found, strict=True):
        if good:
            done.append({"Id": entry["Id"]})
        else:
            bad.append(failed(entry, expired_receipt(entry["ReceiptHandle"])))
    metering.deleted(broker, call, queue, len(done))
    return answer(done, bad)


@messages("ChangeMessageVisibility", resources=queries.of_url, conditions=queries.tags_of, data_event=True)
async def change_message_visibility(broker: Broker, call: Call, request: Request) -> Answer:
    queue = queries.found(call, request)
    _change(queue, await broker.live(queue), request, milliseconds(call.now))
    return None


@messages(
    "ChangeMessageVisibilityBatch",
    action="sqs:ChangeMessageVisibility",
    resources=queries.of_url,
    conditions=queries.tags_of,
    data_event=True,
)
async def change_message_visibility_batch(broker: Broker, call: Call, request: Request) -> Answer:
    queue = queries.found(call, request)
    given = entries("ChangeMessageVisibilityBatch", request["Entries"])
    live, now = await broker.live(queue), milliseconds(call.now)
    done, bad = [], []
    for entry in given:
        try:
            _change(queue, live, entry, now)
            done.append({"Id": entry["Id"]})
        except ApiError as error:
            bad.append(failed(entry, error))
    return answer(done, bad)


def _change(queue: Queue, live: Live, given: Mapping[str, Any], now: int) -> None:
    """Raises ApiError."""
    text, hidden = given["ReceiptHandle"], given.get("VisibilityTimeout")
    if hidden is None:
        raise missing("VisibilityTimeout")
    if not 0 <= hidden <= LONGEST:
        raise bad_value("VisibilityTimeout", hidden, f"VisibilityTimeout must be an integer between 0 and {LONGEST}.")
    id, receipt = receipts.opened(queue.spec.uid, text)
    try:
        live.queue.change(id, receipt, 1000 * hidden, now)
    except Missing:
        raise not_available(text) from None
    except NotInFlight:
        raise ApiError("MessageNotInflight", "The specified message isn't in flight.") from None
    except TooLong:
        told = f"Total VisibilityTimeout for the message is beyond the limit [{LONGEST} seconds]"
        raise bad_value("VisibilityTimeout", hidden, told) from None
    live.wake(0 if hidden else 1)
    live.set_alarm(now)
