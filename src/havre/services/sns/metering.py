"""AWS/SNS: what topics take, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence

from havre.control.metrics import Metrics
from havre.services.sns.messages import Message
from havre.services.sns.resources import Letter

NAMESPACE = "AWS/SNS"
PUBLISHED, SIZE = "NumberOfMessagesPublished", "PublishSize"
DELIVERED, FAILED = "NumberOfNotificationsDelivered", "NumberOfNotificationsFailed"
REDRIVEN, NOT_REDRIVEN = "NumberOfNotificationsRedrivenToDlq", "NumberOfNotificationsFailedToRedriveToDlq"
FILTERED_OUT = "NumberOfNotificationsFilteredOut"


def published(metrics: Metrics, topic: str, messages: Sequence[Message], filtered: int) -> None:
    """``filtered``: so often a subscription did not want one of them."""
    _count(metrics, topic, PUBLISHED, len(messages))
    for message in messages:
        _count(metrics, topic, SIZE, message.size, "Bytes")
    if filtered:
        _count(metrics, topic, FILTERED_OUT, filtered)


def told(metrics: Metrics, letter: Letter, metric: str) -> None:
    """What became of a notification. Confirmations are none."""
    if letter.kind == "Notification":
        _count(metrics, letter.topic, metric, 1)


def _count(metrics: Metrics, topic: str, metric: str, value: int, unit: str = "Count") -> None:
    _, _, _, region, account, name = topic.split(":", 5)
    metrics.add(account, region, NAMESPACE, metric, (("TopicName", name),), float(value), unit)
