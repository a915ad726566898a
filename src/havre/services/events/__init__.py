"""EventBridge: buses, rules with patterns and schedules, targets, archives and replays.

The promise: an event that PutEvents took reaches each target of each rule that matched it, at least once, although the
process is killed; a time of a schedule is neither missed nor taken twice over a restart. What a target refuses is tried
again as its RetryPolicy says, and then goes to its dead-letter queue.

Left out, and refused by name: targets other than functions, queues, topics, log groups, ECS tasks, streams of Kinesis
and buses; API destinations and connections, partner sources, global endpoints, KMS keys, logs of buses.
"""

from __future__ import annotations

from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Service, merge
from havre.control.reconciler import Reconciler
from havre.services.events.resources import BUS
from havre.store.ports import Store

__all__ = ["reconcilers", "resource_policy", "service"]

PARTIAL = {
    "metrics": "of rules that a schedule sets off Invocations and what follows, not TriggeredRules",
    "PutEvents": "an event that is passed on to another bus gets a new id, and the account of that bus",
    "PutTargets.RoleArn": "events of AWS services pass to another bus if the role can be assumed, whatever it may do",
    "PutRule.State": "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS is kept; CloudTrail sends no events",
    "PutRule.RoleArn": "is kept and shown; targets are called by their own roles",
}


def service() -> Service:
    from havre.services.events.operations import absent, archives, buses, put_events, replays, rules, targets
    from havre.services.events.resources import KINDS

    modules = (buses, rules, targets, put_events, archives, replays, absent)
    return Service("events", merge(*(m.ops for m in modules)), KINDS, partial=PARTIAL, tags=buses.tags_of)


def resource_policy(store: Store, arn: str) -> str | None:
    """The policy of a bus, for IAM."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or not parts[5].startswith("event-bus/"):
        return None
    found = store.get(BUS, parts[4], parts[3], parts[5].removeprefix("event-bus/"))
    return found.spec.policy or None if found is not None else None


def reconcilers(deps: ReconcilerDeps) -> list[Reconciler[Any]]:
    from havre.control.deliveries import Deliveries
    from havre.services.events.courier import Courier
    from havre.services.events.reconcile.replays import Replays
    from havre.services.events.reconcile.retention import Retention
    from havre.services.events.reconcile.schedules import Schedules
    from havre.services.events.resources import DELIVERY

    return [Deliveries(DELIVERY, Courier(deps), deps), Schedules(deps), Replays(deps), Retention(deps)]
