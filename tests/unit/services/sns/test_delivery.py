"""From Publish to the subscriber: envelopes, raw messages, filters, retries, dead letters, order."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests.running_targets import queue_arn as arn_of
from tests.unit.services.sns.sns_harness import Server, Sns, function_arn, queue_arn, refusal

from havre.kernel.errors import ApiError
from havre.services.sns.resources import SUBSCRIPTION


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def test_a_queue_gets_the_envelope(sns: Sns) -> None:
    topic = sns.topic()
    subscription = sns.subscribe(topic, "sqs", queue_arn("q"))
    attributes = {"a": {"DataType": "String", "StringValue": "x"}, "b": {"DataType": "Binary", "BinaryValue": b"\x00"}}
    id = sns.client.publish(TopicArn=topic, Message="hello", Subject="greeting", MessageAttributes=attributes)[
        "MessageId"
    ]
    sns.quiet()
    (message,) = sns.sent("q")
    found = json.loads(message["MessageBody"])
    assert found.pop("Timestamp").endswith("Z")
    assert found.pop("UnsubscribeURL").endswith(f"Action=Unsubscribe&SubscriptionArn={subscription}")
    assert found.pop("Signature") and "/_havre/sns/SimpleNotificationService-" in found.pop("SigningCertURL")
    assert found == {
        "Type": "Notification",
        "MessageId": id,
        "TopicArn": topic,
        "Subject": "greeting",
        "Message": "hello",
        "SignatureVersion": "1",
        "MessageAttributes": {"a": {"Type": "String", "Value": "x"}, "b": {"Type": "Binary", "Value": "AA=="}},
    }
    caller = sns.sqs.callers[0]
    assert (caller.service, caller.source) == ("sns.amazonaws.com", topic)


def test_a_queue_that_wants_it_raw_gets_text_and_attributes(sns: Sns) -> None:
    topic = sns.topic()
    sns.subscribe(topic, "sqs", queue_arn("q"), RawMessageDelivery="true")
    sns.client.publish(
        TopicArn=topic, Message="hello", MessageAttributes={"n": {"DataType": "Number", "StringValue": "5"}}
    )
    sns.quiet()
    (message,) = sns.sent("q")
    assert message["MessageBody"] == "hello"
    assert message["MessageAttributes"] == {"n": {"DataType": "Number", "StringValue": "5"}}


def test_a_function_gets_a_record(sns: Sns) -> None:
    topic = sns.topic()
    subscription = sns.subscribe(topic, "lambda", function_arn("f"))
    sns.client.publish(TopicArn=topic, Message="hello")
    sns.quiet()
    ((record,),) = (event["Records"] for event in sns.invoked("f"))
    assert (record["EventSource"], record["EventSubscriptionArn"]) == ("aws:sns", subscription)
    assert record["Sns"]["Message"] == "hello" and record["Sns"]["Subject"] is None
    assert record["Sns"]["Signature"] and record["Sns"]["SigningCertUrl"].endswith(".pem")
    assert record["Sns"]["SignatureVersion"] == "1"
    assert sns.functions.calls[0][1]["InvocationType"] == "Event"


def test_the_trace_of_a_message_travels_on(sns: Sns) -> None:
    topic = sns.topic()
    sns.subscribe(topic, "sqs", queue_arn("q"))
    sns.subscribe(topic, "lambda", function_arn("f"))
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0;Lineage=a87bd80c:3"
    headers = {"X-Amzn-Trace-Id": trace}
    sns.client.meta.events.register_first(
        "before-call.sns.Publish", lambda params, **_: params["headers"].update(headers)
    )
    sns.client.publish(TopicArn=topic, Message="hello")
    sns.quiet()
    assert sns.sqs.traces == [trace] and sns.functions.traces[-1] == trace


def test_each_protocol_gets_its_own_text(sns: Sns) -> None:
    topic = sns.topic()
    sns.subscribe(topic, "sqs", queue_arn("q"), RawMessageDelivery="true")
    sns.subscribe(topic, "lambda", function_arn("f"))
    texts = json.dumps({"default": "for all", "sqs": "for queues", "email": "for nobody"})
    sns.client.publish(TopicArn=topic, Message=texts, MessageStructure="json")
    sns.quiet()
    assert sns.sent("q")[0]["MessageBody"] == "for queues"
    assert sns.invoked("f")[0]["Records"][0]["Sns"]["Message"] == "for all"


def test_filters_let_through_what_they_say(sns: Sns) -> None:
    topic = sns.topic()
    sns.subscribe(topic, "sqs", queue_arn("by-attribute"), FilterPolicy=json.dumps({"kind": [{"prefix": "a"}]}))
    body = {"FilterPolicy": json.dumps({"price": [{"numeric": [">", 5]}]}), "FilterPolicyScope": "MessageBody"}
    sns.subscribe(topic, "sqs", queue_arn("by-body"), **body)
    sns.client.publish(
        TopicArn=topic, Message='{"price": 4}', MessageAttributes={"kind": {"DataType": "String", "StringValue": "ab"}}
    )
    sns.client.publish(TopicArn=topic, Message='{"price": 6}')
    sns.quiet()
    assert [json.loads(m["MessageBody"])["Message"] for m in sns.sent("by-attribute")] == ['{"price": 4}']
    assert [json.loads(m["MessageBody"])["Message"] for m in sns.sent("by-body")] == ['{"price": 6}']


def test_what_passes_is_tried_again_and_what_does_not_goes_to_the_dead_letters(sns: Sns) -> None:
    topic = sns.topic()
    redrive = json.dumps({"deadLetterTargetArn": queue_arn("dead")})
    sns.subscribe(topic, "sqs", queue_arn("busy"), RedrivePolicy=redrive)
    sns.subscribe(topic, "lambda", function_arn("gone"), RedrivePolicy=redrive)
    sns.subscribe(topic, "lambda", function_arn("gone-too"))
    sns.sqs.failures["busy"] = [ApiError("ThrottlingException", "slow down")] * 2
    sns.functions.failures = {n: [ApiError("ResourceNotFoundException", "no", 404)] for n in ("gone", "gone-too")}
    sns.client.publish(TopicArn=topic, Message="hello")
    sns.quiet()
    assert len(sns.sent("busy")) == 1
    assert [json.loads(m["MessageBody"])["Message"] for m in sns.sent("dead")] == ["hello"]


def test_a_queue_that_does_not_let_the_topic_in_gets_nothing(sns: Sns) -> None:
    topic, other = sns.topic(), sns.topic("other")
    sns.policies[queue_arn("q")] = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn("q"),
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        },
    }
    for each in (topic, other):
        sns.subscribe(each, "sqs", queue_arn("q"), RawMessageDelivery="true")
        sns.client.publish(TopicArn=each, Message=each)
    sns.quiet()
    assert [m["MessageBody"] for m in sns.sent("q")] == [topic]


def test_fifo_keeps_the_order_of_each_group_and_drops_what_comes_twice(sns: Sns) -> None:
    topic = sns.topic("orders.fifo", FifoTopic="true", ContentBasedDeduplication="true")
    sns.subscribe(topic, "sqs", queue_arn("q.fifo"), RawMessageDelivery="true")
    sns.sqs.failures["q.fifo"] = [ApiError("ThrottlingException", "slow down")] * 3
    sent = [sns.client.publish(TopicArn=topic, Message=f"{n}", MessageGroupId=f"g{n % 2}") for n in range(8)]
    again = sns.client.publish(TopicArn=topic, Message="3", MessageGroupId="g1")
    sns.quiet()
    for group in ("g0", "g1"):
        got = [m["MessageBody"] for m in sns.sent("q.fifo") if m["MessageGroupId"] == group]
        assert got == sorted(got) and len(got) == 4
    numbers = [s["SequenceNumber"] for s in sent]
    assert numbers == sorted(numbers) and len(numbers[0]) == 20
    assert (again["MessageId"], again["SequenceNumber"]) == (sent[3]["MessageId"], sent[3]["SequenceNumber"])
    sns.client.delete_topic(TopicArn=topic)
    topic = sns.topic("orders.fifo", FifoTopic="true", ContentBasedDeduplication="true")
    assert sns.client.publish(TopicArn=topic, Message="3", MessageGroupId="g1")["MessageId"] != sent[3]["MessageId"]


def test_fifo_forgets_after_five_minutes(sns: Sns) -> None:
    topic = sns.topic("orders.fifo", FifoTopic="true")
    message = {"TopicArn": topic, "Message": "x", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    first = sns.client.publish(**message)["MessageId"]
    assert sns.client.publish(**{**message, "MessageGroupId": "h"})["MessageId"] == first
    sns.running.offset = 299
    assert sns.client.publish(**message)["MessageId"] == first
    sns.running.offset = 301
    assert sns.client.publish(**message)["MessageId"] != first
    sns.client.set_topic_attributes(TopicArn=topic, AttributeName="FifoThroughputScope", AttributeValue="MessageGroup")
    by_group = {sns.client.publish(**{**message, "MessageGroupId": each})["MessageId"] for each in ("a", "b", "a")}
    assert len(by_group) == 2


def test_a_batch_is_taken_whole_or_not_at_all(sns: Sns) -> None:
    topic = sns.topic()
    sns.subscribe(topic, "sqs", queue_arn("q"), RawMessageDelivery="true")
    entries = [{"Id": "a", "Message": "1"}, {"Id": "b", "Message": "2", "Subject": "\n"}, {"Id": "c", "Message": "3"}]
    batch = sns.client.publish_batch
    told = refusal(batch, TopicArn=topic, PublishBatchRequestEntries=entries)
    assert told == ("InvalidParameter", "Invalid parameter: Subject")
    answer = batch(TopicArn=topic, PublishBatchRequestEntries=[entries[0], entries[2]])
    sns.quiet()
    assert ([e["Id"] for e in answer["Successful"]], answer["Failed"]) == (["a", "c"], [])
    assert sorted(m["MessageBody"] for m in sns.sent("q")) == ["1", "3"]


def test_a_fifo_topic_signs_nothing(sns: Sns) -> None:
    topic = sns.topic("t.fifo", FifoTopic="true", ContentBasedDeduplication="true")
    sns.subscribe(topic, "sqs", queue_arn("q.fifo"))
    sns.client.publish(TopicArn=topic, Message="hello", MessageGroupId="g")
    sns.quiet()
    found = json.loads(sns.sent("q.fifo")[0]["MessageBody"])
    assert found["Message"] == "hello" and found["SequenceNumber"]
    assert not found.keys() & {"Signature", "SignatureVersion", "SigningCertURL"}


def test_a_server_confirms_gets_notifications_and_leaves(sns: Sns, server: Server) -> None:
    topic = sns.topic()
    subscription = sns.subscribe(topic, "http", server.url)
    sns.client.publish(TopicArn=topic, Message="too early")
    sns.until(lambda: server.got, "the confirmation")
    headers, body = server.got[0]
    asked = json.loads(body)
    assert headers["x-amz-sns-message-type"] == asked["Type"] == "SubscriptionConfirmation"
    assert headers["content-type"] == "text/plain; charset=UTF-8"
    where = asked["SubscribeURL"].replace("http://127.0.0.1:4566", sns.running.url)
    for wrong in (where[:-1], where.replace("news", "olds")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(wrong)  # nobody's signature, and a wrong token
        assert refused.value.code in (400, 404)
    assert subscription.encode() in urllib.request.urlopen(where).read()

    sns.client.publish(TopicArn=topic, Message="hello")
    sns.until(lambda: len(server.got) == 2, "the notification")
    headers, body = server.got[1]
    assert headers["x-amz-sns-subscription-arn"] == subscription
    notification = json.loads(body)
    assert notification["Message"] == "hello"

    leave = notification["UnsubscribeURL"].replace("http://127.0.0.1:4566", sns.running.url)
    urllib.request.urlopen(leave).read()
    sns.until(lambda: len(server.got) == 3, "the farewell")
    headers, body = server.got[2]
    assert headers["x-amz-sns-subscription-arn"] == subscription
    farewell = json.loads(body)
    assert farewell["Type"] == "UnsubscribeConfirmation"
    sns.client.publish(TopicArn=topic, Message="gone")
    sns.client.confirm_subscription(TopicArn=topic, Token=farewell["Token"])
    sns.client.publish(TopicArn=topic, Message="back")
    sns.until(lambda: len(server.got) == 4, "the next notification")
    assert json.loads(server.got[3][1])["Message"] == "back"


@pytest.mark.parametrize(("version", "how"), [("1", hashes.SHA1()), ("2", hashes.SHA256())])
def test_what_servers_get_is_signed(sns: Sns, server: Server, version: str, how: hashes.HashAlgorithm) -> None:
    topic = sns.topic(SignatureVersion=version)
    sns.subscribe(topic, "http", server.url)
    sns.until(lambda: server.got, "the confirmation")
    sns.client.confirm_subscription(TopicArn=topic, Token=json.loads(server.got[0][1])["Token"])
    sns.client.publish(TopicArn=topic, Message="hello", Subject="s")
    sns.until(lambda: len(server.got) == 2, "the notification")
    for _, body in server.got:
        found = json.loads(body)
        assert found["SignatureVersion"] == version
        url = found["SigningCertURL"].replace("http://127.0.0.1:4566", sns.running.url)
        key = x509.load_pem_x509_certificate(urllib.request.urlopen(url).read()).public_key()
        names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        text = "".join(f"{name}\n{found[name]}\n" for name in names if name in found)
        signature = base64.b64decode(found["Signature"])
        assert isinstance(key, rsa.RSAPublicKey)
        key.verify(signature, text.encode(), padding.PKCS1v15(), how)
        with pytest.raises(InvalidSignature):
            key.verify(signature, text.replace("hello", "hullo").encode() + b"x", padding.PKCS1v15(), how)
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url.replace("Service-", "Service-0"))
    sns.running.wait(sns.running.store.reset())
    topic = sns.topic()
    sns.subscribe(topic, "http", server.url)
    sns.until(lambda: len(server.got) == 3, "the confirmation after a reset")
    found = json.loads(server.got[2][1])["SigningCertURL"]
    assert urllib.request.urlopen(found.replace("http://127.0.0.1:4566", sns.running.url)).status == 200


def test_who_is_guarded_is_not_unsubscribed_by_nobody(sns: Sns, server: Server) -> None:
    topic = sns.topic()
    subscription = sns.subscribe(topic, "http", server.url)
    sns.until(lambda: server.got, "the confirmation")
    token = json.loads(server.got[0][1])["Token"]
    sns.client.confirm_subscription(TopicArn=topic, Token=token, AuthenticateOnUnsubscribe="true")
    queue = sns.subscribe(topic, "sqs", queue_arn("q"))
    for each in (subscription, queue):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{sns.running.url}/?Action=Unsubscribe&SubscriptionArn={each}")
        assert refused.value.code == 403
    for each in (subscription, queue):
        sns.client.unsubscribe(SubscriptionArn=each)
    attributes = sns.client.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert (attributes["SubscriptionsConfirmed"], attributes["SubscriptionsDeleted"]) == ("0", "2")


def test_servers_are_retried_by_their_delivery_policy(sns: Sns, server: Server) -> None:
    topic = sns.topic()
    policy = {
        "healthyRetryPolicy": {"numRetries": 3, "numNoDelayRetries": 3},
        "requestPolicy": {"headerContentType": "application/json"},
    }
    subscription = sns.subscribe(
        topic, "http", server.url, DeliveryPolicy=json.dumps(policy), RawMessageDelivery="true",
        RedrivePolicy=json.dumps({"deadLetterTargetArn": queue_arn("dead")}),
    )  # fmt: skip
    sns.until(lambda: server.got, "the confirmation")
    sns.client.confirm_subscription(TopicArn=topic, Token=json.loads(server.got[0][1])["Token"])
    server.statuses = [500, 429, 503]
    sns.client.publish(TopicArn=topic, Message="1")
    sns.until(lambda: len(server.got) == 5, "four attempts")
    asked, _ = server.got[0]
    assert (asked["content-type"], asked["accept-encoding"]) == ("text/plain; charset=UTF-8", "gzip,deflate")
    headers, body = server.got[4]
    assert (body, headers["content-type"], headers["x-amz-sns-rawdelivery"]) == ("1", "application/json", "true")
    sns.quiet()
    server.statuses = [404]
    sns.client.publish(TopicArn=topic, Message="2")
    sns.until(lambda: sns.sent("dead"), "the dead letter")
    assert len(server.got) == 6 and sns.sent("dead")[0]["MessageBody"] == "2"
    effective = sns.client.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    assert json.loads(effective["EffectiveDeliveryPolicy"])["healthyRetryPolicy"]["numRetries"] == 3


def test_another_accounts_queue_is_asked_first(sns: Sns) -> None:
    topic = sns.topic()
    assert sns.subscribe(topic, "sqs", arn_of("q", "444455556666"))
    sns.quiet()
    (asked,) = sns.sent("q")
    assert json.loads(asked["MessageBody"])["Type"] == "SubscriptionConfirmation"
    attributes = sns.client.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert attributes["SubscriptionsPending"] == "1"


def test_what_nobody_confirms_is_forgotten(sns: Sns, server: Server) -> None:
    topic = sns.topic()
    sns.subscribe(topic, "http", server.url)
    sns.until(lambda: server.got, "the confirmation")
    token = json.loads(server.got[0][1])["Token"]
    sns.running.offset = 4 * 86_400
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{sns.running.url}/?Action=ConfirmSubscription&TopicArn={topic}&Token={token}")
    sns.running.loop.call_soon_threadsafe(sns.runner.wake, "sns.forget", "all")
    sns.until(lambda: not sns.running.store.list(SUBSCRIPTION), "the end of the subscription")


def test_deliveries_go_on_after_a_restart(sns: Sns) -> None:
    """What was acknowledged and not carried is carried by the next process on the same store."""
    topic = sns.topic()
    sns.subscribe(topic, "sqs", queue_arn("q"), RawMessageDelivery="true")
    sns.stop()
    for n in range(20):
        sns.client.publish(TopicArn=topic, Message=f"{n}")
    assert sns.sqs.calls == []
    sns.start()
    sns.quiet()
    assert sorted(int(m["MessageBody"]) for m in sns.sent("q")) == list(range(20))
