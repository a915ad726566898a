"""Filter patterns: AWS's own examples, and properties that hold for any pattern and message."""

from __future__ import annotations

import fnmatch
import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from havre.core.log_filter import FilterPatternError, compile_filter
from havre.core.log_filter.compare import glob
from havre.core.log_filter.fields import split
from havre.core.log_filter.regex import _automaton, _Parser, compile_regex

EVENT = json.dumps(
    {
        "eventType": "UpdateTrail",
        "sourceIPAddress": "111.111.111.111",
        "arrayKey": ["value", "another value"],
        "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
        "SomeObject": None,
        "cluster.name": "c",
        "ok": True,
        "latency": 99.5,
        "code": 404,
    }
)
LINE = '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ("", "anything", True),
        ("ERROR", "[ERROR 500] x", True),
        ("error", "[ERROR 500] x", False),
        ("CODE ERROR", "ERROR CODE", True),
        ("CODE ERROR", "ERROR", False),
        ("?ERROR ?WARN", "WARN x", True),
        ("?ERROR ?WARN", "INFO x", False),
        ("?ERROR WARN", "ERROR x", False),
        ("ERROR -EXIT", "ERROR a", True),
        ("ERROR -EXIT", "ERROR EXIT", False),
        ('"INTERNAL SERVER ERROR"', "an INTERNAL SERVER ERROR", True),
        (r'"say \"hi\""', 'they say "hi"', True),
        ('-"a b"', "a c b", True),
        ("%AUTHORI[SZ]ED%", "is AUTHORIZED", True),
        (r"%10\.10\.0\.1%", "from 10.10.0.1", True),
        ("%gr[ae]y|colou?r%", "color", True),
        ("%^a{2,3}$%", "aa", True),
        ("%^a{2,3}$%", "aaaa", False),
        ('{ $.eventType = "UpdateTrail" }', EVENT, True),
        ("{ $.eventType = *Trail }", EVENT, True),
        ("{ $.eventType = %^Upd% }", EVENT, True),
        ("{ $.sourceIPAddress != 123.123.* }", EVENT, True),
        ('{ $.arrayKey[0] = "value" }', EVENT, True),
        ("{ $.objectList[1].id = 2 }", EVENT, True),
        ("{ $.objectList[*].id = 3 }", EVENT, False),
        ("{ $.objectList[*].id = 2 }", EVENT, True),
        ("{ $.SomeObject IS NULL }", EVENT, True),
        ("{ $.Missing NOT EXISTS }", EVENT, True),
        ("{ $.SomeObject NOT EXISTS }", EVENT, False),
        ("{ $.ok IS TRUE }", EVENT, True),
        ("{ $.latency >= 99.5 && $.latency < 1e2 }", EVENT, True),
        ("{ $.code = 4* }", EVENT, True),
        ("{ $.code != 404 }", EVENT, False),
        ("{ $.missing != 404 }", EVENT, False),
        ("{ ($.code = 1) || ($.ok IS TRUE && $.eventType = *Trail) }", EVENT, True),
        ("{ $.code = 1 || $.code = 404 && $.ok IS FALSE }", EVENT, False),
        ("{ $.['cluster.name'] = c }", EVENT, True),
        ("{ $.a = 1 }", "no JSON", False),
        ("[ip, id, user, timestamp, request, status_code, size]", LINE, True),
        ("[ip, user]", LINE, False),
        ("[ip, id, user, timestamp, request = *html*, status_code = 4*, size > 1000]", LINE, True),
        ("[..., status_code = 404, size]", LINE, True),
        ("[ip = 127.0.0.*, ...]", LINE, True),
        ("[ip, ..., size < 1000]", LINE, False),
        ("[..., (s = 500 || s = 404) && s != 403, size]", LINE, True),
        (r"[ip = %127\.0%, ...]", LINE, True),
        ("[w1 = ERROR, w2]", "ERROR code", True),
    ],
)
def test_matches_as_documented(pattern: str, message: str, expected: bool) -> None:
    assert compile_filter(pattern).matches(message) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "a:b",
        "{ $.a",
        "{ $.a = }",
        "[a",
        '"x',
        "%a(b)%",
        "%a!%",
        "{ a = 1 }",
        "{ $.a > b }",
        "{}",
        "[]",
        "{ $.a = 1 } x",
        "[..., ..., a]",
        "-",
        "x" * 1025,
        "%[z-a]%",
        "%a{3,1}%",
        "%a{999}{999}%",
        "{" + "(" * 99 + "$.a = 1" + ")" * 99 + "}",
    ],
)
def test_refuses_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(FilterPatternError):
        compile_filter(pattern)


