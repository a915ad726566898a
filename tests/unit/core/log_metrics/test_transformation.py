"""Which value an event stands for."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.log_filter import FilterPatternError
from havre.core.log_metrics import Transformation, TransformationError


def test_what_matches_counts_as_the_literal() -> None:
    made = Transformation("ERROR", "2.5")
    assert made.measure("an ERROR") == (2.5, ())
    assert made.measure("all is well") is None
    assert Transformation("ERROR", "1", default=0.0).measure("all is well") == (0.0, ())


def test_a_field_of_json_is_the_value() -> None:
    made = Transformation("{ $.latency = * }", "$.latency", default=7.0)
    assert made.measure('{"latency": 12.5}') == (12.5, ())
    assert made.measure('{"latency": "3"}') == (3.0, ())
    assert made.measure('{"latency": "soon"}') is None
    assert made.measure('{"other": 1}') == (7.0, ())
    assert Transformation("{ $.a = 1 }", "$.b.c[1]", default=7.0).measure('{"a":1,"b":{"c":[1,2]}}') == (2.0, ())
    assert Transformation("{ $.a = 1 }", "$.b", default=7.0).measure('{"a":1,"b":null}') == (7.0, ())
    assert Transformation("{ $.a = 1 }", "$.b").measure('{"a":1,"b":true}') is None


def test_a_field_of_a_line_is_the_value() -> None:
    made = Transformation("[ip, ..., status = 5*, bytes]", "$bytes", dimensions={"Status": "$status", "From": "$ip"})
    line = '10.0.0.1 - - [now] "GET /" 503 1534'
    assert made.measure(line) == (1534.0, (("Status", "503"), ("From", "10.0.0.1")))
    assert made.measure(line.replace("503", "200")) is None
    assert made.measure(line.replace("1534", "-")) is None


def test_dimensions_are_all_there_or_none_is() -> None:
    made = Transformation("{ $.n > 0 }", "1", dimensions={"A": "$.a", "B": "$.b"})
    assert made.measure('{"n":1,"a":"x","b":2}') == (1.0, (("A", "x"), ("B", "2")))
    for missing in ('"a":"x"', '"a":"x","b":null', '"a":"x","b":{}', '"a":"x","b":" "', f'"a":"{"x" * 1025}","b":1'):
        assert made.measure('{"n":1,' + missing + "}") == (1.0, ())


@pytest.mark.parametrize(
    ("pattern", "value", "words"),
    [
        ("ERROR", "$.a", "metric value $.a must be a valid number"),
        ("ERROR", "much", "metric value much must be a valid number"),
        ("ERROR", "1e999", "metric value 1e999 must be a valid number"),
        ("{ $.a = 1 }", "$a", "metric value $a must be a valid number"),
        ("{ $.a = 1 }", "$.a b", "metric value $.a b must be a valid number"),
        ("[a, b]", "$c", "metric value $c must be a valid number"),
        ("[a, b]", "nan", "metric value nan must be a valid number"),
    ],
)
def test_values_that_are_none(pattern: str, value: str, words: str) -> None:
    with pytest.raises(TransformationError, match="Invalid metric transformation") as told:
        Transformation(pattern, value)
    assert str(told.value) == f"Invalid metric transformation: {words}"


def test_dimensions_that_are_none() -> None:
    with pytest.raises(TransformationError, match="mutually exclusive properties"):
        Transformation("{ $.a = 1 }", "1", 0.0, {"A": "$.a"})
    for pattern, selector in (("{ $.a = 1 }", "literal"), ("ERROR", "$.a"), ("[a]", "$b")):
        with pytest.raises(TransformationError, match="dimension value must be valid selector"):
            Transformation(pattern, "1", dimensions={"A": selector})
    with pytest.raises(TransformationError, match="at most 3"):
        Transformation("{ $.a = 1 }", "1", dimensions=dict.fromkeys("ABCD", "$.a"))
    with pytest.raises(FilterPatternError):
        Transformation("{ $.a", "1")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)


@given(JSON)
def test_no_event_makes_it_fail(document: object) -> None:
    made = Transformation("{ $.a EXISTS }", "$.a", dimensions={"B": "$.b", "C": "$.c[0]"})
    found = made.measure(json.dumps(document))
    if found is not None:
        assert isinstance(document, dict) and float(document["a"]) == found[0]
        assert len(found[1]) in (0, 2)
