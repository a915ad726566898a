"""SNS's filter policies: event patterns on the attributes of a message, or on its body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from havre.core.event_pattern.model import PatternError
from havre.core.event_pattern.reading import parsed
from havre.core.event_pattern.tree import OR, Pattern, compile

ATTRIBUTES, BODY = "MessageAttributes", "MessageBody"
MOST_KEYS = 5
MOST_COMBINATIONS = 150


class Nested(PatternError):
    """An object within an object, where attributes are looked at, which have none."""


class FilterPolicy:
    """``scope``: MessageAttributes or MessageBody."""

    __slots__ = ("_pattern", "scope")

    def __init__(self, pattern: Pattern, scope: str) -> None:
        self._pattern = pattern
        self.scope = scope

    def matches(self, attributes: Mapping[str, Mapping[str, Any]], body: str) -> bool:
        """``attributes`` as Publish takes them (DataType, StringValue). A body that is not a JSON object matches nothing."""
        if self.scope == ATTRIBUTES:
            return self._pattern.matches(_values(attributes))
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            return False
        return isinstance(found, dict) and self._pattern.matches(found)


def compile_filter_policy(policy: Mapping[str, Any] | str, scope: str = ATTRIBUTES) -> FilterPolicy | None:
    """None for the empty policy, which lets everything through. Raises PatternError."""
    found = parsed(policy)
    if not found:
        return None
    if scope == ATTRIBUTES and _nested(found):
        raise Nested("Filter policy scope MessageAttributes does not support nested filter policy")
    pattern = compile(found)
    if len(_keys(found)) > MOST_KEYS:
        raise PatternError(f"Filter policy can not have more than {MOST_KEYS} keys")
    if _combinations(found, 1) > MOST_COMBINATIONS:
        raise PatternError("Filter policy is too complex")
    return FilterPolicy(pattern, scope)


def _nested(found: Mapping[str, Any]) -> bool:
    for name, inner in found.items():
        if name == OR and isinstance(inner, list):
            if any(isinstance(each, Mapping) and _nested(each) for each in inner):
                return True
        elif isinstance(inner, Mapping):
            return True
    return False


def _keys(found: Mapping[str, Any]) -> set[str]:
    """The names at the top, those of alternatives too: only they count against the limit."""
    branches = found.get(OR, ())
    return {name for name in found if name != OR} | {name for branch in branches for name in _keys(branch)}


def _combinations(found: Mapping[str, Any], depth: int) -> int:
    """AWS's figure: the product of how many values each key has, times its depth; the sum of that over alternatives."""
    product = 1
    for name, inner in found.items():
        if name == OR:
            product *= sum(_combinations(each, depth) for each in inner)
        elif isinstance(inner, Mapping):
            product *= _combinations(inner, depth + 1)
        else:
            product *= len(inner) * depth
    return product


def _values(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Attributes as an event: numbers as numbers, String.Array as its elements. Binary ones take no part."""
    found: dict[str, Any] = {}
    for name, attribute in attributes.items():
        kind, text = str(attribute.get("DataType", "")), attribute.get("StringValue")
        if text is None or kind.startswith("Binary"):
            continue
        found[name] = _value(kind, text)
    return found


def _value(kind: str, text: str) -> Any:
    if kind == "String.Array" or kind.startswith("Number"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return text
        wanted = list if kind == "String.Array" else int | float
        return found if isinstance(found, wanted) else text
    return text
