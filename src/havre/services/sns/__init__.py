"""SNS: topics and what is published to them, standard and FIFO.

The promise: what Publish acknowledged reaches each subscription that was there and whose filter let it through, at least
once, although the process is killed; messages of one group of a FIFO topic in order. What cannot be delivered is tried
again as AWS does, and then goes to the dead-letter queue.

Left out, and refused by name: subscriptions of the protocols email, email-json, sms, application and firehose; phone
numbers and mobile push; archives and replays, data protection policies, delivery status logs.
"""

from __future__ import annotations

from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Service, merge
from havre.control.reconciler import Reconciler
from havre.services.sns.resources import TOPIC
from havre.store.ports import Store

__all__ = ["reconcilers", "resource_policy", "service"]

PARTIAL = {
    "Publish": "notifications are signed by a key of this installation, whose certificate has its own host's name",
    "SetTopicAttributes.TracingConfig": "is kept and shown; no traces are sent",
}


def service() -> Service:
    from havre.services.sns.operations import absent, permissions, publish, subscriptions, topics
    from havre.services.sns.resources import KINDS

    modules = (topics, permissions, subscriptions, publish, absent)
    unsigned = frozenset({"ConfirmSubscription", "Unsubscribe"})
    return Service(
        "sns", merge(*(m.ops for m in modules)), KINDS, partial=PARTIAL, unsigned=unsigned, tags=topics.tags_of
    )


def resource_policy(store: Store, arn: str) -> str | None:
    """The policy of a topic, for IAM; None for AWS's default one, which lets in nobody but the owner."""
    parts = arn.split(":")
    if len(parts) < 6:
        return None
    found = store.get(TOPIC, parts[4], parts[3], parts[5])
    return found.spec.policy or None if found is not None else None


def reconcilers(deps: ReconcilerDeps) -> list[Reconciler[Any]]:
    from havre.control.deliveries import Deliveries
    from havre.engines.webhook import post
    from havre.services.sns.courier import Courier
    from havre.services.sns.forget import Forget
    from havre.services.sns.resources import DELIVERY, HTTP

    courier = Courier(deps, post)
    return [Deliveries(DELIVERY, courier, deps), Deliveries(HTTP, courier, deps), Forget(deps)]
