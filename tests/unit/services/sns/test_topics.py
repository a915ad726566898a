"""Topics, subscriptions, attributes, permissions, tags: what they answer and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.running_gateway import OTHER, OTHER_ROOT
from tests.unit.services.sns.sns_harness import Sns, as_user, function_arn, queue_arn, refusal


def test_a_topic_and_its_attributes(sns: Sns) -> None:
    topic = sns.topic(DisplayName="News")
    assert topic == "arn:aws:sns:us-east-1:111122223333:news"
    assert sns.topic() == sns.topic(DisplayName="News") == topic
    words = "Invalid parameter: Attributes Reason: Topic already exists with different attributes"
    assert refusal(sns.client.create_topic, Name="news", Attributes={"DisplayName": "Other"}) == (
        "InvalidParameter",
        words,
    )
    found = sns.client.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert (found["DisplayName"], found["Owner"], found["SubscriptionsConfirmed"]) == ("News", "111122223333", "0")
    assert json.loads(found["Policy"])["Id"] == "__default_policy_ID"
    assert json.loads(found["EffectiveDeliveryPolicy"])["http"]["defaultHealthyRetryPolicy"]["numRetries"] == 3
    sns.client.set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue="Newer")
    assert sns.client.get_topic_attributes(TopicArn=topic)["Attributes"]["DisplayName"] == "Newer"
    assert [t["TopicArn"] for t in sns.client.list_topics()["Topics"]] == [topic]
    sns.client.delete_topic(TopicArn=topic)
    sns.client.delete_topic(TopicArn=topic)
    assert refusal(sns.client.get_topic_attributes, TopicArn=topic) == ("NotFound", "Topic does not exist")


@pytest.mark.parametrize(
    ("name", "attributes", "code"),
    [
        ("with space", {}, "InvalidParameter"),
        ("", {}, "InvalidParameter"),
        ("x" * 257, {}, "InvalidParameter"),
        ("x.fifo", {}, "InvalidParameter"),
        ("x", {"FifoTopic": "true"}, "InvalidParameter"),
        ("x", {"Nonsense": "1"}, "InvalidParameter"),
        ("x", {"ContentBasedDeduplication": "true"}, "InvalidParameter"),
        ("x", {"Policy": "{}"}, "InvalidParameter"),
        ("x", {"DeliveryPolicy": '{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":0}}}'}, "InvalidParameter"),
        (
            "x",
            {"DeliveryPolicy": '{"http":{"defaultThrottlePolicy":{"maxReceivesPerSecond":1}}}'},
            "NotImplementedException",
        ),
        ("x", {"SQSFailureFeedbackRoleArn": "arn:aws:iam::111122223333:role/r"}, "NotImplementedException"),
        ("x", {"MaximumMessageSize": "5"}, "InvalidParameter"),
    ],
)
def test_topics_that_are_refused(sns: Sns, name: str, attributes: dict[str, str], code: str) -> None:
    assert refusal(sns.client.create_topic, Name=name, Attributes=attributes)[0] == code
    assert sns.client.list_topics()["Topics"] == []


def test_a_fifo_topic(sns: Sns) -> None:
    topic = sns.topic("a.fifo", FifoTopic="true")
    found = sns.client.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert (found["FifoTopic"], found["ContentBasedDeduplication"]) == ("true", "false")
    publish = sns.client.publish
    assert "MessageGroupId parameter is required" in refusal(publish, TopicArn=topic, Message="x")[1]
    assert "ContentBasedDeduplication" in refusal(publish, TopicArn=topic, Message="x", MessageGroupId="g")[1]
    sns.client.set_topic_attributes(TopicArn=topic, AttributeName="ContentBasedDeduplication", AttributeValue="true")
    assert publish(TopicArn=topic, Message="x", MessageGroupId="g")["SequenceNumber"]
    assert (
        refusal(sns.client.subscribe, TopicArn=topic, Protocol="lambda", Endpoint=function_arn("f"))[0]
        == "InvalidParameter"
    )


def test_subscriptions(sns: Sns) -> None:
    topic = sns.topic()
    first = sns.subscribe(topic, "sqs", queue_arn("q"))
    assert sns.subscribe(topic, "sqs", queue_arn("q")) == first
    again = {
        "TopicArn": topic,
        "Protocol": "sqs",
        "Endpoint": queue_arn("q"),
        "Attributes": {"RawMessageDelivery": "true"},
    }
    assert "different attributes" in refusal(sns.client.subscribe, **again)[1]
    sns.subscribe(topic, "lambda", function_arn("f"))
    listed = sns.client.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert {s["Protocol"] for s in listed} == {"sqs", "lambda"}
    assert len(sns.client.list_subscriptions()["Subscriptions"]) == 2
    change = sns.client.set_subscription_attributes
    change(SubscriptionArn=first, AttributeName="FilterPolicy", AttributeValue='{"a": ["b"]}')
    found = sns.client.get_subscription_attributes(SubscriptionArn=first)["Attributes"]
    assert (found["FilterPolicy"], found["FilterPolicyScope"]) == ('{"a": ["b"]}', "MessageAttributes")
    assert found["PendingConfirmation"] == "false" and found["ConfirmationWasAuthenticated"] == "true"
    wrong = {"SubscriptionArn": first, "AttributeName": "FilterPolicy", "AttributeValue": '{"a": "b"}'}
    code, words = refusal(change, **wrong)
    assert (code, words) == ("InvalidParameter", 'Invalid parameter: FilterPolicy: "a" must be an object or an array')
    change(SubscriptionArn=first, AttributeName="FilterPolicy", AttributeValue="")
    assert "FilterPolicy" not in sns.client.get_subscription_attributes(SubscriptionArn=first)["Attributes"]
    sns.client.unsubscribe(SubscriptionArn=first)
    assert refusal(sns.client.get_subscription_attributes, SubscriptionArn=first)[0] == "NotFound"


@pytest.mark.parametrize(
    ("protocol", "endpoint", "attributes", "code", "words"),
    [
        ("email", "a@b.c", {}, "NotImplementedException", "subscriptions of the protocol email"),
        ("sms", "+123", {}, "NotImplementedException", "subscriptions of the protocol sms"),
        ("firehose", "arn", {}, "NotImplementedException", "firehose"),
        ("pigeon", "x", {}, "InvalidParameter", "does not support this protocol string: pigeon"),
        ("sqs", "q", {}, "InvalidParameter", "SQS endpoint ARN"),
        ("sqs", "arn:aws:sqs:us-east-1:111122223333:q.fifo", {}, "InvalidParameter", "FIFO SQS Queues can not be"),
        ("lambda", "f", {}, "InvalidParameter", "Lambda endpoint ARN"),
        ("http", "https://x", {}, "InvalidParameter", "must match the specified protocol"),
        ("http", "http://x y", {}, "InvalidParameter", "Not a URL"),
        ("sqs", "", {}, "InvalidParameter", "Endpoint must be specified"),
        ("lambda", function_arn("f"), {"RawMessageDelivery": "true"}, "InvalidParameter", "does not support raw"),
        ("sqs", queue_arn("q"), {"RawMessageDelivery": "maybe"}, "InvalidParameter", "Must be true or false"),
        ("sqs", queue_arn("q"), {"RedrivePolicy": "{}"}, "InvalidParameter", "deadLetterTargetArn"),
        ("sqs", queue_arn("q"), {"Colour": "red"}, "InvalidParameter", "AttributeName"),
        ("sqs", queue_arn("q"), {"FilterPolicyScope": "Moon"}, "InvalidParameter", "FilterPolicyScope"),
    ],
)  # fmt: skip
def test_subscriptions_that_are_refused(
    sns: Sns, protocol: str, endpoint: str, attributes: dict[str, str], code: str, words: str
) -> None:
    topic = sns.topic()
    given = {"TopicArn": topic, "Protocol": protocol, "Endpoint": endpoint, "Attributes": attributes}
    found = refusal(sns.client.subscribe, **given)
    assert found[0] == code and words in found[1]
    assert sns.client.list_subscriptions()["Subscriptions"] == []


def of(name: str, kind: str, value: str | None) -> dict[str, Any]:
    """A message with one attribute."""
    return {
        "Message": "x",
        "MessageAttributes": {name: {"DataType": kind, **({"StringValue": value} if value else {})}},
    }


MESSAGES: list[tuple[dict[str, Any], str, str]] = [
    ({"Message": ""}, "InvalidParameter", "Empty message"),
    ({"Message": "x" * 262_145}, "InvalidParameter", "Message too long"),
    ({"Message": "x", "Subject": "a\nb"}, "InvalidParameter", "Subject"),
    ({"Message": "x", "Subject": "a" * 101}, "InvalidParameter", "Subject"),
    ({"Message": "x", "MessageStructure": "json"}, "InvalidParameter", "failed to parse"),
    ({"Message": "{}", "MessageStructure": "json"}, "InvalidParameter", "No default entry"),
    ({"Message": "x", "MessageDeduplicationId": "d"}, "InvalidParameter", "not valid for this topic type"),
    (of("a", "Text", "x"), "ParameterValueInvalid", "type prefixes"),
    (of("a", "String", None), "ParameterValueInvalid", "non-empty"),
    (of("a", "Number", "x"), "ParameterValueInvalid", "cast"),
    (of("AWS.a", "String", "x"), "ParameterValueInvalid", "AWS."),
]


@pytest.mark.parametrize(("given", "code", "words"), MESSAGES)
def test_messages_that_are_refused(sns: Sns, given: dict[str, Any], code: str, words: str) -> None:
    topic = sns.topic()
    sns.subscribe(topic, "sqs", queue_arn("q"))
    found = refusal(sns.client.publish, TopicArn=topic, **given)
    assert found[0] == code and words in found[1]
    sns.quiet()
    assert sns.sqs.calls == []


def test_publishing_to_what_there_is_not(sns: Sns) -> None:
    publish = sns.client.publish
    nowhere = "arn:aws:sns:us-east-1:111122223333:none"
    assert refusal(publish, TopicArn=nowhere, Message="x") == ("NotFound", "Topic does not exist")
    assert refusal(publish, TopicArn="arn:aws:sns:eu-west-1:111122223333:x", Message="x")[0] == "InvalidParameter"
    assert refusal(publish, TopicArn="x", Message="x")[0] == "InvalidParameter"
    assert refusal(publish, Message="x")[0] == "InvalidParameter"
    assert refusal(publish, PhoneNumber="+1", Message="x")[0] == "NotImplementedException"
    topic = sns.topic()
    batch = sns.client.publish_batch
    two = [{"Id": "a", "Message": "x"}, {"Id": "a", "Message": "x"}]
    assert refusal(batch, TopicArn=topic, PublishBatchRequestEntries=two)[0] == "BatchEntryIdsNotDistinct"
    many = [{"Id": str(n), "Message": "x"} for n in range(11)]
    assert refusal(batch, TopicArn=topic, PublishBatchRequestEntries=many)[0] == "TooManyEntriesInBatchRequest"
    large = [{"Id": str(n), "Message": "x" * 200_000} for n in range(2)]
    assert refusal(batch, TopicArn=topic, PublishBatchRequestEntries=large)[0] == "BatchRequestTooLong"
    odd = [{"Id": "a b", "Message": "x"}]
    assert refusal(batch, TopicArn=topic, PublishBatchRequestEntries=odd)[0] == "InvalidBatchEntryId"


def test_permissions_let_another_account_publish(sns: Sns) -> None:
    topic = sns.topic()
    other = sns.running.client("sns", OTHER_ROOT)
    assert refusal(other.publish, TopicArn=topic, Message="x")[0] == "AuthorizationError"
    sns.client.add_permission(TopicArn=topic, Label="l", AWSAccountId=[OTHER], ActionName=["Publish"])
    assert other.publish(TopicArn=topic, Message="x")["MessageId"]
    assert "already exists" in refusal(
        sns.client.add_permission, TopicArn=topic, Label="l", AWSAccountId=[OTHER], ActionName=["Publish"]
    )[1]  # fmt: skip
    assert "out of service scope" in refusal(
        sns.client.add_permission, TopicArn=topic, Label="m", AWSAccountId=[OTHER], ActionName=["Fly"]
    )[1]  # fmt: skip
    sns.client.remove_permission(TopicArn=topic, Label="l")
    assert refusal(other.publish, TopicArn=topic, Message="x")[0] == "AuthorizationError"


def test_iam_decides_by_topic(sns: Sns) -> None:
    topic = sns.topic()
    user = as_user(sns, "u", {"Effect": "Allow", "Action": "sns:Publish", "Resource": topic})
    assert user.publish(TopicArn=topic, Message="x")["MessageId"]
    assert user.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[{"Id": "a", "Message": "x"}])["Successful"]
    assert refusal(user.delete_topic, TopicArn=topic)[0] == "AuthorizationError"
    assert refusal(user.publish, TopicArn=sns.topic("other"), Message="x")[0] == "AuthorizationError"


def test_tags(sns: Sns) -> None:
    topic = sns.topic()
    sns.client.tag_resource(ResourceArn=topic, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    sns.client.untag_resource(ResourceArn=topic, TagKeys=["a"])
    assert sns.client.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "b", "Value": "2"}]
    assert refusal(sns.client.list_tags_for_resource, ResourceArn=topic + "x")[0] == "ResourceNotFound"
    reserved = [{"Key": "aws:x", "Value": "1"}]
    assert refusal(sns.client.tag_resource, ResourceArn=topic, Tags=reserved)[0] == "InvalidParameter"


def test_pages(sns: Sns) -> None:
    topic = sns.topic()
    for n in range(101):
        sns.subscribe(topic, "sqs", queue_arn(f"q{n}"))
    pages = list(sns.client.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic))
    assert [len(p["Subscriptions"]) for p in pages] == [100, 1]
    assert refusal(sns.client.list_topics, NextToken="x")[0] == "InvalidParameter"


def test_what_there_is_none_of(sns: Sns) -> None:
    assert sns.client.list_platform_applications()["PlatformApplications"] == []
    assert sns.client.get_sms_attributes()["attributes"] == {}
    make = {"Name": "a", "Platform": "GCM", "Attributes": {}}
    code, words = refusal(sns.client.create_platform_application, **make)
    assert code == "NotImplementedException" and "CreatePlatformApplication" in words
