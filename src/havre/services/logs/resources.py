"""Log groups, log streams and resource policies as they are stored; events lie in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from havre.control.deliveries import delivery_kind
from havre.kernel.resource import Kind, NoStatus, Resource, scoped


class LogGroup(msgspec.Struct, frozen=True):
    """``uid`` tells this group from an earlier one of the same name. ``retention`` in days, 0 for ever."""

    uid: str
    retention: int = 0
    group_class: str = "STANDARD"
    protected: bool = False
    tags: Mapping[str, str] = {}


class LogStream(msgspec.Struct, frozen=True):
    """``journal`` is the name of the journal's stream that has its events."""

    group: str
    stream: str
    journal: str


class ResourcePolicy(msgspec.Struct, frozen=True):
    """``resource`` is the ARN of the log group that it hangs on, "" for the account. ``revision`` counts its versions."""

    document: str
    resource: str = ""
    revision: str = ""


class Subscription(msgspec.Struct, frozen=True):
    """A subscription filter of a log group. ``destination`` is an ARN, ``role`` by which it is reached ("" none)."""

    group: str
    name: str
    pattern: str
    destination: str
    role: str = ""
    distribution: str = "ByLogStream"


class MetricFilter(msgspec.Struct, frozen=True):
    """A metric filter of a log group, with its one transformation. ``value`` is a number or a selector, ``dimensions`` are
    names and selectors."""

    group: str
    name: str
    pattern: str
    metric: str
    namespace: str
    value: str
    default: float | None = None
    dimensions: tuple[tuple[str, str], ...] = ()
    unit: str = "None"


Group: TypeAlias = Resource[LogGroup, NoStatus]
Stream: TypeAlias = Resource[LogStream, NoStatus]
Policy: TypeAlias = Resource[ResourcePolicy, NoStatus]
MetricFilterR: TypeAlias = Resource[MetricFilter, NoStatus]

GROUP: Kind[LogGroup, NoStatus] = Kind("logs.group", LogGroup, NoStatus)
STREAM: Kind[LogStream, NoStatus] = Kind(
    "logs.stream",
    LogStream,
    NoStatus,
    {"group": lambda r: scoped(r.meta.account, r.meta.region, r.spec.group)},
)
POLICY: Kind[ResourcePolicy, NoStatus] = Kind("logs.policy", ResourcePolicy, NoStatus)
SUBSCRIPTION: Kind[Subscription, NoStatus] = Kind(
    "logs.subscription",
    Subscription,
    NoStatus,
    {"group": lambda r: scoped(r.meta.account, r.meta.region, r.spec.group)},
)
METRIC_FILTER: Kind[MetricFilter, NoStatus] = Kind(
    "logs.metricfilter",
    MetricFilter,
    NoStatus,
    {"group": lambda r: scoped(r.meta.account, r.meta.region, r.spec.group)},
)
DELIVERY = delivery_kind("logs.delivery")
KINDS = (GROUP, STREAM, POLICY, SUBSCRIPTION, METRIC_FILTER, DELIVERY)

JOURNALS = "logs/"
"""What the names of all journal streams of this service begin with."""


def stream_name(group: str, stream: str) -> str:
    """The name of a stream's record: neither part can hold a colon."""
    return f"{group}:{stream}"


def journals(account: str, region: str, uid: str) -> str:
    """What the names of the journal streams of one group begin with."""
    return f"{JOURNALS}{account}/{region}/{uid}/"
