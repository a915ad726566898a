"""Queues: names, attributes, lists, tags, and who may do what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.running_gateway import ACCOUNT, OTHER, OTHER_ROOT, code
from tests.unit.services.sqs.sqs_harness import Queues


def test_a_queue_has_aws_s_defaults(queues: Queues) -> None:
    url = queues.make()
    assert url == f"{queues.running.url}/{ACCOUNT}/q"  # by the host that the client knows
    found = queues.attributes(url)
    for name in ("CreatedTimestamp", "LastModifiedTimestamp"):
        assert found.pop(name).isdigit()
    assert found == {
        "QueueArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q",
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
        "VisibilityTimeout": "30",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "DelaySeconds": "0",
        "ReceiveMessageWaitTimeSeconds": "0",
        "SqsManagedSseEnabled": "true",
    }
    assert queues.attributes(url, "VisibilityTimeout", "Policy") == {"VisibilityTimeout": "30"}
    assert queues.client.get_queue_attributes(QueueUrl=url).get("Attributes") is None


def test_any_host_and_scheme_name_the_queue(queues: Queues) -> None:
    queues.make()
    for url in (f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/q", f"http://localhost:1/{ACCOUNT}/q"):
        queues.send(url, "x")
    assert code(queues.client.send_message, QueueUrl="q", MessageBody="x") == "InvalidAddress"


def test_making_a_queue_again(queues: Queues) -> None:
    url = queues.make(VisibilityTimeout="10")
    assert queues.make() == url
    assert queues.make(VisibilityTimeout="10") == url
    assert (
        code(queues.client.create_queue, QueueName="q", Attributes={"VisibilityTimeout": "11"}) == "QueueAlreadyExists"
    )
    assert queues.attributes(url, "VisibilityTimeout") == {"VisibilityTimeout": "10"}


@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        ("", {}, "InvalidParameterValue"),
        ("a b", {}, "InvalidParameterValue"),
        ("q.fifo", {}, "InvalidParameterValue"),
        ("q", {"FifoQueue": "true"}, "InvalidParameterValue"),
        ("q", {"FifoQueue": "false"}, "InvalidAttributeName"),
        ("q", {"Nonsense": "1"}, "InvalidAttributeName"),
        ("q", {"QueueArn": "x"}, "InvalidAttributeName"),
        ("q", {"VisibilityTimeout": "43201"}, "InvalidAttributeValue"),
        ("q", {"VisibilityTimeout": "x"}, "InvalidAttributeValue"),
        ("q", {"MaximumMessageSize": "1023"}, "InvalidAttributeValue"),
        ("q", {"MaximumMessageSize": "1048577"}, "InvalidAttributeValue"),
        ("q", {"MessageRetentionPeriod": "59"}, "InvalidAttributeValue"),
        ("q", {"ReceiveMessageWaitTimeSeconds": "21"}, "InvalidAttributeValue"),
        ("q", {"DelaySeconds": "-1"}, "InvalidAttributeValue"),
        ("q", {"ContentBasedDeduplication": "true"}, "InvalidAttributeName"),
        ("q", {"Policy": "{"}, "InvalidAttributeValue"),
        ("q", {"RedrivePolicy": "[]"}, "InvalidParameterValue"),
        ("q", {"RedrivePolicy": '{"maxReceiveCount": 1}'}, "InvalidParameterValue"),
        ("q", {"RedriveAllowPolicy": '{"redrivePermission": "byQueue"}'}, "InvalidAttributeValue"),
        ("q", {"KmsMasterKeyId": "k", "SqsManagedSseEnabled": "true"}, "InvalidAttributeName"),
        ("q.fifo", {"FifoQueue": "true", "FifoThroughputLimit": "perMessageGroupId"}, "InvalidAttributeValue"),
    ],
)
def test_queues_that_are_not_made(queues: Queues, name: str, attributes: dict[str, str], expected: str) -> None:
    assert code(queues.client.create_queue, QueueName=name, Attributes=attributes) == expected
    assert queues.client.list_queues().get("QueueUrls") is None


def test_attributes_can_be_set(queues: Queues) -> None:
    url = queues.make()
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*"}],
    }
    given = {
        "VisibilityTimeout": "5",
        "MaximumMessageSize": "2048",
        "KmsMasterKeyId": "alias/aws/sqs",
        "Policy": json.dumps(policy),
        "RedriveAllowPolicy": '{"redrivePermission":"denyAll"}',
    }
    queues.client.set_queue_attributes(QueueUrl=url, Attributes=given)
    found = queues.attributes(url)
    assert {name: found[name] for name in given} == given
    assert (found["SqsManagedSseEnabled"], found["KmsDataKeyReusePeriodSeconds"]) == ("false", "300")
    assert code(queues.client.send_message, QueueUrl=url, MessageBody="x" * 2049) == "InvalidParameterValue"
    cleared = {"Policy": "", "KmsMasterKeyId": "", "RedriveAllowPolicy": ""}
    queues.client.set_queue_attributes(QueueUrl=url, Attributes=cleared)
    assert not queues.attributes(url).keys() & cleared.keys()
    bad = {"VisibilityTimeout": "6", "DelaySeconds": "901"}
    assert code(queues.client.set_queue_attributes, QueueUrl=url, Attributes=bad) == "InvalidAttributeValue"
    assert queues.attributes(url, "VisibilityTimeout") == {"VisibilityTimeout": "5"}
    fifo = {"FifoQueue": "true"}
    assert code(queues.client.set_queue_attributes, QueueUrl=url, Attributes=fifo) == "InvalidAttributeName"


def test_a_queue_that_is_deleted_takes_its_messages_along(queues: Queues) -> None:
    url = queues.make()
    queues.send(url, "x")
    queues.client.delete_queue(QueueUrl=url)
    assert code(queues.client.receive_message, QueueUrl=url) == "AWS.SimpleQueueService.NonExistentQueue"
    assert code(queues.client.get_queue_url, QueueName="q") == "AWS.SimpleQueueService.NonExistentQueue"
    assert queues.records.shelves("sqs/") == []
    assert queues.make() == url
    assert queues.receive(url) == []


def test_lists_of_queues_come_in_pages(queues: Queues) -> None:
    urls = [queues.make(f"q{n}") for n in range(5)]
    queues.make("other")
    pages = queues.client.get_paginator("list_queues").paginate(QueueNamePrefix="q", PaginationConfig={"PageSize": 2})
    assert [p["QueueUrls"] for p in pages] == [urls[0:2], urls[2:4], urls[4:]]
    assert queues.client.list_queues(QueueNamePrefix="none").get("QueueUrls") is None
    assert code(queues.client.list_queues, MaxResults=1001) == "InvalidParameterValue"
    assert code(queues.client.list_queues, MaxResults=1, NextToken="x") == "InvalidParameterValue"


def test_tags(queues: Queues) -> None:
    url = queues.client.create_queue(QueueName="q", tags={"a": "1"})["QueueUrl"]
    queues.client.tag_queue(QueueUrl=url, Tags={"b": "2", "a": "3"})
    assert queues.client.list_queue_tags(QueueUrl=url)["Tags"] == {"a": "3", "b": "2"}
    queues.client.untag_queue(QueueUrl=url, TagKeys=["a", "c"])
    assert queues.client.list_queue_tags(QueueUrl=url)["Tags"] == {"b": "2"}
    assert code(queues.client.tag_queue, QueueUrl=url, Tags={"aws:x": "1"}) == "InvalidParameterValue"
    assert code(queues.client.tag_queue, QueueUrl=url, Tags={str(n): "" for n in range(51)}) == "InvalidParameterValue"


@pytest.fixture
def strict() -> Iterator[Queues]:
    found = Queues("strict")
    yield found
    found.close()


def test_another_account_may_what_the_policy_lets_it(strict: Queues) -> None:
    url = strict.make()
    other = strict.second(OTHER_ROOT)
    assert code(other.send_message, QueueUrl=url, MessageBody="x") == "AccessDeniedException"
    strict.client.add_permission(
        QueueUrl=url, Label="let", AWSAccountIds=[OTHER], Actions=["SendMessage", "GetQueueUrl"]
    )
    found = other.get_queue_url(QueueName="q", QueueOwnerAWSAccountId=ACCOUNT)["QueueUrl"]
    assert found == url
    other.send_message(QueueUrl=url, MessageBody="x")
    other.send_message_batch(QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "y"}])
    assert code(other.receive_message, QueueUrl=url) == "AccessDeniedException"
    statement = json.loads(strict.attributes(url)["Policy"])["Statement"][0]
    assert statement["Sid"] == "let"
    assert statement["Principal"] == {"AWS": f"arn:aws:iam::{OTHER}:root"}
    again = {"QueueUrl": url, "Label": "let", "AWSAccountIds": [OTHER], "Actions": ["*"]}
    assert code(strict.client.add_permission, **again) == "InvalidParameterValue"
    strict.client.remove_permission(QueueUrl=url, Label="let")
    assert "Policy" not in strict.attributes(url)
    assert code(other.send_message, QueueUrl=url, MessageBody="x") == "AccessDeniedException"
    assert code(strict.client.remove_permission, QueueUrl=url, Label="let") == "InvalidParameterValue"


def test_permissions_that_are_not_added(queues: Queues) -> None:
    url = queues.make()

    def add(**more: Any) -> str:
        given = {"QueueUrl": url, "Label": "l", "AWSAccountIds": [OTHER], "Actions": ["SendMessage"], **more}
        return code(queues.client.add_permission, **given)

    assert add(Label="a b") == "InvalidParameterValue"
    assert add(AWSAccountIds=["12"]) == "InvalidParameterValue"
    assert add(Actions=["DeleteQueue"]) == "InvalidParameterValue"
    assert add(Actions=["SendMessage"] * 8) == "InvalidParameterValue"
    assert add(AWSAccountIds=[]) == add(Actions=[]) == "MissingParameter"
    assert [add(Label=f"l{n}") for n in range(20)] == ["no error"] * 20
    assert add(Label="one-more") == "OverLimit"
    assert len(json.loads(queues.attributes(url)["Policy"])["Statement"]) == 20


def test_what_only_the_owner_s_account_may(strict: Queues) -> None:
    allow = {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*"}
    url = strict.make(Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
    other = strict.second(OTHER_ROOT)
    other.send_message(QueueUrl=url, MessageBody="x")
    assert code(other.delete_queue, QueueUrl=url) == "AccessDeniedException"
    assert code(other.set_queue_attributes, QueueUrl=url, Attributes={"DelaySeconds": "1"}) == "AccessDeniedException"
    assert code(other.tag_queue, QueueUrl=url, Tags={"a": "b"}) == "AccessDeniedException"


def test_an_aws_service_may_what_the_policy_lets_it(strict: Queues) -> None:
    """With the resource that it acts for, as SNS and EventBridge do."""
    from havre.kernel.errors import ApiError

    topic, url = f"arn:aws:sns:us-east-1:{ACCOUNT}:t", strict.make()
    sns = strict.running.gateway.as_service("sns.amazonaws.com", ACCOUNT, "us-east-1", topic)

    def send() -> None:
        strict.running.wait(sns("sqs", "SendMessage", {"QueueUrl": url, "MessageBody": "x"}))

    with pytest.raises(ApiError):
        send()
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": strict.arn("q"),
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": allow})
    strict.client.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    send()
    assert strict.bodies(url) == ["x"]


def test_a_policy_can_ask_for_the_tags_of_a_queue(strict: Queues) -> None:
    url = strict.client.create_queue(QueueName="q", tags={"team": "a"})["QueueUrl"]
    iam = strict.running.client("iam")
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]
    allow = {
        "Effect": "Allow",
        "Action": "sqs:SendMessage",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:ResourceTag/team": "a"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": allow})
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=document)
    user = strict.second(key)
    user.send_message(QueueUrl=url, MessageBody="x")
    assert code(user.receive_message, QueueUrl=url) == "AccessDeniedException"
    strict.client.tag_queue(QueueUrl=url, Tags={"team": "b"})
    assert code(user.send_message, QueueUrl=url, MessageBody="x") == "AccessDeniedException"
    (got,) = strict.receive(url, MessageSystemAttributeNames=["SenderId"])
    assert got["Attributes"]["SenderId"].startswith("AIDA")


def test_messages_are_data_events(strict: Queues) -> None:
    url = strict.make()
    strict.send(url, "x")
    assert strict.running.events("CreateQueue")
    assert strict.running.events("SendMessage") == []
