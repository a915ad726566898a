"""The policies on repositories and on a registry, as IAM sees them."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from havre.control.images import REGISTRY, REPOSITORY
from havre.kernel.arn import Arn
from havre.store.ports import Reader


def resource_policy(store: Reader, arn: str) -> str | None:
    """The policy on a repository: its own statements and those of its registry's policy. None when there are none."""
    parsed = Arn.parse(arn)
    if parsed.kind != "repository":
        return None
    repository = store.get(REPOSITORY, parsed.account, parsed.region, parsed.name)
    registry = store.get(REGISTRY, parsed.account, parsed.region, "registry")
    return joined(repository.spec.policy if repository else "", registry.spec.policy if registry else "") or None


@lru_cache(1024)
def joined(own: str, registry: str) -> str:
    """One document with the statements of both. Sids are dropped: they need to be unique in one document only."""
    if not own or not registry:
        return own or registry
    statements: list[dict[str, Any]] = []
    for text in (own, registry):
        raw = json.loads(text)["Statement"]
        statements += [{k: v for k, v in s.items() if k != "Sid"} for s in (raw if isinstance(raw, list) else [raw])]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
