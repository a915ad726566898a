"""Dead-letter queues and message move tasks."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.running_gateway import code
from tests.unit.services.sqs.sqs_harness import Queues

from havre.services.sqs.upkeep import Upkeep


def _redrive(queues: Queues, target: str, lives: int = 2) -> str:
    return json.dumps({"deadLetterTargetArn": queues.arn(target), "maxReceiveCount": lives})


def _die(queues: Queues, url: str, lives: int = 2) -> None:
    """Receive what is there as often as it may be, and once more."""
    for _ in range(lives + 1):
        queues.receive(url, VisibilityTimeout=0)


def test_what_was_received_too_often_is_a_dead_letter(queues: Queues) -> None:
    dead = queues.make("dead")
    url = queues.make(RedrivePolicy=_redrive(queues, "dead"))
    sent = queues.send(url, "x", MessageAttributes={"a": {"DataType": "String", "StringValue": "v"}})
    assert queues.bodies(url, VisibilityTimeout=0) == ["x"]
    assert queues.bodies(url, VisibilityTimeout=0) == ["x"]
    assert queues.bodies(dead) == []
    assert queues.bodies(url) == []
    (got,) = queues.receive(dead, MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"])
    assert (got["Body"], got["MessageId"]) == ("x", sent["MessageId"])
    assert got["MessageAttributes"]["a"]["StringValue"] == "v"
    assert got["Attributes"]["DeadLetterQueueSourceArn"] == queues.arn("q")
    assert got["Attributes"]["ApproximateReceiveCount"] == "3"
    assert queues.counts(url) == (0, 0, 0)
    assert queues.client.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    assert queues.attributes(url)["RedrivePolicy"] == _redrive(queues, "dead").replace(" ", "")


def test_a_dead_letter_of_a_group_lets_the_next_pass(queues: Queues) -> None:
    dead = queues.make("dead.fifo")
    url = queues.make("q.fifo", RedrivePolicy=_redrive(queues, "dead.fifo", 1))
    for body in ("1", "2"):
        queues.send(url, body, MessageGroupId="g", MessageDeduplicationId=body)
    assert queues.bodies(url, 1, VisibilityTimeout=0) == ["1"]
    assert queues.bodies(url, 1) == ["2"]
    (got,) = queues.receive(dead, MessageSystemAttributeNames=["MessageDeduplicationId", "MessageGroupId"])
    assert (got["Body"], got["Attributes"]["MessageGroupId"]) == ("1", "g")
    assert got["Attributes"]["MessageDeduplicationId"] == got["MessageId"]


def test_without_its_dead_letter_queue_a_message_goes_on_living(queues: Queues) -> None:
    dead = queues.make("dead")
    url = queues.make(RedrivePolicy=_redrive(queues, "dead", 1))
    queues.client.delete_queue(QueueUrl=dead)
    queues.send(url, "x")
    for _ in range(3):
        assert queues.bodies(url, VisibilityTimeout=0) == ["x"]


def test_redrive_policies_that_are_refused(queues: Queues) -> None:
    queues.make("dead")
    queues.make("dead.fifo")
    queues.make("closed", RedriveAllowPolicy='{"redrivePermission":"denyAll"}')
    allow = {"redrivePermission": "byQueue", "sourceQueueArns": [queues.arn("chosen")]}
    queues.make("choosy", RedriveAllowPolicy=json.dumps(allow))
    for target in ("none", "dead.fifo", "closed", "choosy"):
        given = {"RedrivePolicy": _redrive(queues, target)}
        assert code(queues.client.create_queue, QueueName="q", Attributes=given) == "InvalidParameterValue"
    queues.make("chosen", RedrivePolicy=_redrive(queues, "choosy"))
    for lives in (0, 1001):
        given = {"RedrivePolicy": _redrive(queues, "dead", lives)}
        assert code(queues.client.create_queue, QueueName="q", Attributes=given) == "InvalidParameterValue"


@pytest.fixture
def kept(queues: Queues) -> Iterator[Queues]:
    """With what carries out move tasks."""
    upkeep = Upkeep(queues.broker, queues.running.store, queues.running.world)
    loop = queues.running.loop
    task = asyncio.run_coroutine_threadsafe(upkeep.run(), loop)
    yield queues
    task.cancel()


def _ended(queues: Queues, arn: str) -> dict[str, Any]:
    """The latest task, when it has ended."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        (found,) = queues.client.list_message_move_tasks(SourceArn=arn)["Results"]
        if found["Status"] not in ("RUNNING", "CANCELLING"):
            return dict(found)
    raise AssertionError("the task does not end")


