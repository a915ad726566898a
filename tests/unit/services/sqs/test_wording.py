"""What SQS says word for word, and by which names its errors go in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.unit.services.sqs.sqs_harness import Queues

VALUE, OLD_VALUE = "InvalidParameterValue", "InvalidParameterValueException"
DEDUP = "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
NO_MAP = '{"deadLetterTargetArn": "nowhere"}'


def _told(call: Callable[..., Any], arguments: dict[str, Any]) -> tuple[str, str, str, int]:
    """Code, name in JSON, message, status."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    error: Any = refused.value.response["Error"]
    status = refused.value.response["ResponseMetadata"]["HTTPStatusCode"]
    return error["Code"], error["QueryErrorCode"], error["Message"], status


def _entry(id: str, **more: str) -> dict[str, str]:
    return {"Id": id, "MessageBody": "x", **more}


@pytest.mark.parametrize(
    ("operation", "queue", "arguments", "expected"),
    [
        (
            "receive_message",
            "q",
            {"MaxNumberOfMessages": 12},
            (
                VALUE,
                OLD_VALUE,
                "Value 12 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
            ),
        ),
        (
            "send_message",
            "q",
            {"MessageBody": ""},
            (
                "MissingParameter",
                "MissingRequiredParameterException",
                "The request must contain the parameter MessageBody.",
            ),
        ),
        (
            "send_message",
            "q",
            {"MessageBody": "x", "MessageAttributes": {"colour": {"DataType": "String", "StringValue": ""}}},
            (VALUE, OLD_VALUE, "Message (user) attribute 'colour' must contain a non-empty value of type 'String'."),
        ),
        ("send_message", "f.fifo", {"MessageBody": "x", "MessageGroupId": "g"}, (VALUE, OLD_VALUE, DEDUP)),
        (
            "send_message_batch",
            "f.fifo",
            {
                "Entries": [
                    _entry("a", MessageGroupId="g", MessageDeduplicationId="1"),
                    _entry("b", MessageDeduplicationId="2"),
                ]
            },
            (VALUE, OLD_VALUE, "The request must contain the parameter MessageGroupId."),
        ),
        (
            "send_message_batch",
            "f.fifo",
            {"Entries": [_entry("a", MessageGroupId="g", MessageDeduplicationId="1"), _entry("b", MessageGroupId="g")]},
            (VALUE, OLD_VALUE, DEDUP),
        ),
        (
            "set_queue_attributes",
            "q",
            {"Attributes": {"FifoQueue": "true"}},
            ("InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute FifoQueue."),
        ),
        (
            "set_queue_attributes",
            "q",
            {"Attributes": {"FifoQueue": "false"}},
            ("InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute FifoQueue."),
        ),
        (
            "set_queue_attributes",
            "f.fifo",
            {"Attributes": {"FifoQueue": "false"}},
            (
                "InvalidAttributeValue",
                "InvalidAttributeValue",
                "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.",
            ),
        ),
        (
            "set_queue_attributes",
            "q",
            {"Attributes": {"RedrivePolicy": NO_MAP}},
            (
                VALUE,
                OLD_VALUE,
                f"Value {NO_MAP} for parameter RedrivePolicy is invalid. Reason: Invalid value for deadLetterTargetArn.",
            ),
        ),
        (
            "set_queue_attributes",
            "q",
            {"Attributes": {"KmsMasterKeyId": "k", "SqsManagedSseEnabled": "true"}},
            (
                "InvalidAttributeName",
                "InvalidAttributeName",
                "You can use one type of server-side encryption (SSE) at one time. "
                "You can either enable KMS SSE or SQS SSE.",
            ),
        ),
    ],
)
def test_refusals(
    queues: Queues, operation: str, queue: str, arguments: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    url = queues.make(queue)
    assert _told(getattr(queues.client, operation), {"QueueUrl": url, **arguments}) == (*expected, 400)
    assert queues.counts(url) == (0, 0, 0)


def test_a_message_of_a_batch_that_is_too_long(queues: Queues) -> None:
    url = queues.make(MaximumMessageSize="1024")
    answer = queues.client.send_message_batch(
        QueueUrl=url, Entries=[_entry("a"), {"Id": "b", "MessageBody": "y" * 1025}]
    )
    assert [each["Id"] for each in answer["Successful"]] == ["a"]
    told = "One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes."
    assert answer["Failed"] == [{"Id": "b", "SenderFault": True, "Code": VALUE, "Message": told}]


def test_tasks_that_are_not_there(queues: Queues) -> None:
    from base64 import b64encode

    cancel, start = queues.client.cancel_message_move_task, queues.client.start_message_move_task
    queues.make("dead")
    redrive = {"deadLetterTargetArn": queues.arn("dead"), "maxReceiveCount": 1}
    queues.make("q", RedrivePolicy=json.dumps(redrive))

    def handle(queue: str) -> str:
        return b64encode(json.dumps({"taskId": "t", "sourceArn": queues.arn(queue)}).encode()).decode()

    assert _told(cancel, {"TaskHandle": "no"}) == (VALUE, OLD_VALUE, "Value for parameter TaskHandle is invalid.", 400)
    none, about = "ResourceNotFoundException", "The resource that you specified for the {} parameter doesn't exist."
    assert _told(cancel, {"TaskHandle": handle("dead")}) == (none, none, "Task does not exist.", 404)
    assert _told(cancel, {"TaskHandle": handle("gone")}) == (none, none, about.format("SourceArn"), 404)
    told = _told(start, {"SourceArn": queues.arn("dead"), "DestinationArn": queues.arn("gone")})
    assert told == (none, none, about.format("DestinationArn"), 404)


@pytest.mark.parametrize(
    ("names", "expected"), [(["*"], {"a", "b"}), ([".*"], {"a", "b"}), (["a*"], set()), (["a.*"], {"a"})]
)
def test_stars_among_names_of_attributes(queues: Queues, names: list[str], expected: set[str]) -> None:
    url = queues.make()
    attribute = {"DataType": "String", "StringValue": "v"}
    queues.send(url, "x", MessageAttributes={"a": attribute, "b": attribute})
    (message,) = queues.receive(url, MessageAttributeNames=names)
    assert set(message.get("MessageAttributes", {})) == expected


@pytest.mark.parametrize(("held", "expected"), [(0, []), (1, ["a"]), (2, ["a", "b"])])
def test_a_message_in_flight_keeps_back_only_those_behind_it(queues: Queues, held: int, expected: list[str]) -> None:
    url = queues.make("f.fifo", ContentBasedDeduplication="true", VisibilityTimeout="10")
    for body in "abc":
        queues.send(url, body, MessageGroupId="g")
    given = queues.receive(url)
    longer = {"ReceiptHandle": given[held]["ReceiptHandle"], "VisibilityTimeout": 60}
    queues.client.change_message_visibility(QueueUrl=url, **longer)
    queues.later(11)
    assert queues.bodies(url) == expected


def test_an_older_receipt_changes_the_visibility_in_a_standard_queue(queues: Queues) -> None:
    for name, shown in (("q", ["x"]), ("f.fifo", [])):
        more = {"MessageGroupId": "g", "MessageDeduplicationId": "d"} if name.endswith("fifo") else {}
        url = queues.make(name)
        queues.send(url, "x", **more)
        (first,) = queues.receive(url, VisibilityTimeout=0)
        assert len(queues.receive(url)) == 1
        change = {"QueueUrl": url, "ReceiptHandle": first["ReceiptHandle"], "VisibilityTimeout": 0}
        if shown:
            queues.client.change_message_visibility(**change)
        else:
            assert "not available for visibility" in _told(queues.client.change_message_visibility, change)[2]
        assert queues.bodies(url) == shown


def test_what_a_fifo_queue_shows_again_is_not_in_flight(queues: Queues) -> None:
    url = queues.make("f.fifo", ContentBasedDeduplication="true", VisibilityTimeout="5")
    queues.send(url, "x", MessageGroupId="g")
    (message,) = queues.receive(url)
    queues.later(6)
    change = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 30}
    gone = ("AWS.SimpleQueueService.MessageNotInflight", "MessageNotInflight", "The specified message isn't in flight.")
    assert _told(queues.client.change_message_visibility, change) == (*gone, 400)


def test_what_a_standard_queue_shows_again_can_be_hidden_by_who_had_it_last(queues: Queues) -> None:
    url = queues.make(VisibilityTimeout="5")
    queues.send(url, "x")
    (message,) = queues.receive(url)
    queues.later(6)
    change = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
    queues.client.change_message_visibility(**change, VisibilityTimeout=30)
    assert queues.bodies(url) == []
    queues.later(31)
    assert queues.bodies(url) == ["x"]
