"""Queue policies, as IAM reads them and as AddPermission writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from havre.services.sqs.queries import by_arn
from havre.store.ports import Store


def resource_policy(store: Store, arn: str) -> str | None:
    """The policy on a queue, None when it has none."""
    queue = by_arn(store, arn)
    return queue.spec.policy or None if queue is not None else None


def statements(policy: str) -> list[dict[str, Any]]:
    if not policy:
        return []
    found = msgspec.json.decode(policy).get("Statement", [])
    return found if isinstance(found, list) else [found]


def permission(label: str, accounts: Sequence[str], actions: Sequence[str], arn: str) -> dict[str, Any]:
    """The statement that AddPermission makes."""
    principals = [f"arn:aws:iam::{account}:root" for account in accounts]
    names = [f"SQS:{action}" for action in actions]
    return {
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": principals if len(principals) > 1 else principals[0]},
        "Action": names if len(names) > 1 else names[0],
        "Resource": arn,
    }


def document(policy: str, arn: str, found: Sequence[dict[str, Any]]) -> str:
    """The policy with these statements; "" without any."""
    if not found:
        return ""
    base = msgspec.json.decode(policy) if policy else {"Version": "2008-10-17", "Id": f"{arn}/SQSDefaultPolicy"}
    return msgspec.json.encode({**base, "Statement": found}).decode()
