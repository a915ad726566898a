"""Topics and subscriptions as they are stored, and what is on its way to a subscriber."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from havre.control.deliveries import delivery_kind
from havre.kernel.resource import Kind, NoStatus, Resource, scoped


class Topic(msgspec.Struct, frozen=True):
    """``attributes`` as they were given, by AWS's names; ``policy`` is "" for AWS's default one."""

    fifo: bool = False
    attributes: Mapping[str, str] = {}
    policy: str = ""
    tags: Mapping[str, str] = {}


class TopicStatus(msgspec.Struct, frozen=True):
    """``sequence``: the last number that a message of a FIFO topic got. ``deleted``: how many subscriptions went."""

    sequence: int = 0
    deleted: int = 0


class Subscription(msgspec.Struct, frozen=True):
    """``owner`` is the account that subscribed. ``token`` confirms a subscription, "" when that was done; ``asked``: when it
    was sent, in seconds since the epoch. ``guarded``: only its owner may end it."""

    topic: str
    protocol: str
    endpoint: str
    owner: str
    attributes: Mapping[str, str] = {}
    token: str = ""
    asked: float = 0.0
    guarded: bool = False
    authenticated: bool = True

    @property
    def pending(self) -> bool:
        return bool(self.token)


TOKEN_LIFE = 3 * 86_400.0
"""Seconds for which a subscription waits to be confirmed."""


class Seen(msgspec.Struct, frozen=True):
    """A message of a FIFO topic that is not taken twice within five minutes. Times in seconds since the epoch."""

    message: str
    sequence: str
    until: float


class Signing(msgspec.Struct, frozen=True):
    """The key that signs what servers get, and its certificate, both as PEM. One for an installation."""

    key: str
    certificate: str


class Letter(msgspec.Struct, frozen=True):
    """One message on its way to one subscription. ``kind``: Notification, SubscriptionConfirmation,
    UnsubscribeConfirmation. ``at`` in seconds since the epoch."""

    subscription: str
    topic: str
    id: str
    at: float
    text: str
    kind: str = "Notification"
    subject: str | None = None
    attributes: Mapping[str, Any] = {}
    group: str = ""
    deduplication: str = ""
    sequence: str = ""
    token: str = ""
    trace: str = ""
    """The trace header that it was published with: it travels on to queues and functions."""


TopicRecord: TypeAlias = Resource[Topic, TopicStatus]
SubscriptionRecord: TypeAlias = Resource[Subscription, NoStatus]

TOPIC: Kind[Topic, TopicStatus] = Kind("sns.topic", Topic, TopicStatus)
SUBSCRIPTION: Kind[Subscription, NoStatus] = Kind(
    "sns.subscription",
    Subscription,
    NoStatus,
    {
        "topic": lambda r: scoped(r.meta.account, r.meta.region, r.spec.topic),
        "owner": lambda r: scoped(r.spec.owner, r.meta.region, ""),
        "pending": lambda r: "pending" if r.spec.token else None,
    },
)
SEEN: Kind[Seen, NoStatus] = Kind(
    "sns.seen",
    Seen,
    NoStatus,
    {"topic": lambda r: scoped(r.meta.account, r.meta.region, r.meta.name.partition(":")[0])},
)
SIGNER: Kind[Signing, NoStatus] = Kind("sns.signer", Signing, NoStatus)
DELIVERY = delivery_kind("sns.delivery")
HTTP = delivery_kind("sns.http")
"""Apart from the others: servers somewhere else may be slow, and must not hold up queues and functions."""
KINDS = (TOPIC, SUBSCRIPTION, SEEN, SIGNER, DELIVERY, HTTP)
