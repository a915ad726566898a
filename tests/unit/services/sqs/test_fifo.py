"""FIFO queues: order within groups, deduplication, retried receives."""

from __future__ import annotations

from typing import Any

import pytest
from tests.running_gateway import code
from tests.unit.services.sqs.sqs_harness import Queues


def _send(queues: Queues, url: str, group: str, *bodies: str) -> None:
    for body in bodies:
        queues.send(url, body, MessageGroupId=group, MessageDeduplicationId=body)


def test_a_group_is_locked_while_one_of_its_messages_is_in_flight(queues: Queues) -> None:
    url = queues.make("q.fifo", VisibilityTimeout="30")
    _send(queues, url, "a", "a1", "a2", "a3")
    _send(queues, url, "b", "b1")
    first = queues.receive(url, 2)
    assert [m["Body"] for m in first] == ["a1", "a2"]
    assert queues.bodies(url) == ["b1"]
    queues.delete(url, first[0])
    assert queues.bodies(url) == []
    queues.delete(url, first[1])
    assert queues.bodies(url) == ["a3"]


def test_what_comes_back_comes_before_what_is_behind_it(queues: Queues) -> None:
    url = queues.make("q.fifo", VisibilityTimeout="30")
    _send(queues, url, "a", "a1", "a2", "a3")
    first = queues.receive(url, 2)
    queues.delete(url, first[1])
    queues.later(31)
    assert queues.bodies(url) == ["a1", "a3"]


def test_a_receipt_is_no_longer_good_when_its_time_is_over(queues: Queues) -> None:
    url = queues.make("q.fifo", VisibilityTimeout="1")
    _send(queues, url, "a", "a1")
    (got,) = queues.receive(url)
    queues.later(2)
    handle = got["ReceiptHandle"]
    assert code(queues.client.delete_message, QueueUrl=url, ReceiptHandle=handle) == "InvalidParameterValue"
    entries = [{"Id": "x", "ReceiptHandle": handle}]
    failed = queues.client.delete_message_batch(QueueUrl=url, Entries=entries)["Failed"]
    assert [(f["Id"], f["Code"]) for f in failed] == [("x", "InvalidParameterValue")]
    assert queues.bodies(url) == ["a1"]


def test_the_same_deduplication_id_is_sent_once_in_five_minutes(queues: Queues) -> None:
    url = queues.make("q.fifo")
    one = queues.send(url, "x", MessageGroupId="a", MessageDeduplicationId="d")
    (got,) = queues.receive(url)
    queues.delete(url, got)
    again = queues.send(url, "y", MessageGroupId="b", MessageDeduplicationId="d")
    assert (again["MessageId"], again["SequenceNumber"]) == (one["MessageId"], one["SequenceNumber"])
    assert queues.bodies(url) == []
    queues.later(301)
    later = queues.send(url, "y", MessageGroupId="b", MessageDeduplicationId="d")
    assert later["MessageId"] != one["MessageId"]
    assert int(later["SequenceNumber"]) > int(one["SequenceNumber"])
    assert queues.bodies(url) == ["y"]


def test_deduplication_within_a_batch(queues: Queues) -> None:
    url = queues.make("q.fifo")
    entries = [{"Id": i, "MessageBody": i, "MessageGroupId": "a", "MessageDeduplicationId": "d"} for i in "xy"]
    sent = queues.client.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]
    assert sent[0]["MessageId"] == sent[1]["MessageId"]
    assert queues.bodies(url) == ["x"]


def test_deduplication_by_content(queues: Queues) -> None:
    url = queues.make("q.fifo", ContentBasedDeduplication="true")
    for body in ("x", "x", "y"):
        queues.send(url, body, MessageGroupId="a")
    got = queues.receive(
        url, MessageSystemAttributeNames=["MessageDeduplicationId", "MessageGroupId", "SequenceNumber"]
    )
    assert [m["Body"] for m in got] == ["x", "y"]
    assert len(got[0]["Attributes"]["MessageDeduplicationId"]) == 64
    assert got[0]["Attributes"]["MessageGroupId"] == "a"
    assert got[0]["Attributes"]["SequenceNumber"] < got[1]["Attributes"]["SequenceNumber"]


def test_deduplication_by_group(queues: Queues) -> None:
    high = {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
    url = queues.make("q.fifo", **high)
    for group in ("a", "b", "a"):
        queues.send(url, group, MessageGroupId=group, MessageDeduplicationId="d")
    assert sorted(queues.bodies(url)) == ["a", "b"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"MessageGroupId": "a"}, "InvalidParameterValue"),
        ({"MessageDeduplicationId": "d"}, "MissingParameter"),
        ({"MessageGroupId": "a", "MessageDeduplicationId": "d", "DelaySeconds": 1}, "InvalidParameterValue"),
        ({"MessageGroupId": "a b", "MessageDeduplicationId": "d"}, "InvalidParameterValue"),
        ({"MessageGroupId": "a", "MessageDeduplicationId": "d" * 129}, "InvalidParameterValue"),
    ],
)
def test_what_fifo_queues_do_not_take(queues: Queues, more: dict[str, Any], expected: str) -> None:
    url = queues.make("q.fifo")
    assert code(queues.client.send_message, QueueUrl=url, MessageBody="b", **more) == expected


def test_the_delay_of_the_queue_holds_its_groups_back_in_order(queues: Queues) -> None:
    url = queues.make("q.fifo", DelaySeconds="10")
    _send(queues, url, "a", "a1", "a2")
    assert queues.counts(url) == (0, 0, 2)
    queues.later(11)
    assert queues.bodies(url) == ["a1", "a2"]


def test_a_retried_receive_gets_the_same_messages(queues: Queues) -> None:
    url = queues.make("q.fifo", VisibilityTimeout="30")
    _send(queues, url, "a", "a1", "a2", "a3")
    first = queues.receive(url, 2, ReceiveRequestAttemptId="try")
    queues.later(20)
    assert queues.receive(url, 2, ReceiveRequestAttemptId="try") == first
    queues.later(20)  # the retry has begun the timeout anew
    assert queues.receive(url, 2) == []
    queues.delete(url, first[0])
    assert queues.receive(url, 2, ReceiveRequestAttemptId="try") == []


def test_order_holds_when_the_disk_does_not_take_a_deletion(queues: Queues) -> None:
    from havre.kernel.errors import Temporary

    url = queues.make("q.fifo")
    _send(queues, url, "a", "a1", "a2", "a3")
    first = queues.receive(url, 2)

    def refuse() -> None:
        raise Temporary("full")

    queues.records.fault = refuse
    for each in reversed(first):
        assert code(queues.client.delete_message, QueueUrl=url, ReceiptHandle=each["ReceiptHandle"]) != "no error"
    assert code(
        queues.client.send_message, QueueUrl=url, MessageBody="x", MessageGroupId="a", MessageDeduplicationId="x"
    )
    queues.records.fault = None
    assert queues.bodies(url) == ["a1", "a2", "a3"]
    _send(queues, url, "b", "x")  # what was refused was never sent
    assert queues.bodies(url) == ["x"]
