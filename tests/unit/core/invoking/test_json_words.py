"""Why a payload is no JSON."""

from __future__ import annotations

import json
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.invoking import json_words, payloads

VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


def at(line: int, column: int) -> str:
    disabled = "`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled"
    return f"[Source: REDACTED ({disabled}); line: {line}, column: {column}]"


@pytest.mark.parametrize(
    ("payload", "words", "line", "column"),
    [
        ("{client: 1}", "Unexpected character ('c' (code 99)): was expecting double-quote to start field name", 1, 2),
        ('{"a": 1 2}', "Unexpected character ('2' (code 50)): was expecting comma to separate Object entries", 1, 9),
        ("Hello World", f"Unrecognized token 'Hello': was expecting {VALUES}", 1, 7),
        ("'test'", f"Unexpected character (''' (code 39)): expected a valid value {VALUES}", 1, 1),
        ("\u00b7", f"Unexpected character ('\u00b7' (code 183)): expected a valid value {VALUES}", 1, 1),
        ('{"a":\n [1,\n  ]}', "Unexpected character (']' (code 93)): expected a value", 3, 3),
        ('{"a":', f"Unexpected end-of-input: expected close marker for Object (start marker at {at(1, 1)})", 1, 6),
        ('{"a": [1}', f"Unexpected close marker '}}': expected ']' (for Array starting at {at(1, 7)})", 1, 9),
        ('{"a" 1}', "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value",
         1, 6),
        ("-x", "Unexpected character ('x' (code 120)) in numeric value: expected digit (0-9) to follow minus sign, for "
         "valid numeric value", 1, 2),
    ],
)  # fmt: skip
def test_it_is_said_as_lambda_says_it(payload: str, words: str, line: int, column: int) -> None:
    assert payloads.json_fault(payload.encode()) == f"{words}\n at {at(line, column)}"


def test_what_is_no_utf_8() -> None:
    assert payloads.json_fault(b'"\xa7"') == "Invalid UTF-8 start byte 0xa7"
    assert payloads.json_fault(b'"\xc3("') == "Invalid UTF-8 middle byte 0x28"


def test_what_is_long_costs_no_more() -> None:
    assert json_words.of(b"[" * 20_000) is None and payloads.json_fault(b"[" * 200_000) is not None
    told = json_words.of(b"x" * 10_000)
    assert told is not None and len(told) < 600


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return False
    return True


TEXTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
).map(json.dumps)


@given(TEXTS, st.text('{}[]",:-0123e.\\nul ', max_size=2), st.data())
def test_a_fault_is_found_where_there_is_one_and_nowhere_else(text: str, between: str, data: st.DataObject) -> None:
    assert json_words.of(text.encode()) is None
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    spoilt = text[:start] + between + text[end:]
    assert (json_words.of(spoilt.encode()) is None) == _is_json(spoilt)
