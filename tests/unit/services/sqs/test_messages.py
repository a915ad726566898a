"""Sending, receiving, deleting, hiding: as a client sees it."""

from __future__ import annotations

import threading
from hashlib import md5
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from tests.running_gateway import code
from tests.unit.services.sqs.sqs_harness import Queues


def test_a_message_is_received_as_it_was_sent_and_deleted(queues: Queues) -> None:
    url = queues.make()
    attributes = {
        "text": {"DataType": "String", "StringValue": "grüß"},
        "number": {"DataType": "Number.float", "StringValue": "1.5e3"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    system = {
        "AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"}
    }
    sent = queues.send(url, "hällo", MessageAttributes=attributes, MessageSystemAttributes=system)
    (got,) = queues.receive(url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"])
    assert got["Body"] == "hällo"
    assert got["MD5OfBody"] == sent["MD5OfMessageBody"] == md5("hällo".encode()).hexdigest()
    assert got["MessageId"] == sent["MessageId"]
    assert got["MessageAttributes"] == attributes
    assert got["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert got["Attributes"]["ApproximateReceiveCount"] == "1"
    assert got["Attributes"]["AWSTraceHeader"] == system["AWSTraceHeader"]["StringValue"]
    assert got["Attributes"]["SenderId"] == "111122223333"
    assert queues.counts(url) == (0, 1, 0)
    queues.delete(url, got)
    assert queues.counts(url) == (0, 0, 0)
    queues.later(3600)
    assert queues.receive(url) == []


def test_the_trace_header_of_the_request_is_the_message_s(queues: Queues) -> None:
    url, root = queues.make(), "Root=1-5759e988-bd862e3fe1be46a994272793"

    def header(request: Any, **_: Any) -> None:
        request.headers["X-Amzn-Trace-Id"] = root

    queues.client.meta.events.register("before-sign.sqs.SendMessage", header)
    sent = queues.send(url, "x")
    assert "MD5OfMessageSystemAttributes" not in sent
    (got,) = queues.receive(url, MessageSystemAttributeNames=["AWSTraceHeader"])
    assert got["Attributes"] == {"AWSTraceHeader": root}


def test_the_digest_of_attributes_is_aws_s(queues: Queues) -> None:
    """Known from AWS: one String attribute, as in the developer guide's algorithm."""
    url = queues.make()
    sent = queues.send(
        url,
        "b",
        MessageAttributes={
            "timestamp": {"StringValue": "1493147359900", "DataType": "Number"},
        },
    )
    assert sent["MD5OfMessageAttributes"] == "235c5c510d26fb653d073faed50ae77c"


def test_what_is_not_deleted_comes_back_after_its_timeout(queues: Queues) -> None:
    url = queues.make(VisibilityTimeout="20")
    queues.send(url, "a")
    (first,) = queues.receive(url)
    assert queues.receive(url) == []
    queues.later(21)
    (again,) = queues.receive(url, MessageSystemAttributeNames=["ApproximateReceiveCount"])
    assert again["MessageId"] == first["MessageId"]
    assert again["ReceiptHandle"] != first["ReceiptHandle"]
    assert again["Attributes"] == {"ApproximateReceiveCount": "2"}
    queues.delete(url, first)  # somebody else has it now: nothing happens
    assert queues.counts(url) == (0, 1, 0)
    queues.delete(url, again)
    assert queues.counts(url) == (0, 0, 0)


def test_a_late_receipt_deletes_what_nobody_has_received_since(queues: Queues) -> None:
    url = queues.make(VisibilityTimeout="1")
    queues.send(url, "a")
    (first,) = queues.receive(url)
    queues.later(5)
    queues.delete(url, first)
    assert queues.counts(url) == (0, 0, 0)


def test_visibility_can_be_changed(queues: Queues) -> None:
    url = queues.make()
    queues.send(url, "a")
    (got,) = queues.receive(url, VisibilityTimeout=5)
    change = {"QueueUrl": url, "ReceiptHandle": got["ReceiptHandle"]}
    queues.client.change_message_visibility(**change, VisibilityTimeout=100)
    queues.later(50)
    assert queues.receive(url) == []
    queues.client.change_message_visibility(**change, VisibilityTimeout=0)
    (again,) = queues.receive(url)
    change["ReceiptHandle"] = again["ReceiptHandle"]
    assert code(queues.client.change_message_visibility, **change, VisibilityTimeout=43_201) == "InvalidParameterValue"
    queues.client.change_message_visibility(**change, VisibilityTimeout=43_000)
    queues.later(1000)
    assert code(queues.client.change_message_visibility, **change, VisibilityTimeout=43_000) == "InvalidParameterValue"


def test_delays_of_the_queue_and_of_a_message(queues: Queues) -> None:
    url = queues.make(DelaySeconds="10")
    queues.send(url, "queue")
    queues.send(url, "own", DelaySeconds=60)
    queues.send(url, "none", DelaySeconds=0)
    assert queues.counts(url) == (1, 0, 2)
    assert queues.bodies(url) == ["none"]
    queues.later(11)
    assert queues.bodies(url) == ["queue"]
    queues.later(60)
    assert "own" in queues.bodies(url)


def test_long_polling_wakes_when_a_message_comes(queues: Queues) -> None:
    url = queues.make()
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.extend(queues.bodies(url, WaitTimeSeconds=20)))
    waiting.start()
    queues.await_waiting(1)
    queues.second().send_message(QueueUrl=url, MessageBody="now")
    waiting.join(15)
    assert got == ["now"]


def test_who_waits_gets_a_delayed_message_when_it_is_due(queues: Queues) -> None:
    url = queues.make()
    queues.send(url, "soon", DelaySeconds=1)
    assert queues.bodies(url, WaitTimeSeconds=20) == ["soon"]


def test_who_hangs_up_takes_no_message_along(queues: Queues) -> None:
    url = queues.make()
    gone = queues.second(read_timeout=1)
    with pytest.raises(ReadTimeoutError):
        gone.receive_message(QueueUrl=url, WaitTimeSeconds=20)
    gone.close()
    queues.await_waiting(0)
    queues.send(url, "x")
    assert queues.bodies(url) == ["x"]


def test_each_waiter_gets_a_message(queues: Queues) -> None:
    url = queues.make()
    got: list[str] = []
    clients = [queues.second() for _ in range(4)]

    def poll(client: Any) -> None:
        answer = client.receive_message(QueueUrl=url, WaitTimeSeconds=20)
        got.extend(m["Body"] for m in answer.get("Messages", []))

    threads = [threading.Thread(target=poll, args=(c,)) for c in clients]
    for each in threads:
        each.start()
    queues.await_waiting(4)
    entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(4)]
    queues.client.send_message_batch(QueueUrl=url, Entries=entries)
    for each in threads:
        each.join(15)
    assert sorted(got) == ["0", "1", "2", "3"]


def test_batches_succeed_and_fail_entry_by_entry(queues: Queues) -> None:
    url = queues.make()
    entries: list[dict[str, Any]] = [
        {"Id": "good", "MessageBody": "1"},
        {"Id": "bad", "MessageBody": "2", "DelaySeconds": 901},
        {"Id": "worse", "MessageBody": "\x00"},
    ]
    answer = queues.client.send_message_batch(QueueUrl=url, Entries=entries)
    assert [e["Id"] for e in answer["Successful"]] == ["good"]
    assert {e["Id"]: (e["Code"], e["SenderFault"]) for e in answer["Failed"]} == {
        "bad": ("InvalidParameterValue", True),
        "worse": ("InvalidMessageContents", True),
    }
    (got,) = queues.receive(url)
    entries = [{"Id": "a", "ReceiptHandle": got["ReceiptHandle"]}, {"Id": "b", "ReceiptHandle": "nonsense"}]
    changed = queues.client.change_message_visibility_batch(
        QueueUrl=url, Entries=[{**e, "VisibilityTimeout": 5} for e in entries]
    )
    assert [e["Id"] for e in changed["Successful"]] == ["a"]
    assert [e["Code"] for e in changed["Failed"]] == ["ReceiptHandleIsInvalid"]
    deleted = queues.client.delete_message_batch(QueueUrl=url, Entries=entries)
    assert [e["Id"] for e in deleted["Successful"]] == ["a"]
    assert [e["Code"] for e in deleted["Failed"]] == ["ReceiptHandleIsInvalid"]
    assert queues.counts(url) == (0, 0, 0)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], "AWS.SimpleQueueService.EmptyBatchRequest"),
        (
            [{"Id": str(n), "MessageBody": "b"} for n in range(11)],
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        ),
        ([{"Id": "a", "MessageBody": "b"}] * 2, "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"),
        ([{"Id": "a b", "MessageBody": "b"}], "AWS.SimpleQueueService.InvalidBatchEntryId"),
        (
            [{"Id": str(n), "MessageBody": "b" * 600_000} for n in range(2)],
            "AWS.SimpleQueueService.BatchRequestTooLong",
        ),
    ],
)
def test_batches_are_refused_as_a_whole(queues: Queues, entries: list[Any], expected: str) -> None:
    url = queues.make()
    assert code(queues.client.send_message_batch, QueueUrl=url, Entries=entries) == expected
    assert queues.counts(url) == (0, 0, 0)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"MessageBody": ""}, "MissingParameter"),
        ({"MessageBody": "\ufffe"}, "InvalidMessageContents"),
        ({"MessageBody": "b" * 1_048_577}, "InvalidParameterValue"),
        ({"DelaySeconds": -1}, "InvalidParameterValue"),
        ({"MessageDeduplicationId": "d"}, "InvalidParameterValue"),
        ({"MessageAttributes": {"AWS.x": {"DataType": "String", "StringValue": "v"}}}, "InvalidParameterValue"),
        ({"MessageAttributes": {"x": {"DataType": "Number", "StringValue": "v"}}}, "InvalidParameterValue"),
        ({"MessageAttributes": {"x": {"DataType": "Text", "StringValue": "v"}}}, "InvalidParameterValue"),
        ({"MessageAttributes": {"x": {"DataType": "String", "StringValue": ""}}}, "InvalidParameterValue"),
        (
            {"MessageAttributes": {f"x{n}": {"DataType": "String", "StringValue": "v"} for n in range(11)}},
            "InvalidParameterValue",
        ),
        ({"MessageSystemAttributes": {"Other": {"DataType": "String", "StringValue": "v"}}}, "InvalidParameterValue"),
    ],
)
def test_messages_that_are_not_fit_change_nothing(queues: Queues, more: dict[str, Any], expected: str) -> None:
    url = queues.make()
    assert code(queues.client.send_message, **{"QueueUrl": url, "MessageBody": "b", **more}) == expected
    assert queues.counts(url) == (0, 0, 0)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"MaxNumberOfMessages": 0}, "InvalidParameterValue"),
        ({"MaxNumberOfMessages": 11}, "InvalidParameterValue"),
        ({"WaitTimeSeconds": 21}, "InvalidParameterValue"),
        ({"VisibilityTimeout": -1}, "InvalidParameterValue"),
        ({"ReceiveRequestAttemptId": "a"}, "InvalidParameterValue"),
        ({"MessageSystemAttributeNames": ["Nonsense"]}, "InvalidAttributeName"),
    ],
)
def test_receives_that_are_not_fit(queues: Queues, more: dict[str, Any], expected: str) -> None:
    url = queues.make()
    assert code(queues.client.receive_message, QueueUrl=url, **more) == expected