def test_dead_letters_go_back_where_they_came_from(kept: Queues) -> None:
    dead = kept.make("dead")
    urls = [kept.make(name, RedrivePolicy=_redrive(kept, "dead", 1)) for name in ("a", "b")]
    for url in urls:
        kept.send(url, url)
        _die(kept, url, 1)
    assert kept.counts(dead) == (2, 0, 0)
    started = kept.client.start_message_move_task(SourceArn=kept.arn("dead"))
    ended = _ended(kept, kept.arn("dead"))
    assert ended["Status"] == "COMPLETED"
    assert (ended["ApproximateNumberOfMessagesMoved"], ended["ApproximateNumberOfMessagesToMove"]) == (2, 2)
    assert "TaskHandle" not in ended
    assert kept.counts(dead) == (0, 0, 0)
    for url in urls:
        (got,) = kept.receive(url, MessageSystemAttributeNames=["All"])
        assert got["Body"] == url
        assert got["Attributes"]["ApproximateReceiveCount"] == "1"
        assert "DeadLetterQueueSourceArn" not in got["Attributes"]
    cancel = kept.client.cancel_message_move_task
    assert code(cancel, TaskHandle=started["TaskHandle"]) == "AWS.SimpleQueueService.UnsupportedOperation"


def test_dead_letters_go_elsewhere(kept: Queues) -> None:
    dead, other = kept.make("dead"), kept.make("other")
    kept.make(RedrivePolicy=_redrive(kept, "dead"))
    for n in range(25):
        kept.send(dead, str(n))
    kept.client.start_message_move_task(SourceArn=kept.arn("dead"), DestinationArn=kept.arn("other"))
    assert _ended(kept, kept.arn("dead"))["ApproximateNumberOfMessagesMoved"] == 25
    assert kept.counts(other) == (25, 0, 0)


def test_what_came_from_nowhere_cannot_go_back(kept: Queues) -> None:
    dead = kept.make("dead")
    kept.make(RedrivePolicy=_redrive(kept, "dead"))
    kept.send(dead, "x")
    kept.client.start_message_move_task(SourceArn=kept.arn("dead"))
    ended = _ended(kept, kept.arn("dead"))
    assert (ended["Status"], ended["FailureReason"]) == ("FAILED", "CouldNotDetermineMessageSource")
    assert kept.counts(dead) == (1, 0, 0)


def test_a_task_can_be_cancelled_and_is_alone(kept: Queues) -> None:
    dead, arn = kept.make("dead"), kept.arn("dead")
    kept.make("other")
    kept.make(RedrivePolicy=_redrive(kept, "dead"))
    for n in range(10):
        kept.send(dead, str(n))
    start = {"SourceArn": arn, "DestinationArn": kept.arn("other")}
    handle = kept.client.start_message_move_task(**start, MaxNumberOfMessagesPerSecond=1)["TaskHandle"]
    assert code(kept.client.start_message_move_task, **start) == "InvalidParameterValue"
    kept.client.cancel_message_move_task(TaskHandle=handle)
    assert _ended(kept, arn)["Status"] == "CANCELLED"
    visible, in_flight, _ = kept.counts(dead)
    assert visible + in_flight > 0


def test_tasks_that_do_not_begin(kept: Queues) -> None:
    kept.make("dead")
    kept.make("dead.fifo")
    start = kept.client.start_message_move_task
    assert code(start, SourceArn=kept.arn("dead")) == "InvalidParameterValue"  # nobody's dead-letter queue
    assert code(start, SourceArn=kept.arn("none")) == "ResourceNotFoundException"
    kept.make(RedrivePolicy=_redrive(kept, "dead"))
    for target, expected in (
        ("none", "ResourceNotFoundException"),
        ("dead", "InvalidParameterValue"),
        ("dead.fifo", "InvalidParameterValue"),
    ):
        assert code(start, SourceArn=kept.arn("dead"), DestinationArn=kept.arn(target)) == expected
    assert code(start, SourceArn=kept.arn("dead"), MaxNumberOfMessagesPerSecond=501) == "InvalidParameterValue"
    assert code(kept.client.cancel_message_move_task, TaskHandle="x") == "InvalidParameterValue"
