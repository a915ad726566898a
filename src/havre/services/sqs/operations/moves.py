"""Message move tasks: dead letters go back where they came from, or elsewhere. ``redriving.py`` carries them out."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Sequence
from typing import Any

import msgspec

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.services.sqs import queries
from havre.services.sqs.broker import Broker
from havre.services.sqs.declaring import OfMessages
from havre.services.sqs.errors import bad_value, foreign, invalid
from havre.services.sqs.live import milliseconds
from havre.services.sqs.resources import ACTIVE, MOVE, QUEUE, Move, MoveSpec, MoveStatus, Queue
from havre.store.ports import Reader, Transaction

FASTEST = 500
REMEMBERED = 10
"""Tasks of one queue that are told of."""
ops = Operations()
messages = OfMessages()
replace = msgspec.structs.replace


def _of_source(call: Call, request: Request) -> Sequence[str]:
    return (request["SourceArn"],)


def _of_handle(call: Call, request: Request) -> Sequence[str]:
    return (_opened(request["TaskHandle"])[1],)


@messages("StartMessageMoveTask", resources=_of_source)
async def start_message_move_task(broker: Broker, call: Call, request: Request) -> Answer:
    source = _source(call, request["SourceArn"])
    target, rate = request.get("DestinationArn") or "", request.get("MaxNumberOfMessagesPerSecond")
    if rate is not None and not 1 <= rate <= FASTEST:
        raise bad_value("MaxNumberOfMessagesPerSecond", rate, f"Must be between 1 and {FASTEST}.")
    origins = call.store.find(QUEUE, "dead", source.meta.arn)
    if not origins:
        raise invalid("Source queue must be configured as a Dead Letter Queue.")
    if target:
        _check_target(call, source, target)
    await _may(call, source.meta.arn, [target] if target else [q.meta.arn for q in origins])
    live = await broker.live(source)
    now = milliseconds(call.now)
    total = broker.counts(live, now, now - 1000 * source.spec.retention)[0]
    spec, task = MoveSpec(source.meta.arn, target, rate or 0, total), call.world.uuid()

    def change(tx: Transaction) -> None:
        found = _tasks(tx, spec.source)
        if any(each.status.state in ACTIVE for each in found):
            raise invalid(
                "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
            )
        for old in found[REMEMBERED - 1 :]:
            tx.remove(old)
        tx.create(
            MOVE,
            account=call.account,
            region=call.region,
            name=task,
            arn=f"{spec.source}/{task}",
            spec=spec,
            status=MoveStatus(),
        )

    await call.store.transact(change)
    return {"TaskHandle": _handle(task, spec.source)}


@ops("ListMessageMoveTasks", resources=_of_source)
async def list_message_move_tasks(call: Call, request: Request) -> Answer:
    source, most = _source(call, request["SourceArn"]), request.get("MaxResults")
    if most is not None and not 1 <= most <= REMEMBERED:
        raise bad_value("MaxResults", most, f"Must be between 1 and {REMEMBERED}.")
    return {"Results": [_shown(each) for each in _tasks(call.store, source.meta.arn)[: most or 1]]}


@ops("CancelMessageMoveTask", resources=_of_handle)
async def cancel_message_move_task(call: Call, request: Request) -> Answer:
    task, source = _opened(request["TaskHandle"])

    def change(tx: Transaction) -> int:
        _source(call, source)
        found = tx.get(MOVE, call.account, call.region, task)
        if found is None or found.spec.source != source:
            raise _not_found("Task does not exist.")
        if found.status.state != "RUNNING":
            raise ApiError("UnsupportedOperation", "Only active tasks can be cancelled.")
        status = replace(found.status, state="CANCELLING")
        tx.update(found, spec=replace(found.spec, cancelled=True), status=status)
        return found.status.moved

    return {"ApproximateNumberOfMessagesMoved": await call.store.transact(change)}


def _source(call: Call, arn: str) -> Queue:
    queue = queries.by_arn(call.store, arn)
    if queue is None:
        raise _not_found("The resource that you specified for the SourceArn parameter doesn't exist.")
    if queue.meta.account != call.account and not call.principal.service:
        raise foreign(call.operation)
    return queue


def _check_target(call: Call, source: Queue, arn: str) -> None:
    target = queries.by_arn(call.store, arn)
    if target is None:
        raise _not_found("The resource that you specified for the DestinationArn parameter doesn't exist.")
    if target.meta.arn == source.meta.arn:
        raise invalid("Source queue arn and destination queue arn can't be same.")
    if target.spec.fifo != source.spec.fifo:
        raise invalid("The type of the destination queue must be the same as that of the source queue.")


async def _may(call: Call, source: str, targets: Sequence[str]) -> None:
    """Whoever moves messages has to be allowed to receive, delete and send them."""
    for action in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"):
        await call.authorize(action, [source], {})
    await call.authorize("sqs:SendMessage", targets, {})


def _not_found(message: str) -> ApiError:
    return ApiError("ResourceNotFoundException", message, 404)


def _tasks(store: Reader, source: str) -> Sequence[Move]:
    """The latest first."""
    return sorted(store.find(MOVE, "source", source), key=lambda r: r.meta.created, reverse=True)


def _handle(task: str, source: str) -> str:
    return b64encode(msgspec.json.encode({"taskId": task, "sourceArn": source})).decode()


def _opened(handle: str) -> tuple[str, str]:
    """Task and source. Raises ApiError."""
    try:
        told = msgspec.json.decode(b64decode(handle, validate=True), type=dict[str, str])
        return told["taskId"], told["sourceArn"]
    except (Error, ValueError, KeyError, RecursionError, msgspec.MsgspecError):
        raise invalid("Value for parameter TaskHandle is invalid.") from None


def _shown(task: Move) -> dict[str, Any]:
    spec, status = task.spec, task.status
    return {
        "TaskHandle": _handle(task.meta.name, spec.source) if status.state == "RUNNING" else None,
        "Status": status.state,
        "SourceArn": spec.source,
        "DestinationArn": spec.target or None,
        "MaxNumberOfMessagesPerSecond": spec.rate or None,
        "ApproximateNumberOfMessagesMoved": status.moved,
        "ApproximateNumberOfMessagesToMove": spec.total,
        "FailureReason": status.reason or None,
        "StartedTimestamp": milliseconds(task.meta.created),
    }
