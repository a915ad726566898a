"""Computing expressions. What is asked for is handed in: other queries by id, SEARCH by a function."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from havre.core.metrics.formulas import functions
from havre.core.metrics.formulas.functions import MOST_POINTS, PLAIN, SPECIAL, Span
from havre.core.metrics.formulas.series import Line, Many, Operator, Value, each, pair
from havre.core.metrics.formulas.syntax import (
    Array,
    Binary,
    FormulaError,
    Function,
    Name,
    Negative,
    Node,
    Number,
    Text,
    walk,
)


class Around(NamedTuple):
    """What an expression may ask of the request that it stands in. ``find`` raises FormulaError for an id that nobody has;
    ``metrics`` are the ids of those queries that name a metric; ``period`` is the expression's own."""

    find: Callable[[str], Value]
    metrics: Sequence[str]
    span: Span
    period: int
    search: Callable[[str, str, int], Sequence[Line]]


def _divide(left: float, right: float) -> float | None:
    return left / right if right else None


def _remainder(left: float, right: float) -> float | None:
    return left % right if right else None


def _power(left: float, right: float) -> float | None:
    try:
        found = left**right
    except (OverflowError, ZeroDivisionError):
        return None
    return found if isinstance(found, float) else None


def _truth(holds: Callable[[float, float], bool]) -> Operator:
    return lambda left, right: 1.0 if holds(left, right) else 0.0


_OPERATORS: Mapping[str, Operator] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": _remainder,
    "^": _power,
    "==": _truth(operator.eq),
    "!=": _truth(operator.ne),
    "<": _truth(operator.lt),
    "<=": _truth(operator.le),
    ">": _truth(operator.gt),
    ">=": _truth(operator.ge),
    "AND": _truth(lambda left, right: bool(left) and bool(right)),
    "OR": _truth(lambda left, right: bool(left) or bool(right)),
}


def check(node: Node) -> None:
    """Raises FormulaError for functions that there are not, or have other arguments."""
    for part in walk(node):
        if not isinstance(part, Function):
            continue
        if part.name not in PLAIN and part.name not in SPECIAL:
            raise FormulaError(f"The function {part.name} does not exist, or is not implemented by Havre")
        few, many = _ARGUMENTS.get(part.name, (1, 1))
        if not few <= len(part.arguments) <= many:
            raise FormulaError(f"The function {part.name} does not take {len(part.arguments)} arguments")


_ARGUMENTS = {
    "FILL": (2, 2),
    "IF": (2, 3),
    "METRICS": (0, 1),
    "SEARCH": (2, 3),
    "SLICE": (2, 3),
    "SORT": (3, 4),
    "TIME_SERIES": (1, 1),
}


def evaluate(node: Node, around: Around) -> Value:
    """Raises FormulaError."""
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Name):
        return around.find(node.value)
    if isinstance(node, Negative):
        return each(evaluate(node.of, around), operator.neg)
    if isinstance(node, Binary):
        return pair(evaluate(node.left, around), evaluate(node.right, around), _OPERATORS[node.operator])
    if isinstance(node, Array):
        return Many(tuple(line for item in node.items for line in lines(evaluate(item, around))))
    if isinstance(node, Text):
        raise FormulaError(f"A text is no value: '{node.value}'")
    return _function(node, around)


def lines(value: Value) -> tuple[Line, ...]:
    """The series that a value is. Raises FormulaError for a number."""
    if isinstance(value, Many):
        return value.lines
    if isinstance(value, Line):
        return (value,)
    raise FormulaError("The expression has to result in a time series, and results in a number")


def _function(node: Function, around: Around) -> Value:
    if node.name == "METRICS":
        return _metrics(node, around)
    if node.name == "SEARCH":
        return _search(node, around)
    if node.name == "FILL":
        return _fill(node, around)
    if node.name == "SORT":
        return _sort(node, around)
    given = [evaluate(argument, around) for argument in node.arguments]
    if node.name == "IF":
        return functions.choose(given)
    if node.name == "SLICE":
        return _slice(given)
    if node.name == "TIME_SERIES":
        return _constant(given[0], around)
    return PLAIN[node.name](given)


def _metrics(node: Function, around: Around) -> Value:
    wanted = ""
    if node.arguments:
        (argument,) = node.arguments
        if not isinstance(argument, Text):
            raise FormulaError("METRICS takes a text")
        wanted = argument.value
    return Many(tuple(line for id in around.metrics if wanted in id for line in lines(around.find(id))))


def _search(node: Function, around: Around) -> Value:
    text, statistic, *rest = node.arguments
    if not isinstance(text, Text) or not isinstance(statistic, Text):
        raise FormulaError("SEARCH takes two texts and a period")
    period = around.period
    if rest:
        if not isinstance(rest[0], Number) or rest[0].value < 1:
            raise FormulaError("The period of SEARCH has to be a number of seconds")
        period = int(rest[0].value)
    return Many(tuple(around.search(text.value, statistic.value, period)))


def _fill(node: Function, around: Around) -> Value:
    subject, how = node.arguments
    value = evaluate(subject, around)
    word = isinstance(how, Name) and how.value.upper() in ("REPEAT", "LINEAR")
    by = None if word else evaluate(how, around)
    filled = tuple(functions.fill(line, how, by, around.span) for line in lines(value))
    return Many(filled) if isinstance(value, Many) else filled[0]


def _sort(node: Function, around: Around) -> Value:
    subject, by, order, *rest = node.arguments
    most = evaluate(rest[0], around) if rest else None
    words = [each.value.upper() if isinstance(each, Name) else "" for each in (by, order)]
    if most is not None and not isinstance(most, float):
        raise FormulaError("SORT takes a number as its last argument")
    return functions.sort(lines(evaluate(subject, around)), words[0], words[1], most)


def _slice(given: Sequence[Value]) -> Value:
    """The series from one place on (from 0), up to another."""
    places = [int(each) for each in given[1:] if isinstance(each, float) and each >= 0]
    if len(places) != len(given) - 1:
        raise FormulaError("SLICE takes an array of time series and one or two numbers")
    return Many(lines(given[0])[slice(*places) if len(places) > 1 else slice(places[0], None)])


def _constant(value: Value, around: Around) -> Value:
    if not isinstance(value, float):
        raise FormulaError("TIME_SERIES takes a number")
    grid = around.span.grid(around.period)
    if len(grid) > MOST_POINTS:
        raise FormulaError("TIME_SERIES would make too many data points")
    return Line(dict.fromkeys(grid, value), around.period)