def test_names_the_term_that_needs_quotes() -> None:
    with pytest.raises(FilterPatternError, match=r"Invalid character\(s\) in term 'a:b'"):
        compile_filter("a:b")


def test_extracts_what_the_pattern_names() -> None:
    fields = compile_filter("[ip, id, user, ..., size]").extract(LINE)
    assert fields == {"$ip": "127.0.0.1", "$id": "-", "$user": "frank", "$size": "1534"}
    assert compile_filter("{ $.code = 4* && $.ok IS TRUE }").extract(EVENT) == {"$.code": "404", "$.ok": "true"}


def test_a_pattern_made_to_explode_takes_no_time() -> None:
    began = time.process_time()
    assert not compile_filter("%a.*a.*a.*a.*a.*b%").matches("a" * 20_000)
    assert not compile_filter("{ $.x = *a*a*a*a*a*b }").matches(json.dumps({"x": "a" * 200_000}))
    assert time.process_time() - began < 20


ANY = st.text(max_size=80)


@settings(deadline=None)
@given(pattern=st.text(alphabet='ab1$. =!<>&|()[]{}"%*?-^,\\', max_size=40), message=ANY)
def test_any_text_is_a_pattern_or_refused(pattern: str, message: str) -> None:
    try:
        found = compile_filter(pattern)
    except FilterPatternError:
        return
    assert found.matches(message) in (True, False)
    found.extract(message)


@given(
    terms=st.lists(st.text(alphabet="abc", min_size=1, max_size=3), min_size=1),
    message=st.text(alphabet="abc ", max_size=30),
)
def test_terms_are_and(terms: list[str], message: str) -> None:
    assert compile_filter(" ".join(terms)).matches(message) == all(t in message for t in terms)
    assert compile_filter(" ".join("?" + t for t in terms)).matches(message) == any(t in message for t in terms)
    assert compile_filter(" ".join("-" + t for t in terms)).matches(message) == (not any(t in message for t in terms))


@given(phrase=st.text(min_size=1, max_size=20), before=ANY, after=ANY)
def test_a_quoted_phrase_is_found_wherever_it_stands(phrase: str, before: str, after: str) -> None:
    quoted = '"' + phrase.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert compile_filter(quoted).matches(before + phrase + after)


@given(pattern=st.text(alphabet="ab*", max_size=8), text=st.text(alphabet="ab", max_size=10))
def test_wildcards(pattern: str, text: str) -> None:
    assert glob(pattern)(text) == bool(re.fullmatch(fnmatch.translate(pattern), text))


PIECES = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\w"])
REPEATS = st.sampled_from(["", "", "?", "*", "+", "{2}", "{1,3}", "{2,}"])
BRANCH = st.builds(
    lambda start, parts, end: start + "".join(parts) + end,
    st.sampled_from(["", "^"]),
    st.lists(st.builds(str.__add__, PIECES, REPEATS), min_size=1, max_size=4),
    st.sampled_from(["", "$"]),
)


@settings(max_examples=300, deadline=None)
@given(branches=st.lists(BRANCH, min_size=1, max_size=3), text=st.text(alphabet="ab1_ \n", max_size=10))
def test_the_automaton_agrees_with_the_engine(branches: list[str], text: str) -> None:
    source = "|".join(branches)
    expected = re.search(source, text, re.ASCII) is not None
    assert compile_regex(source)(text) == expected
    assert any(_automaton(branch, text) for branch in _Parser(source).parse()) == expected


@given(value=st.one_of(st.integers(-1000, 1000), st.floats(-1e6, 1e6)), bound=st.integers(-1000, 1000))
def test_numbers_compare_as_numbers(value: float, bound: int) -> None:
    message = json.dumps({"a": {"b": [value]}})
    for operator, expected in {
        "<": value < bound,
        "<=": value <= bound,
        "=": value == bound,
        "!=": value != bound,
    }.items():
        assert compile_filter(f"{{ $.a.b[0] {operator} {bound} }}").matches(message) == expected


@given(fields=st.lists(st.text(alphabet="abc:/.", min_size=1, max_size=6), min_size=1, max_size=6))
def test_fields_are_what_white_space_separates(fields: list[str]) -> None:
    assert split("  ".join(fields)) == fields
    assert split(" ".join(f"[{f} {f}]" for f in fields)) == [f"{f} {f}" for f in fields]
