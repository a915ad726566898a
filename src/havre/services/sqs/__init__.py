"""SQS: standard and FIFO queues.

The promise: a message that was acknowledged is on disk until it is deleted, or its retention is over; what was received
and not deleted comes back after its visibility timeout, or after a crash; within a message group of a FIFO queue order
holds, also over crashes and redeliveries. Limits, attributes and errors are AWS's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from havre.control.deps import ReconcilerDeps
from havre.control.lazily import lazily
from havre.control.operation import Service, merge

if TYPE_CHECKING:
    from havre.services.sqs.broker import Broker
    from havre.services.sqs.policy import resource_policy

__all__ = ["Broker", "resource_policy", "run", "service"]
__getattr__ = lazily(__name__, {"Broker": "broker", "resource_policy": "policy"})

PARTIAL = {
    "ListQueues": "version 1 of the AWS CLI needs --endpoint-url for sqs: it passes over AWS_ENDPOINT_URL",
    "CreateQueue.SqsManagedSseEnabled": "is kept and shown; messages lie on the disk of this machine as they are",
    "CreateQueue.FifoThroughputLimit": "is kept and shown; FIFO queues have no quota of messages a second here",
    "DeleteQueue": "is done at once: its name is free again without 60 seconds of QueueDeletedRecently",
    "PurgeQueue": "is done at once, and may be asked for again without 60 seconds of PurgeQueueInProgress",
}


def service(broker: Broker | None = None) -> Service:
    """``broker`` keeps the messages. Without one its operations can be listed (``havre coverage``), not called."""
    from havre.services.sqs.operations import acknowledging, moves, permissions, queues, receiving, sending
    from havre.services.sqs.resources import KINDS

    with_messages = (queues, sending, receiving, acknowledging, moves)
    alone = (queues.ops, permissions.ops, moves.ops)
    return Service(
        "sqs", merge(*alone, *(m.messages.of(cast("Broker", broker)) for m in with_messages)), KINDS, partial=PARTIAL
    )


async def run(broker: Broker, deps: ReconcilerDeps) -> None:
    """What queues need besides requests, until it is cancelled."""
    from havre.services.sqs.metering import Gauges
    from havre.services.sqs.upkeep import Upkeep

    async with asyncio.TaskGroup() as group:
        group.create_task(Upkeep(broker, deps.store, deps.world).run())
        group.create_task(Gauges(broker, deps).run())
