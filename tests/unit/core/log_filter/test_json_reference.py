"""JSON conditions against a reference that walks the same tree of conditions over the same document, the plain way."""

from __future__ import annotations

import fnmatch
import json
import operator
import re
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from havre.core.log_filter import compile_filter

Condition = tuple[str, Callable[[Any], bool]]
"""As the pattern says it, and as Python decides it."""
NAMES = st.sampled_from(["a", "b", "c"])
ABSENT = object()
SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def look(document: Any, path: list[str | int]) -> Any:
    for step in path:
        if not isinstance(document, dict if isinstance(step, str) else list):
            return ABSENT
        try:
            document = document[step]
        except LookupError:
            return ABSENT
    return document


def shown(path: list[str | int]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def compares_numbers(sign: str, bound: int) -> Callable[[Any], bool]:
    def decide(value: Any) -> bool:
        if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
            value = int(value)
        if number(value):
            return SIGNS[sign](value, bound)
        return sign == "!=" and isinstance(value, str | bool)

    return decide


def compares_text(sign: str, pattern: str) -> Callable[[Any], bool]:
    def decide(value: Any) -> bool:
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif number(value):
            value = str(value)
        if not isinstance(value, str):
            return False
        return bool(re.fullmatch(fnmatch.translate(pattern), value)) == (sign == "=")

    return decide


@st.composite
def leaves(draw: st.DrawFn) -> Condition:
    first = draw(NAMES)
    path: list[str | int] = [first, *draw(st.lists(NAMES | st.integers(0, 2), max_size=2))]
    kind = draw(st.sampled_from(["number", "text", "is", "exists", "missing"]))
    decide: Callable[[Any], bool]
    if kind == "number":
        sign, bound = draw(st.sampled_from(["=", "!=", "<", "<=", ">", ">="])), draw(st.integers(-3, 3))
        text, decide = f"{sign} {bound}", compares_numbers(sign, bound)
    elif kind == "text":
        sign, wanted = draw(st.sampled_from(["=", "!="])), draw(st.text("xy*", min_size=1, max_size=4))
        text, decide = f'{sign} "{wanted}"', compares_text(sign, wanted)
    elif kind == "is":
        word, value = draw(st.sampled_from([("TRUE", True), ("FALSE", False), ("NULL", None)]))
        text, decide = f"IS {word}", lambda found: found is value
    elif kind == "exists":
        text, decide = "EXISTS", lambda found: True
    else:
        return f"{shown(path)} NOT EXISTS", lambda document: look(document, path) is ABSENT

    def holds(document: Any) -> bool:
        found = look(document, path)
        return found is not ABSENT and decide(found)

    return f"{shown(path)} {text}", holds


def both(left: Condition, right: Condition) -> Condition:
    return f"({left[0]}) && ({right[0]})", lambda document: left[1](document) and right[1](document)


def either(left: Condition, right: Condition) -> Condition:
    return f"({left[0]}) || ({right[0]})", lambda document: left[1](document) or right[1](document)


CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    leaves(), lambda inner: st.builds(both, inner, inner) | st.builds(either, inner, inner), max_leaves=5
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-4, 4) | st.text("xy", max_size=3) | st.sampled_from(["1", "-2"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=500, deadline=None)
@given(condition=CONDITIONS, document=st.dictionaries(NAMES, VALUES, max_size=3))
def test_conditions_decide_as_the_reference_does(condition: Condition, document: dict[str, Any]) -> None:
    pattern, expected = condition
    assert compile_filter(f"{{ {pattern} }}").matches(json.dumps(document)) == expected(document)
