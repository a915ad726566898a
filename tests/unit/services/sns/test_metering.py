"""AWS/SNS: what topics take, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.unit.services.metrics_fakes import CountedMetrics
from tests.unit.services.sns.sns_harness import Sns, function_arn, queue_arn

from havre.kernel.errors import ApiError


class Counted(Sns):
    def __init__(self) -> None:
        self.metrics = CountedMetrics()
        super().__init__(metrics=self.metrics)

    def of(self, metric: str) -> dict[float, float]:
        return self.metrics.of(metric, "AWS/SNS", TopicName="news")


@pytest.fixture
def topics() -> Iterator[Counted]:
    found = Counted()
    yield found
    found.close()


def test_what_is_published_and_delivered(topics: Counted) -> None:
    arn = topics.topic()
    topics.subscribe(arn, "sqs", queue_arn("q"))
    topics.subscribe(arn, "lambda", function_arn("f"), FilterPolicy={"kind": ["a"]})
    topics.client.publish(TopicArn=arn, Message="hello")
    kind = {"kind": {"DataType": "String", "StringValue": "a"}}
    entries = [{"Id": "1", "Message": "x", "MessageAttributes": kind}, {"Id": "2", "Message": "y"}]
    topics.client.publish_batch(TopicArn=arn, PublishBatchRequestEntries=entries)
    topics.quiet()
    assert topics.of("NumberOfMessagesPublished") == {1.0: 1.0, 2.0: 1.0}
    assert topics.of("PublishSize")[5.0] == 1.0 and topics.metrics.units["PublishSize"] == "Bytes"
    assert topics.of("NumberOfNotificationsFilteredOut") == {1.0: 2.0}
    assert topics.of("NumberOfNotificationsDelivered") == {1.0: 4.0}
    assert topics.of("NumberOfNotificationsFailed") == {}


def test_what_is_not_delivered(topics: Counted) -> None:
    arn = topics.topic()
    redrive = json.dumps({"deadLetterTargetArn": queue_arn("dead")})
    topics.subscribe(arn, "sqs", queue_arn("q"), RedrivePolicy=redrive)
    topics.subscribe(arn, "sqs", queue_arn("other"))
    topics.sqs.failures = {"q": [ApiError("AccessDenied", "no")], "other": [ApiError("AccessDenied", "no")]}
    topics.client.publish(TopicArn=arn, Message="hello")
    topics.quiet()
    assert topics.of("NumberOfNotificationsFailed") == {1.0: 2.0}
    assert topics.of("NumberOfNotificationsRedrivenToDlq") == {1.0: 1.0}
    assert topics.of("NumberOfNotificationsDelivered") == {}
    topics.sqs.failures = {"q": [ApiError("AccessDenied", "no")], "dead": [ApiError("AccessDenied", "no")]}
    topics.client.publish(TopicArn=arn, Message="hello")
    topics.quiet()
    assert topics.of("NumberOfNotificationsFailedToRedriveToDlq") == {1.0: 1.0}
