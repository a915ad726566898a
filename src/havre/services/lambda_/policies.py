"""The policies on functions and layers, as IAM sees them."""

from __future__ import annotations

from functools import lru_cache

from havre.kernel.arn import Arn
from havre.services.lambda_.resources import FUNCTION, LAYER, Policy
from havre.services.lambda_.rules.statements import document
from havre.store.ports import Reader


def resource_policy(store: Reader, arn: str) -> str | None:
    """Of a function, or of one of its versions or aliases, which have policies of their own; of a layer's version. None
    when there is none."""
    found = policy_of(store, arn)
    return document(found.statements) if found is not None and found.statements else None


def policy_of(store: Reader, arn: str) -> Policy | None:
    kind, account, region, name = _named(arn)
    if kind == "function":
        name, _, qualifier = name.partition(":")
        function = store.get(FUNCTION, account, region, name)
        return None if function is None else function.spec.policies.get(qualifier)
    if kind == "layer":
        layer = store.get(LAYER, account, region, name)
        return None if layer is None else layer.spec.policy
    return None


@lru_cache(4096)
def _named(arn: str) -> tuple[str, str, str, str]:
    """Kind, account, region and name; all "" for what is no ARN."""
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        return "", "", "", ""
    return parsed.kind, parsed.account, parsed.region, parsed.name
