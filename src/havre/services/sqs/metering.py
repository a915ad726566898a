"""AWS/SQS: what is sent, received and deleted is counted in passing; how much there is, is told once a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from havre.control.deps import ReconcilerDeps
from havre.control.metrics import until_look
from havre.control.operation import Call
from havre.services.sqs.broker import Broker
from havre.services.sqs.live import Live, milliseconds
from havre.services.sqs.messages import Draft
from havre.services.sqs.resources import QUEUE, Queue

NAMESPACE = "AWS/SQS"
SENT, SIZE = "NumberOfMessagesSent", "SentMessageSize"
RECEIVED, EMPTY, DELETED = "NumberOfMessagesReceived", "NumberOfEmptyReceives", "NumberOfMessagesDeleted"
VISIBLE, IN_FLIGHT = "ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"
DELAYED, OLDEST = "ApproximateNumberOfMessagesDelayed", "ApproximateAgeOfOldestMessage"
ACTIVE = 6 * 3600.0
"""Seconds for which a queue that is not used any more is told of."""


def sent(broker: Broker, call: Call, queue: Queue, drafts: Sequence[Draft]) -> None:
    _count(broker, call, queue, SENT, len(drafts))
    for each in drafts:
        _count(broker, call, queue, SIZE, each.size, "Bytes")


def received(broker: Broker, call: Call, queue: Queue, count: int) -> None:
    _count(broker, call, queue, RECEIVED if count else EMPTY, count or 1)


def deleted(broker: Broker, call: Call, queue: Queue, count: int) -> None:
    if count:
        _count(broker, call, queue, DELETED, count)


def _count(broker: Broker, call: Call, queue: Queue, metric: str, value: int, unit: str = "Count") -> None:
    broker.used[queue.spec.uid] = call.now
    m = queue.meta
    call.metrics.add(m.account, m.region, NAMESPACE, metric, (("QueueName", m.name),), float(value), unit)


class Gauges:
    """Of queues that were used within the last hours, by this process."""

    def __init__(self, broker: Broker, deps: ReconcilerDeps) -> None:
        self._broker = broker
        self._deps = deps

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(until_look(self._deps.world.now()))
            self.look()

    def look(self) -> None:
        """At every queue, once."""
        now, used = self._deps.world.now(), self._broker.used
        for queue in self._deps.store.list(QUEUE) if used else ():
            live = self._broker.lives.get(queue.spec.uid)
            if live is None or live.loading is not None or now - used.get(queue.spec.uid, -ACTIVE) > ACTIVE:
                continue
            self._tell(queue, live, now)

    def _tell(self, queue: Queue, live: Live, now: float) -> None:
        before = milliseconds(now - queue.spec.retention)
        visible, in_flight, delayed = self._broker.counts(live, milliseconds(now), before)
        oldest = next(iter(live.queue.messages.values()), None)
        age = 0.0 if oldest is None else max(0.0, now - oldest.sent / 1000)
        m, where = queue.meta, (("QueueName", queue.meta.name),)
        for metric, value in ((VISIBLE, visible), (IN_FLIGHT, in_flight), (DELAYED, delayed)):
            self._deps.metrics.add(m.account, m.region, NAMESPACE, metric, where, float(value))
        self._deps.metrics.add(m.account, m.region, NAMESPACE, OLDEST, where, age, "Seconds")
