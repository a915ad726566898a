"""The policies on functions and layers, as IAM sees them."""

from __future__ import annotations

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
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        return None
    name, _, qualifier = parsed.name.partition(":")
    if parsed.kind == "function":
        function = store.get(FUNCTION, parsed.account, parsed.region, name)
        return None if function is None else function.spec.policies.get(qualifier)
    if parsed.kind == "layer":
        layer = store.get(LAYER, parsed.account, parsed.region, parsed.name)
        return None if layer is None else layer.spec.policy
    return None
