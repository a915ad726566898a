"""AWS/SQS: what is counted of queues."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.services.metrics_fakes import CountedMetrics
from tests.unit.services.sqs.sqs_harness import Queues

from havre.control.deps import ReconcilerDeps
from havre.services.sqs.metering import Gauges


class Counted(Queues):
    def __init__(self) -> None:
        self.metrics = CountedMetrics()
        super().__init__(metrics=self.metrics)
        running = self.running
        site = running.gateway.parts.site
        deps = ReconcilerDeps(
            running.store,
            running.journal,
            running.world,
            site,
            None,  # type: ignore[arg-type]
            None,
            self.metrics,
        )
        self.gauges = Gauges(self.broker, deps)

    def look(self) -> None:
        async def look() -> None:
            self.gauges.look()

        self.metrics.seen.clear()
        self.running.wait(look())

    def of(self, metric: str, queue: str = "q") -> dict[float, float]:
        return self.metrics.of(metric, "AWS/SQS", QueueName=queue)

    def gauged(self) -> tuple[float, ...]:
        """Visible, in flight, delayed: at the last look."""
        names = ("Visible", "NotVisible", "Delayed")
        return tuple(next(iter(self.of(f"ApproximateNumberOfMessages{name}"))) for name in names)


@pytest.fixture
def queues() -> Iterator[Counted]:
    found = Counted()
    yield found
    found.close()


def test_what_is_sent_received_and_deleted(queues: Counted) -> None:
    url = queues.make()
    queues.send(url, "abc")
    entries = [{"Id": "a", "MessageBody": "x"}, {"Id": "b", "MessageBody": ""}, {"Id": "c", "MessageBody": "yy"}]
    queues.client.send_message_batch(QueueUrl=url, Entries=entries)
    assert queues.of("NumberOfMessagesSent") == {1.0: 1.0, 2.0: 1.0}, "one of the batch is refused"
    assert queues.of("SentMessageSize") == {3.0: 1.0, 1.0: 1.0, 2.0: 1.0}
    got = queues.receive(url)
    assert queues.receive(url) == []
    assert queues.of("NumberOfMessagesReceived") == {3.0: 1.0} and queues.of("NumberOfEmptyReceives") == {1.0: 1.0}
    queues.delete(url, got[0])
    handles = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(got[1:])]
    queues.client.delete_message_batch(QueueUrl=url, Entries=handles)
    assert queues.of("NumberOfMessagesDeleted") == {1.0: 1.0, 2.0: 1.0}
    assert queues.metrics.units["SentMessageSize"] == "Bytes" and queues.of("NumberOfMessagesSent", "other") == {}


def test_how_much_there_is(queues: Counted) -> None:
    url = queues.make()
    queues.look()
    assert queues.metrics.seen == {}, "of a queue that nobody has used"
    for body in ("a", "b", "c"):
        queues.send(url, body)
    queues.send(url, "later", DelaySeconds=100)
    queues.receive(url, 1)
    queues.later(30)
    queues.look()
    assert queues.gauged() == (3.0, 0.0, 1.0), "what was received is visible again"
    queues.receive(url, 1)
    queues.look()
    assert queues.gauged() == (2.0, 1.0, 1.0)
    ((age, _),) = queues.of("ApproximateAgeOfOldestMessage").items()
    assert 30 <= age < 60 and queues.metrics.units["ApproximateAgeOfOldestMessage"] == "Seconds"


def test_a_queue_that_is_empty_is_told_of_for_six_hours(queues: Counted) -> None:
    url = queues.make()
    queues.send(url, "a")
    queues.delete(url, queues.receive(url)[0])
    queues.later(5 * 3600)
    queues.look()
    assert queues.gauged() == (0.0, 0.0, 0.0) and queues.of("ApproximateAgeOfOldestMessage") == {0.0: 1.0}
    queues.later(2 * 3600)
    queues.look()
    assert queues.metrics.seen == {}


def test_a_queue_that_is_gone_is_not_told_of(queues: Counted) -> None:
    url = queues.make()
    queues.send(url, "a")
    queues.client.delete_queue(QueueUrl=url)
    queues.look()
    assert queues.metrics.seen == {}
