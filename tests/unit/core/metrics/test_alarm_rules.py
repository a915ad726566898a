"""Rules of composite alarms: read as they are written, and true as Python's own operators say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.metrics.alarm_rules import RuleError, children, holds, parse

STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")
LEAVES = st.one_of(
    st.tuples(st.sampled_from(STATES), st.sampled_from("abc")).map(lambda leaf: f"{leaf[0]}({leaf[1]})"),
    st.sampled_from(["TRUE", "FALSE"]),
)


def _deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    joined = st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(" ".join)
    return st.one_of(joined, inner.map(lambda rule: f"({rule})"), inner.map(lambda rule: f"NOT ({rule})"))


RULES: st.SearchStrategy[str] = st.recursive(LEAVES, _deeper, max_leaves=10)


@given(RULES, st.fixed_dictionaries({name: st.sampled_from(STATES) for name in "abc"}))
def test_rules_hold_as_pythons_expressions_do(text: str, states: dict[str, str]) -> None:
    python = text.replace("TRUE", "True").replace("FALSE", "False")
    for state in ("INSUFFICIENT_DATA", "ALARM", "OK"):
        for name in "abc":
            python = python.replace(f"{state}({name})", str(states[name] == state))
    python = python.replace("AND", "and").replace("OR", "or").replace("NOT", "not")
    assert holds(parse(text), states) == eval(python)


def test_alarms_are_named_in_many_ways() -> None:
    text = 'ALARM("a b") and not OK(arn:aws:cloudwatch:us-east-1:1:alarm:c) OR (INSUFFICIENT_DATA( d ) OR FALSE)'
    rule = parse(text)
    assert children(rule) == ("a b", "c", "d")
    assert holds(rule, {"a b": "ALARM", "c": "ALARM"})
    assert not holds(rule, {"a b": "ALARM", "c": "OK"})
    assert holds(rule, {"d": "INSUFFICIENT_DATA"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ALARM",
        "ALARM()",
        "ALARM(a) OR",
        "AND ALARM(a)",
        "(ALARM(a)",
        "ALARM(a))",
        "ALARM(a) ALARM(b)",
        "MAYBE(a)",
        "NOT",
    ],
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(RuleError):
        parse(text)


def test_sizes_are_bounded() -> None:
    for text in ("(" * 60 + "TRUE" + ")" * 60, "NOT " * 60 + "TRUE", " OR ".join(["TRUE"] * 300)):
        with pytest.raises(RuleError):
            parse(text)
    with pytest.raises(RuleError, match="child alarms"):
        parse(" OR ".join(f"ALARM(a{n})" for n in range(101)))


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except RuleError as wrong:
        assert str(wrong)