def test_attributes_are_chosen_by_name_and_prefix(queues: Queues) -> None:
    url = queues.make(VisibilityTimeout="0")
    names = ("a.one", "a.two", "b")
    queues.send(url, "x", MessageAttributes={n: {"DataType": "String", "StringValue": n} for n in names})
    for asked, expected in ((["a.*"], {"a.one", "a.two"}), (["b", "c"], {"b"}), ([".*"], set(names)), ([], set())):
        (got,) = queues.receive(url, MessageAttributeNames=asked)
        assert set(got.get("MessageAttributes", {})) == expected
        assert ("MD5OfMessageAttributes" in got) == bool(expected)


def test_old_messages_are_gone(queues: Queues) -> None:
    url = queues.make(MessageRetentionPeriod="60")
    queues.send(url, "a")
    queues.later(61)
    assert queues.receive(url) == []
    assert queues.counts(url) == (0, 0, 0)
    assert queues.records.heads(queues.records.shelves("sqs/")[0]) == []


def test_purge_empties_the_queue_and_its_disk(queues: Queues) -> None:
    url = queues.make()
    for n in range(5):
        queues.send(url, str(n))
    queues.receive(url, 2)
    queues.client.purge_queue(QueueUrl=url)
    assert queues.counts(url) == (0, 0, 0)
    assert queues.records.heads(queues.records.shelves("sqs/")[0]) == []
    queues.send(url, "new")
    assert queues.bodies(url) == ["new"]


def test_too_many_in_flight(queues: Queues) -> None:
    url = queues.make()
    queues.broker.limit = 3
    for n in range(5):
        queues.send(url, str(n))
    assert len(queues.receive(url)) == 3
    assert code(queues.client.receive_message, QueueUrl=url) == "OverLimit"
    assert queues.receive(url, WaitTimeSeconds=1) == []


def test_what_is_not_held_in_memory_is_read_from_the_disk(queues: Queues) -> None:
    url = queues.make()
    queues.broker.hold = 0
    queues.send(url, "long" * 1000)
    assert queues.bodies(url) == ["long" * 1000]


def test_tenants_take_turns(queues: Queues) -> None:
    url = queues.make()
    for n in range(4):
        queues.send(url, f"busy{n}", MessageGroupId="busy")
    queues.send(url, "quiet", MessageGroupId="quiet")
    assert queues.bodies(url, 2) == ["busy0", "quiet"]
