"""CloudWatch Logs: groups, streams, events, retention, filter patterns, live tail.

The promise: an event that was acknowledged is on disk and comes back in the order of its timestamp; what its group's
retention says is over is not shown, and is gone from the disk within the hour. Limits, tokens and errors are AWS's.

Left out, and refused by name: subscriptions of Firehose and of destinations, Insights queries, exports, data protection,
transformers, anomaly detectors, deliveries, KMS keys, log groups of the classes DELIVERY and ESSENTIALS.
"""

from __future__ import annotations

from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Service, merge
from havre.control.reconciler import Reconciler

__all__ = ["reconcilers", "service"]

PARTIAL = {
    "PutLogEvents.entity": "is not kept; the answer says so in rejectedEntityInfo",
    "GetLogEvents.unmask": "nothing is masked, for data protection policies are not implemented",
    "DescribeLogGroups.includeLinkedAccounts": "there are no linked accounts: only the account's own groups are listed",
    "PutResourcePolicy": "AWS services of this installation may write without one, and are not held back by one; of users "
    "and roles it says nothing, as in AWS",
    "StartLiveTail": "clients put stream- in front of the endpoint's name unless AWS_DISABLE_HOST_PREFIX_INJECTION is true",
}


def service() -> Service:
    from havre.services.logs.operations import (
        absent,
        filter_events,
        groups,
        live_tail,
        metric_filters,
        patterns,
        policies,
        put_events,
        read_events,
        retention,
        streams,
        subscription_filters,
        tags,
    )
    from havre.services.logs.resources import KINDS
    from havre.services.logs.tails import Tails

    tails = Tails()
    modules = (
        groups,
        streams,
        read_events,
        filter_events,
        retention,
        tags,
        policies,
        patterns,
        subscription_filters,
        metric_filters,
        absent,
    )
    ops = (*(m.ops for m in modules), put_events.operations(tails), live_tail.operations(tails))
    return Service("logs", merge(*ops), KINDS, partial=PARTIAL)


def reconcilers(deps: ReconcilerDeps) -> list[Reconciler[Any]]:
    from havre.control.deliveries import Deliveries
    from havre.services.logs.reconcile.leftovers import Leftovers
    from havre.services.logs.reconcile.retention import Retention
    from havre.services.logs.resources import DELIVERY
    from havre.services.logs.subscriptions import Courier

    return [Retention(deps), Leftovers(deps), Deliveries(DELIVERY, Courier(deps), deps)]
