"""What SNS says word for word."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.services.sns.sns_harness import Sns, queue_arn, refusal

VALUE, PARAMETER = "ParameterValueInvalid", "InvalidParameter"
QUEUE = queue_arn("q")
TEXT = {"DataType": "String", "StringValue": "x"}
ABOUT = "The message attribute 'size' "
NO_NAME = "failed to parse JSON. Unexpected character ('c' (code 99)): was expecting double-quote to start field name"
FEW = "Filter policy can not have more than 5 keys"


@pytest.mark.parametrize(
    ("name", "attribute", "words"),
    [
        (
            "size",
            {"DataType": "String"},
            f"{ABOUT}must contain non-empty message attribute value for message attribute type 'String'.",
        ),
        ("size", {"DataType": "Number", "BinaryValue": b"1"}, f"{ABOUT}with type 'Number' must use field 'String'."),
        ("size", {"DataType": "Binary", "StringValue": "1"}, f"{ABOUT}with type 'Binary' must use field 'Binary'."),
        ("s" * 257, TEXT, "Length of message attribute name must be less than 256 bytes."),
        (
            "si/ze",
            TEXT,
            "Invalid non-alphanumeric character '#x2F' was found in the message attribute name. "
            "Can only include alphanumeric characters, hyphens, underscores, or dots.",
        ),
        (".size", TEXT, "Invalid message attribute name starting with character '.' was found."),
        ("size.", TEXT, "Invalid message attribute name ending with character '.' was found."),
        ("si..ze", TEXT, "Message attribute name can not have successive '.' character."),
    ],
)
def test_attributes_of_messages(sns: Sns, name: str, attribute: dict[str, Any], words: str) -> None:
    topic, given = sns.topic(), {"Message": "x", "MessageAttributes": {name: attribute}}
    assert refusal(sns.client.publish, TopicArn=topic, **given) == (VALUE, words)
    entries = [{"Id": "a", **given}]
    assert refusal(sns.client.publish_batch, TopicArn=topic, PublishBatchRequestEntries=entries) == (VALUE, words)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("Colour", "red", "AttributeName"),
        ("RawMessageDelivery", "Yes", "RawMessageDelivery: Invalid value [Yes]. Must be true or false."),
        ("RawMessageDelivery", "", "RawMessageDelivery: Invalid value []. Must be true or false."),
        ("RedrivePolicy", "{cut}", f"RedrivePolicy: {NO_NAME}"),
        ("RedrivePolicy", '{"deadLetterTargetArn": "q"}', "RedrivePolicy: deadLetterTargetArn is an invalid arn"),
        ("FilterPolicy", "{cut}", f"FilterPolicy: {NO_NAME}"),
        ("FilterPolicy", '{"a": "b"}', 'FilterPolicy: "a" must be an object or an array'),
        ("FilterPolicy", json.dumps({str(n): ["x"] for n in range(6)}), f"FilterPolicy: {FEW}"),
        (
            "FilterPolicy",
            '{"a": {"b": ["c"]}}',
            "Filter policy scope MessageAttributes does not support nested filter policy",
        ),
        (
            "FilterPolicyScope",
            "Moon",
            "FilterPolicyScope: Invalid value [Moon]. Please use either MessageBody or MessageAttributes",
        ),
    ],
)
def test_attributes_of_subscriptions(sns: Sns, name: str, value: str, words: str) -> None:
    topic = sns.topic()
    subscription = sns.subscribe(topic, "sqs", QUEUE)
    change = {"SubscriptionArn": subscription, "AttributeName": name, "AttributeValue": value}
    assert refusal(sns.client.set_subscription_attributes, **change) == (PARAMETER, f"Invalid parameter: {words}")
    if not value:
        return
    new = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": queue_arn("p"), "Attributes": {name: value}}
    assert refusal(sns.client.subscribe, **new) == (PARAMETER, f"Invalid parameter: Attributes Reason: {words}")


def test_the_scope_is_shown_with_a_policy_alone(sns: Sns) -> None:
    subscription = sns.subscribe(sns.topic(), "sqs", QUEUE, FilterPolicyScope="MessageBody")
    shown = sns.client.get_subscription_attributes
    assert "FilterPolicyScope" not in shown(SubscriptionArn=subscription)["Attributes"]
    change = {"AttributeName": "FilterPolicy", "AttributeValue": '{"a": {"b": ["c"]}}'}
    sns.client.set_subscription_attributes(SubscriptionArn=subscription, **change)
    assert shown(SubscriptionArn=subscription)["Attributes"]["FilterPolicyScope"] == "MessageBody"


def test_tokens_that_confirm_nothing(sns: Sns) -> None:
    topic, confirm = sns.topic(), sns.client.confirm_subscription
    assert refusal(confirm, TopicArn=topic, Token="soon") == (PARAMETER, "Invalid token")
    assert refusal(confirm, TopicArn=topic, Token="0a") == (PARAMETER, "Invalid parameter: Token")
    for about in ("news", topic.replace("us-east-1", "eu-west-1")):
        assert refusal(confirm, TopicArn=about, Token="0a" * 64) == (PARAMETER, "Invalid parameter: Topic")
    for about in (topic, f"{topic}s"):
        assert refusal(confirm, TopicArn=about, Token="0a" * 64) == (PARAMETER, "Invalid parameter: Token")


@pytest.mark.parametrize(
    ("arn", "words"),
    [
        ("", "SubscriptionArn Reason: no value for required parameter"),
        ("PendingConfirmation", "SubscriptionArn Reason: An ARN must have at least 6 elements, not 1"),
        ("arn:aws:sns:us-east-1:news", "SubscriptionArn Reason: An ARN must have at least 6 elements, not 5"),
        ("arn:aws:sns:us-east-1:111122223333:news", "SubscriptionId"),
        ("arn:aws:sns:us-east-1:111122223333:news:mine", "SubscriptionId"),
    ],
)
def test_arns_that_are_no_subscriptions(sns: Sns, arn: str, words: str) -> None:
    assert refusal(sns.client.unsubscribe, SubscriptionArn=arn) == (PARAMETER, f"Invalid parameter: {words}")


@pytest.mark.parametrize(
    ("again", "same"),
    [
        ({"RawMessageDelivery": "TRUE"}, True),
        ({"RawMessageDelivery": "true", "FilterPolicyScope": "MessageAttributes"}, True),
        ({"FilterPolicyScope": "MessageAttributes"}, True),
        ({"FilterPolicyScope": "MessageBody"}, False),
        ({"RawMessageDelivery": "false"}, False),
    ],
)
def test_subscribing_again(sns: Sns, again: dict[str, str], same: bool) -> None:
    topic = sns.topic()
    first = sns.subscribe(topic, "sqs", QUEUE, RawMessageDelivery="True")
    shown = sns.client.get_subscription_attributes(SubscriptionArn=first)["Attributes"]
    assert shown["RawMessageDelivery"] == "true"
    if same:
        assert sns.subscribe(topic, "sqs", QUEUE, **again) == first
        return
    new = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": QUEUE, "Attributes": again}
    words = "Invalid parameter: Attributes Reason: Subscription already exists with different attributes"
    assert refusal(sns.client.subscribe, **new) == (PARAMETER, words)


def test_delivery_policies_are_shown_whole(sns: Sns) -> None:
    retries = {"numRetries": 2}
    given = {"http": {"defaultRequestPolicy": None, "defaultHealthyRetryPolicy": retries}}
    topic = sns.topic(DeliveryPolicy=json.dumps(given))
    shown = sns.client.get_topic_attributes(TopicArn=topic)["Attributes"]["DeliveryPolicy"]
    whole = {"defaultHealthyRetryPolicy": retries, "disableSubscriptionOverrides": False}
    assert json.loads(shown) == {"http": whole}
    policy = json.dumps({"healthyRetryPolicy": retries})
    subscription = sns.subscribe(topic, "http", "http://127.0.0.1:9/", DeliveryPolicy=policy)
    attributes = sns.client.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    assert json.loads(attributes["DeliveryPolicy"]) == {
        "healthyRetryPolicy": retries,
        "sicklyRetryPolicy": None,
        "throttlePolicy": None,
        "requestPolicy": None,
        "guaranteed": False,
    }


@pytest.mark.parametrize(
    ("queue", "dead", "words"),
    [
        ("q.fifo", "d", "must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic."),
        ("q", "d.fifo", "must use a standard queue as DLQ for a standard subscription."),
        ("q.fifo", "d.fifo", ""),
        ("q", "d", ""),
    ],
)
def test_dead_letter_queues_of_a_fifo_topic(sns: Sns, queue: str, dead: str, words: str) -> None:
    topic = sns.topic("t.fifo", FifoTopic="true")
    redrive = json.dumps({"deadLetterTargetArn": queue_arn(dead)})
    subscribe = {
        "TopicArn": topic,
        "Protocol": "sqs",
        "Endpoint": queue_arn(queue),
        "Attributes": {"RedrivePolicy": redrive},
    }
    if words:
        told = f"Invalid parameter: Attributes Reason: RedrivePolicy: {words}"
        assert refusal(sns.client.subscribe, **subscribe) == (PARAMETER, told)
    else:
        assert sns.client.subscribe(**subscribe)["SubscriptionArn"]


def test_an_empty_arn_is_one_that_is_wrong(sns: Sns) -> None:
    told = "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1"
    assert refusal(sns.client.publish, TopicArn="", Message="x") == (PARAMETER, told)
