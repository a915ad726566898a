"""Metric math: what is read is what was written; whatever comes ends in a value or in words."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.metrics.formulas import evaluate as formulas
from havre.core.metrics.formulas.functions import PLAIN, SPECIAL, Span
from havre.core.metrics.formulas.series import Line, Many, Value
from havre.core.metrics.formulas.syntax import FormulaError, Name, Negative, Node, Number, functions, names, parse

LINES = {"a": Line({0: 1.0, 60: 2.0, 120: 4.0}, 60, "a"), "b": Line({60: 10.0, 120: 0.0}, 60, "b")}


def around(lines: dict[str, Line]) -> formulas.Around:
    def find(id: str) -> Line:
        if id not in lines:
            raise FormulaError(f"Unknown identifier: '{id}'")
        return lines[id]

    return formulas.Around(find, list(lines), Span(0, 180), 60, lambda text, stat, period: ())


def computed(text: str, lines: dict[str, Line] = LINES) -> Value:
    node = parse(text)
    formulas.check(node)
    return formulas.evaluate(node, around(lines))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 - 4 / 2", 5),
        ("(1 + 2) * 3", 9),
        ("-2 ^ 2", -4),
        ("2 ^ 3 ^ 2", 512),
        ("2 ^ -1", 0.5),
        ("10 % 4", 2),
        ("1 < 2 AND 3 >= 3 && 1 != 2", 1),
        ("1 > 2 || 0 == 1 OR 0", 0),
        ("1e3 + .5", 1000.5),
        ("PERIOD(a)", 60),
        ("METRIC_COUNT(METRICS())", 2),
        ("AVG(a)", 7 / 3),
        ("SUM(FIRST([b, a]))", 10),
        ("STDDEV(b)", 5),
    ],
)
def test_numbers(text: str, value: float) -> None:
    assert computed(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("a + b", {60: 12, 120: 4}),
        ("a / b", {60: 0.2}),
        ("IF(b, a)", {60: 2}),
        ("IF(a > 1, b, 7)", {0: 7, 60: 10, 120: 0}),
        ("MIN(METRICS('a'))", {0: 1, 60: 2, 120: 4}),
        ("DIFF_TIME(a)", {60: 60, 120: 60}),
        ("FILL(b, a)", {0: 1, 60: 10, 120: 0}),
        ("LOG10(b)", {60: 1}),
        ("ABS(-a)", {0: 1, 60: 2, 120: 4}),
        ("FLOOR(a / 3)", {0: 0, 60: 0, 120: 1}),
        ("MINUTE(a) + 100 * HOUR(a)", {0: 0, 60: 1, 120: 2}),
        ("DAY(a) + YEAR(a) + DATE(a) + MONTH(a)", {0: 1976, 60: 1976, 120: 1976}),
        ("IF(EPOCH(a) >= 60, a)", {60: 2, 120: 4}),
        ("FIRST(SORT(METRICS(), MAX, DESC))", {60: 10, 120: 0}),
        ("FIRST(SORT(METRICS(), MIN, DESC, 1))", {0: 1, 60: 2, 120: 4}),
        ("FIRST(SLICE([b, a], 1))", {0: 1, 60: 2, 120: 4}),
        ("SUM(SLICE([b, a, b], 0, 1))", {60: 10, 120: 0}),
    ],
)
def test_series(text: str, points: dict[int, float]) -> None:
    found = computed(text)
    assert isinstance(found, Line)
    assert found.points == pytest.approx(points)


def test_arrays_are_taken_one_by_one() -> None:
    found = computed("METRICS() * 2")
    assert isinstance(found, Many)
    assert [line.points for line in found.lines] == [{0: 2, 60: 4, 120: 8}, {60: 20, 120: 0}]
    with pytest.raises(FormulaError, match="same size"):
        computed("[a, b] + [a]")


def test_what_is_asked_for_is_told() -> None:
    node = parse("SUM([m1, m2]) / FILL(m3, REPEAT) + METRICS('x')")
    assert set(names(node)) == {"m1", "m2", "m3", "REPEAT"}
    assert set(functions(node)) == {"SUM", "FILL", "METRICS"}


WORDS = st.sampled_from(
    [
        *PLAIN,
        *SPECIAL,
        "a",
        "b",
        "1",
        "2.5",
        "'x'",
        "(",
        ")",
        "[",
        "]",
        ",",
        "+",
        "-",
        "*",
        "/",
        "^",
        "<",
        "AND",
        "REPEAT",
    ]
)


@given(st.lists(WORDS, max_size=30).map(" ".join))
def test_whatever_comes_ends_in_a_value_or_in_words(text: str) -> None:
    lines = {**LINES, "REPEAT": LINES["a"]}
    try:
        found = computed(text, lines)
    except FormulaError as wrong:
        assert str(wrong)
    else:
        assert isinstance(found, float | Line | Many)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except FormulaError as wrong:
        assert str(wrong)


def _sums(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda parts: f"({''.join(parts)})")


NODES: st.SearchStrategy[str] = st.recursive(st.sampled_from(["a", "b", "3"]), _sums, max_leaves=8)


@given(NODES)
def test_arithmetic_is_pythons_at_each_time(text: str) -> None:
    lines = {"a": LINES["a"], "b": Line({0: 5.0, 60: 6.0, 120: 7.0}, 60)}
    found = computed(text, lines)
    for at in (0, 60, 120):
        wanted = eval(text, {"a": lines["a"].points[at], "b": lines["b"].points[at]})
        assert math.isclose(found.points[at] if isinstance(found, Line) else found, wanted)  # type: ignore[arg-type]


def test_signs() -> None:
    node: Node = parse("--+a")
    assert node == Negative(Negative(Name("a")))
    assert parse("1") == Number(1.0)
