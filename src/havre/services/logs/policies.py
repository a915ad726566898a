"""Resource policies as IAM reads them: those of the account, and the one that hangs on a log group."""

from __future__ import annotations

from typing import Any

import msgspec

from havre.services.logs.resources import POLICY
from havre.store.ports import Store


def resource_policy(store: Store, arn: str) -> str | None:
    """All that applies to ``arn`` as one document; None when nothing does."""
    parts = arn.split(":", 5)
    if len(parts) != 6:
        return None
    found = [
        r.spec.document
        for r in store.list(POLICY, parts[4], parts[3])
        if not r.spec.resource or f"{arn}:".startswith(f"{r.spec.resource}:")
    ]
    return together(found) if found else None


def together(documents: list[str]) -> str:
    """Their statements in one document. Sids are unique within each, not over all of them."""
    statements: list[Any] = []
    for text in documents:
        own = msgspec.json.decode(text)["Statement"]
        for each in own if isinstance(own, list) else [own]:
            statements.append({**each, "Sid": str(len(statements))})
    return msgspec.json.encode({"Version": "2012-10-17", "Statement": statements}).decode()
