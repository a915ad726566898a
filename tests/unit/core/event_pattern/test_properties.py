"""Properties: against plain definitions of each comparison, on any event."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.event_pattern import PatternError, compile

NAMES = st.sampled_from(["a", "b", "c", "$or", "prefix", "exists"])
TEXTS = st.text(alphabet="ab*\\/é", max_size=6)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(-5, 5, allow_nan=False), TEXTS)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
)
FIELDS = st.sampled_from(["a", "b", "c"])
EVENTS = st.dictionaries(
    FIELDS,
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=3), max_leaves=10
    ),
    max_size=3,
)


@given(JSON)
def test_anything_is_a_pattern_or_a_pattern_error(found: Any) -> None:
    try:
        compile(found)
    except PatternError:
        pass


@given(st.text(max_size=40))
def test_any_text_is_a_pattern_or_a_pattern_error(text: str) -> None:
    try:
        compile(text)
    except PatternError:
        pass


EXPRESSIONS = st.one_of(
    st.builds(lambda t: {"prefix": t}, TEXTS),
    st.builds(lambda t: {"suffix": t}, TEXTS),
    st.builds(lambda t: {"equals-ignore-case": t}, TEXTS),
    st.builds(lambda t: {"anything-but": t}, st.lists(TEXTS, min_size=1, max_size=3)),
    st.builds(lambda b: {"exists": b}, st.booleans()),
    st.builds(lambda n: {"numeric": [">", n]}, st.integers(-5, 5)),
    SCALARS,
)
PATTERNS = st.recursive(
    st.lists(EXPRESSIONS, min_size=1, max_size=3),
    lambda inner: st.dictionaries(FIELDS, inner, min_size=1, max_size=3),
    max_leaves=6,
).map(lambda p: p if isinstance(p, dict) else {"a": p})


def scalars(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [s for each in value for s in scalars(each)]
    return [] if isinstance(value, dict) else [value]


def objects(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [o for each in value for o in objects(each)]
    return [value] if isinstance(value, dict) else []


def number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def true_of(wanted: Any, value: Any) -> bool:
    if not isinstance(wanted, dict):
        return (number(wanted) and number(value) and wanted == value) or (
            type(wanted) is type(value) and wanted == value
        )
    ((name, operand),) = wanted.items()
    if name == "anything-but":
        return value not in operand
    if name == "numeric":
        return number(value) and value > operand[1]
    if name == "exists":
        return bool(operand)
    if not isinstance(value, str):
        return False
    return {
        "prefix": value.startswith(operand),
        "suffix": value.endswith(operand),
        "equals-ignore-case": value.lower() == operand.lower(),
    }[name]


def there(event: Any, path: tuple[str, ...]) -> bool:
    if not path:
        return bool(scalars(event))
    return any(there(o.get(path[0], []), path[1:]) for o in objects(event))


def oracle(pattern: dict[str, Any], here: dict[str, Any], event: Any, path: tuple[str, ...] = ()) -> bool:
    for name, wanted in pattern.items():
        value, at = here.get(name, []), (*path, name)
        if isinstance(wanted, dict):
            if not any(oracle(wanted, o, event, at) for o in objects(value) or [{}]):
                return False
        elif not any(true_of(w, v) for w in wanted for v in scalars(value)) and not (
            {"exists": False} in wanted and not there(event, at)
        ):
            return False
    return True


@given(PATTERNS, EVENTS)
def test_matches_as_the_definition_says(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    expected = oracle(pattern, event, event)
    assert compile(pattern).matches(event) is expected
    assert compile(json.dumps(pattern)).matches(json.loads(json.dumps(event))) is expected


@given(st.lists(PATTERNS, min_size=2, max_size=3), EVENTS)
def test_or_is_true_where_one_of_them_is(patterns: list[dict[str, Any]], event: dict[str, Any]) -> None:
    assert compile({"$or": patterns}).matches(event) is any(compile(p).matches(event) for p in patterns)


@given(st.text(alphabet="ab*", max_size=6).filter(lambda t: "**" not in t), st.text(alphabet="ab", max_size=8))
def test_wildcards_are_what_a_regular_expression_says(pattern: str, text: str) -> None:
    expected = re.fullmatch(pattern.replace("*", ".*"), text) is not None
    assert compile({"a": [{"wildcard": pattern}]}).matches({"a": text}) is expected
    assert compile({"a": [{"anything-but": {"wildcard": pattern}}]}).matches({"a": text}) is not expected


@given(TEXTS)
def test_an_escaped_wildcard_is_the_text_itself(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace("*", "\\*")
    pattern = compile({"a": [{"wildcard": escaped}]})
    assert pattern.matches({"a": text})
    assert not pattern.matches({"a": text + "x"})


@pytest.mark.parametrize("size", [2_000])
def test_large_events_take_no_more_than_their_size(size: int) -> None:
    """Counts looks at elements rather than seconds: nested arrays with absences are gone through once."""
    looked = 0

    class Counting(dict[str, Any]):
        def __contains__(self, key: object) -> bool:
            nonlocal looked
            looked += 1
            return super().__contains__(key)

    event = {"a": [Counting(b=[{"d": 1}]) for _ in range(size)]}
    assert not compile({"a": {"b": {"c": [{"exists": False}], "x": ["y"]}}}).matches(event)
    assert looked <= 4 * size
