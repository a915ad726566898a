"""Resources → AWS's shapes: the only file that knows SNS's attribute names."""

from __future__ import annotations

import json
from collections.abc import Sequence

from havre.engines.webhook import without_password
from havre.services.sns import attributes, delivery_policy
from havre.services.sns.resources import SubscriptionRecord, TopicRecord

_ACTIONS = (
    "GetTopicAttributes", "SetTopicAttributes", "AddPermission", "RemovePermission", "DeleteTopic", "Subscribe",
    "ListSubscriptionsByTopic", "Publish",
)  # fmt: skip
PENDING = "PendingConfirmation"


def default_policy(arn: str, account: str) -> str:
    """AWS's: the owner alone."""
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{name}" for name in _ACTIONS],
        "Resource": arn,
        "Condition": {"StringEquals": {"AWS:SourceOwner": account}},
    }
    return json.dumps({"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]})


def topic_attributes(found: TopicRecord, subscriptions: Sequence[SubscriptionRecord]) -> dict[str, str]:
    spec, meta = found.spec, found.meta
    pending = sum(1 for each in subscriptions if each.spec.pending)
    shown = {
        "Policy": spec.policy or default_policy(meta.arn, meta.account),
        "Owner": meta.account,
        "TopicArn": meta.arn,
        "DisplayName": spec.attributes.get("DisplayName", ""),
        "SubscriptionsPending": str(pending),
        "SubscriptionsConfirmed": str(len(subscriptions) - pending),
        "SubscriptionsDeleted": str(found.status.deleted),
        "EffectiveDeliveryPolicy": json.dumps(
            delivery_policy.effective_of_topic(spec.attributes.get("DeliveryPolicy", ""))
        ),
    }
    if spec.fifo:
        shown |= {"FifoTopic": "true", "ContentBasedDeduplication": "false", "FifoThroughputScope": "Topic"}
    shown |= {name: value for name, value in spec.attributes.items() if value}
    if policy := spec.attributes.get("DeliveryPolicy"):
        shown["DeliveryPolicy"] = json.dumps(delivery_policy.shown_of_topic(policy))
    return shown


def subscription_attributes(found: SubscriptionRecord, topic: TopicRecord) -> dict[str, str]:
    spec = found.spec
    shown = {
        "SubscriptionArn": found.meta.arn,
        "TopicArn": topic.meta.arn,
        "Owner": spec.owner,
        "Protocol": spec.protocol,
        "Endpoint": without_password(spec.endpoint),
        "PendingConfirmation": "true" if spec.pending else "false",
        "ConfirmationWasAuthenticated": "true" if spec.authenticated and not spec.pending else "false",
        "SubscriptionPrincipal": f"arn:aws:iam::{spec.owner}:root",
    }
    if spec.protocol in ("http", "https"):
        whole, own = topic.spec.attributes.get("DeliveryPolicy", ""), spec.attributes.get("DeliveryPolicy", "")
        shown["EffectiveDeliveryPolicy"] = json.dumps(delivery_policy.effective(whole, own))
    shown |= {name: value for name, value in attributes.whole(spec.attributes).items() if value}
    if not spec.attributes.get("FilterPolicy"):
        del shown["FilterPolicyScope"]
    if policy := spec.attributes.get("DeliveryPolicy"):
        shown["DeliveryPolicy"] = json.dumps(delivery_policy.shown_of_subscription(policy))
    return shown


def subscription(found: SubscriptionRecord) -> dict[str, str]:
    return {
        "SubscriptionArn": PENDING if found.spec.pending else found.meta.arn,
        "Owner": found.spec.owner,
        "Protocol": found.spec.protocol,
        "Endpoint": without_password(found.spec.endpoint),
        "TopicArn": found.meta.arn.rpartition(":")[0],
    }
