"""Typed reads of the store."""

from __future__ import annotations

from collections.abc import Sequence

from havre.kernel.resource import scoped
from havre.services.sns.errors import no_subscription, no_topic
from havre.services.sns.names import Place
from havre.services.sns.resources import SUBSCRIPTION, TOPIC, SubscriptionRecord, TopicRecord
from havre.store.ports import Reader


def topic(reader: Reader, place: Place) -> TopicRecord:
    """Raises ApiError NotFound."""
    found = reader.get(TOPIC, *place)
    if found is None:
        raise no_topic()
    return found


def subscription(reader: Reader, place: Place) -> SubscriptionRecord:
    """Raises ApiError NotFound."""
    found = reader.get(SUBSCRIPTION, *place)
    if found is None:
        raise no_subscription()
    return found


def subscriptions(reader: Reader, place: Place) -> Sequence[SubscriptionRecord]:
    return reader.find(SUBSCRIPTION, "topic", scoped(*place))
