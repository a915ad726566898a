"""Queues and their attributes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import NoStatus
from havre.services.sqs import attributes, queries
from havre.services.sqs.broker import Broker
from havre.services.sqs.declaring import OfMessages
from havre.services.sqs.errors import bad_attribute, bad_value, invalid, no_queue
from havre.services.sqs.live import milliseconds
from havre.services.sqs.paging import page
from havre.services.sqs.resources import QUEUE, Queue, QueueSpec
from havre.services.sqs.tags import checked, may_tag
from havre.store.ports import Reader, Transaction

ops = Operations()
messages = OfMessages()
replace = msgspec.structs.replace
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}").fullmatch


@ops("CreateQueue", resources=queries.of_name)
async def create_queue(call: Call, request: Request) -> Answer:
    name, given = request["QueueName"], request.get("Attributes") or {}
    fifo = _checked_name(name, given)
    tags = checked({}, request.get("tags") or {})
    blank = QueueSpec(call.world.hex(24), fifo, tags=tags, modified=call.now)
    spec = attributes.changed(blank, given, new=True)
    arn = call.arn(name)
    if tags:
        await may_tag(call, arn)

    def change(tx: Transaction) -> None:
        found = tx.get(QUEUE, call.account, call.region, name)
        if found is not None:
            _same(found, given, spec)
            return
        _check_target(call, tx, spec, arn, given)
        tx.create(QUEUE, account=call.account, region=call.region, name=name, arn=arn, spec=spec, status=NoStatus())

    await call.store.transact(change)
    return {"QueueUrl": queries.url(call, call.account, name)}


@messages("DeleteQueue", resources=queries.of_url, conditions=queries.tags_of)
async def delete_queue(broker: Broker, call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> str:
        queue = queries.own(call, request, tx)
        tx.remove(queue)
        return queue.spec.uid

    await broker.drop(await call.store.transact(change))
    return None


@messages("PurgeQueue", resources=queries.of_url, conditions=queries.tags_of)
async def purge_queue(broker: Broker, call: Call, request: Request) -> Answer:
    await broker.purge(await broker.live(queries.found(call, request)))
    return None


@messages("GetQueueAttributes", resources=queries.of_url, conditions=queries.tags_of)
async def get_queue_attributes(broker: Broker, call: Call, request: Request) -> Answer:
    queue = queries.found(call, request)
    names = request.get("AttributeNames") or ()
    if not names:
        return {}
    live, now = await broker.live(queue), milliseconds(call.now)
    counts = broker.counts(live, now, now - 1000 * queue.spec.retention)
    return {"Attributes": attributes.shown(queue, counts, names) or None}


def _checked_name(name: str, given: Mapping[str, str]) -> bool:
    """Whether it is to be a FIFO queue. Raises ApiError."""
    fifo = given.get("FifoQueue", "").lower() == "true"
    if fifo and not (name.endswith(".fifo") and len(name) <= 80 and _NAME(name.removesuffix(".fifo"))):
        told = "hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length."
        raise invalid(f"The name of a FIFO queue can only include alphanumeric characters, {told}")
    if not fifo and not _NAME(name):
        raise invalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
    return fifo


def _same(found: Queue, given: Mapping[str, str], spec: QueueSpec) -> None:
    """CreateQueue of a queue that is there already is no error when it would come out the same."""
    wanted = Queue(found.kind, found.meta, spec, found.status)
    for name in given:
        if attributes.given_as(found, name) != attributes.given_as(wanted, name):
            raise ApiError(
                "QueueNameExists",
                f"A queue already exists with the same name and a different value for attribute {name}",
            )


def _check_target(call: Call, store: Reader, spec: QueueSpec, arn: str, given: Mapping[str, str]) -> None:
    """The dead-letter queue has to be there, of the same kind, account and Region, and to let this one in."""
    if spec.redrive is None:
        return
    target = queries.by_arn(store, spec.redrive.target)
    value = given.get("RedrivePolicy", "")
    if target is None or (target.meta.account, target.meta.region) != (call.account, call.region):
        raise bad_value("RedrivePolicy", value, "Dead letter target does not exist.")
    if target.spec.fifo != spec.fifo:
        raise bad_value("RedrivePolicy", value, "Dead-letter queue must be same type of queue as the source.")
    allow = target.spec.redrive_allow
    if allow is not None and (
        allow.permission == "denyAll" or (allow.permission == "byQueue" and arn not in allow.sources)
    ):
        raise bad_value(
            "RedrivePolicy", value, "Queue is not allowed by the redrive allow policy of its dead-letter queue."
        )


def _everything(call: Call, request: Request) -> Sequence[str]:
    return (f"arn:aws:sqs:{call.region}:{call.account}:*",)


@ops("GetQueueUrl", resources=queries.of_name)
async def get_queue_url(call: Call, request: Request) -> Answer:
    owner, name = request.get("QueueOwnerAWSAccountId") or call.account, request["QueueName"]
    if call.store.get(QUEUE, owner, call.region, name) is None:
        raise no_queue()
    return {"QueueUrl": queries.url(call, owner, name)}


@ops("ListQueues", resources=_everything)
async def list_queues(call: Call, request: Request) -> Answer:
    prefix = request.get("QueueNamePrefix") or ""
    every = [q for q in call.store.list(QUEUE, call.account, call.region) if q.meta.name.startswith(prefix)]
    shown, token = page(call, request, every)
    return {"QueueUrls": [queries.url(call, call.account, q.meta.name) for q in shown] or None, "NextToken": token}


@ops("SetQueueAttributes", resources=queries.of_url, conditions=queries.tags_of)
async def set_queue_attributes(call: Call, request: Request) -> Answer:
    given = request["Attributes"]

    def change(tx: Transaction) -> None:
        queue = queries.own(call, request, tx)
        spec = attributes.changed(queue.spec, given, new=False)
        if spec.redrive != queue.spec.redrive:
            _check_target(call, tx, spec, queue.meta.arn, given)
        if spec != queue.spec:
            tx.update(queue, spec=replace(spec, modified=call.now))

    if not given:
        raise bad_attribute("Attributes")
    await call.store.transact(change)
    return None


@ops("ListDeadLetterSourceQueues", resources=queries.of_url, conditions=queries.tags_of)
async def list_dead_letter_source_queues(call: Call, request: Request) -> Answer:
    queue = queries.found(call, request)
    every = list(call.store.find(QUEUE, "dead", queue.meta.arn))
    shown, token = page(call, request, every)
    return {"queueUrls": [queries.url(call, q.meta.account, q.meta.name) for q in shown], "NextToken": token}
