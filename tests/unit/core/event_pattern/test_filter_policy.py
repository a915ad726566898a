"""SNS's dialect: attributes, bodies, and its own limits."""

from __future__ import annotations

from typing import Any

import pytest

from havre.core.event_pattern import PatternError, compile_filter_policy
from havre.core.event_pattern.filter_policy import ATTRIBUTES, BODY


def text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def number(value: str) -> dict[str, str]:
    return {"DataType": "Number", "StringValue": value}


def array(value: str) -> dict[str, str]:
    return {"DataType": "String.Array", "StringValue": value}


def passes(policy: dict[str, Any], attributes: dict[str, Any], body: str = "", scope: str = ATTRIBUTES) -> bool:
    compiled = compile_filter_policy(policy, scope)
    assert compiled is not None
    return compiled.matches(attributes, body)


STORE = {
    "store": ["example_corp"],
    "event": [{"anything-but": "order_cancelled"}],
    "customer_interests": ["rugby", "football", "baseball"],
    "price_usd": [{"numeric": [">=", 100]}],
}


def test_the_example_of_the_guide() -> None:
    attributes = {
        "store": text("example_corp"),
        "event": text("order_placed"),
        "customer_interests": array('["soccer", "rugby", "hockey"]'),
        "price_usd": number("210.75"),
    }
    assert passes(STORE, attributes)
    assert not passes(STORE, {**attributes, "price_usd": number("99")})
    assert not passes(STORE, {**attributes, "event": text("order_cancelled")})
    assert not passes(STORE, {k: v for k, v in attributes.items() if k != "store"})


@pytest.mark.parametrize(
    ("policy", "attribute", "expected"),
    [
        ({"a": ["5"]}, number("5"), False),
        ({"a": [5]}, number("5"), True),
        ({"a": [5]}, text("5"), False),
        ({"a": [True]}, array("[true]"), True),
        ({"a": [None]}, array("[null]"), True),
        ({"a": ["x"]}, array("not json"), False),
        ({"a": [{"exists": True}]}, text(""), True),
        ({"a": [{"exists": True}]}, {"DataType": "Binary", "BinaryValue": b"x"}, False),
        ({"a": [{"exists": False}]}, text("x"), False),
        ({"a": [{"cidr": "10.0.0.0/8"}]}, text("10.1.2.3"), True),
        ({"a": [{"numeric": ["<", 5]}]}, number("not a number"), False),
        ({"$or": [{"a": ["x"]}, {"b": ["y"]}]}, text("x"), True),
    ],
)
def test_attributes_by_their_type(policy: dict[str, Any], attribute: dict[str, Any], expected: bool) -> None:
    assert passes(policy, {"a": attribute}) is expected


def test_bodies() -> None:
    policy = {"detail": {"state": ["on"]}}
    assert passes(policy, {}, '{"detail": {"state": "on"}}', BODY)
    assert passes(policy, {}, '{"detail": [{"state": "off"}, {"state": "on"}]}', BODY)
    for body in ("on", "", "[]", '"x"', "[" * 100_000, '{"detail": {"state": "off"}}'):
        assert not passes(policy, {"detail": text("on")}, body, BODY)


def test_the_empty_policy_is_none() -> None:
    assert compile_filter_policy({}) is None
    assert compile_filter_policy("{}", BODY) is None


def test_limits() -> None:
    with pytest.raises(PatternError, match="does not support nested"):
        compile_filter_policy({"a": {"b": [1]}})
    with pytest.raises(PatternError, match="does not support nested"):
        compile_filter_policy({"$or": [{"a": {"b": [1]}}, {"c": [1]}]})
    with pytest.raises(PatternError, match="more than 5 keys"):
        compile_filter_policy({str(n): [1] for n in range(6)})
    many = {"a": list(range(6)), "b": list(range(6)), "c": list(range(4))}
    assert compile_filter_policy(many) is not None  # 144
    with pytest.raises(PatternError, match="too complex"):
        compile_filter_policy({**many, "d": [1, 2]})
    nested = {"finding": {str(n): [{"exists": True}] for n in range(6)}, "state": ["x"]}
    assert compile_filter_policy(nested, BODY) is not None  # keys further in do not count
    with pytest.raises(PatternError):
        compile_filter_policy("nonsense")
    with pytest.raises(PatternError, match="Empty arrays"):
        compile_filter_policy({"a": []})
