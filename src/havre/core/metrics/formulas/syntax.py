"""Reading expressions: operators, functions, names of queries, numbers, strings, arrays.

Operators from the loosest to the tightest: ``OR``, ``AND``, comparisons, ``+ -``, ``* / %``, unary ``-``, ``^``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

import msgspec

DEEPEST, LONGEST = 50, 500
"""How deep an expression may be nested, and how many words it may have: it is read, and computed, by recursion."""
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[A-Za-z][A-Za-z0-9_]*)"
    r"|(?P<string>'[^']*'|\"[^\"]*\")|(?P<operator>&&|\|\||==|!=|<=|>=|[-+*/%^<>(),\[\]]))"
)
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("OR",),
    ("AND",),
    ("==", "!=", "<=", ">=", "<", ">"),
    ("+", "-"),
    ("*", "/", "%"),
)
_SPELLED = {"&&": "AND", "||": "OR"}


class FormulaError(Exception):
    """What is wrong with an expression, in words for its author."""


class Number(msgspec.Struct, frozen=True):
    value: float


class Text(msgspec.Struct, frozen=True):
    value: str


class Name(msgspec.Struct, frozen=True):
    """The id of another query, or a word that a function knows (``REPEAT``)."""

    value: str


class Array(msgspec.Struct, frozen=True):
    items: tuple[Node, ...]


class Function(msgspec.Struct, frozen=True):
    name: str
    arguments: tuple[Node, ...]


class Binary(msgspec.Struct, frozen=True):
    operator: str
    left: Node
    right: Node


class Negative(msgspec.Struct, frozen=True):
    of: Node


Node: TypeAlias = Number | Text | Name | Array | Function | Binary | Negative


def parse(text: str) -> Node:
    """Raises FormulaError."""
    if re.match(r"\s*SELECT\s", text, re.IGNORECASE):
        raise FormulaError("Metrics Insights queries (SELECT) are not implemented by Havre")
    parser = _Parser(list(_tokens(text)))
    found = parser.level(0)
    if parser.kind != "end":
        raise FormulaError(f"Unexpected '{parser.text}'")
    return found


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place, end = 0, len(text.rstrip())
    while place < end:
        found = _TOKEN.match(text, place)
        if found is None:
            raise FormulaError(f"Unexpected '{text[place:].lstrip()[:1]}'")
        place = found.end()
        kind = found.lastgroup or ""
        word = found[kind]
        if kind == "name" and word.upper() in ("AND", "OR"):
            kind, word = "operator", word.upper()
        yield kind, _SPELLED.get(word, word)


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        if len(tokens) > LONGEST:
            raise FormulaError("The expression is too long")
        self._tokens = [*tokens, ("end", "end of the expression")]
        self._place = 0
        self._depth = 0

    @property
    def kind(self) -> str:
        return self._tokens[self._place][0]

    @property
    def text(self) -> str:
        return self._tokens[self._place][1]

    def _take(self) -> str:
        self._place += 1
        return self._tokens[self._place - 1][1]

    def _is(self, *operators: str) -> bool:
        return self.kind == "operator" and self.text in operators

    def _expect(self, operator: str) -> None:
        if not self._is(operator):
            raise FormulaError(f"Expected '{operator}' instead of '{self.text}'")
        self._take()

    def level(self, number: int) -> Node:
        if number == len(_LEVELS):
            return self._unary()
        left = self.level(number + 1)
        while self._is(*_LEVELS[number]):
            operator = self._take()
            left = Binary(operator, left, self.level(number + 1))
        return left

    def _unary(self) -> Node:
        if self._is("-", "+"):
            sign = self._take()
            with _Deeper(self):
                inner = self._unary()
            return Negative(inner) if sign == "-" else inner
        base = self._primary()
        if self._is("^"):
            self._take()
            with _Deeper(self):
                return Binary("^", base, self._unary())
        return base

    def _primary(self) -> Node:
        kind, text = self.kind, self.text
        if kind == "number":
            return Number(float(self._take()))
        if kind == "string":
            return Text(self._take()[1:-1])
        if kind == "name":
            self._take()
            return Function(text.upper(), self._list("(", ")")) if self._is("(") else Name(text)
        if self._is("["):
            return Array(self._list("[", "]"))
        if self._is("("):
            self._take()
            with _Deeper(self):
                inner = self.level(0)
            self._expect(")")
            return inner
        raise FormulaError(f"Unexpected '{text}'")

    def _list(self, first: str, last: str) -> tuple[Node, ...]:
        self._expect(first)
        items: list[Node] = []
        with _Deeper(self):
            while not self._is(last):
                if items:
                    self._expect(",")
                items.append(self.level(0))
        self._expect(last)
        return tuple(items)


class _Deeper:
    """Bounds how deep an expression is nested."""

    def __init__(self, parser: _Parser) -> None:
        self._parser = parser

    def __enter__(self) -> None:
        self._parser._depth += 1
        if self._parser._depth > DEEPEST:
            raise FormulaError("The expression is nested too deeply")

    def __exit__(self, *_: object) -> None:
        self._parser._depth -= 1


def names(node: Node) -> Iterator[str]:
    """The ids that it may mean; METRICS means all, which ``functions`` tells."""
    for each in walk(node):
        if isinstance(each, Name):
            yield each.value


def functions(node: Node) -> Iterator[str]:
    for each in walk(node):
        if isinstance(each, Function):
            yield each.name


def walk(node: Node) -> Iterator[Node]:
    yield node
    inner: tuple[Node, ...] = ()
    if isinstance(node, Array):
        inner = node.items
    elif isinstance(node, Function):
        inner = node.arguments
    elif isinstance(node, Binary):
        inner = (node.left, node.right)
    elif isinstance(node, Negative):
        inner = (node.of,)
    for each in inner:
        yield from walk(each)
