"""SEARCH expressions: which metrics they find.

``{Namespace, DimensionA, DimensionB} MetricName="Errors" word NOT other``: the braces name the namespace and exactly the
dimensions that a metric has; behind them stand terms. A term is a word, which has to be among the words of one of the
metric's names; or a text in double quotes, which has to be a whole name. Either may follow a name and ``=`` or ``:``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from havre.core.metrics.formulas.syntax import FormulaError
from havre.store.points import Series

Fits = Callable[[Series], bool]
_SCHEMA = re.compile(r"\s*\{([^{}]*)\}")
_NAME = re.compile(r'\s*(?:"([^"]*)"|([^,"]+))\s*(?:,|$)')
_TERM = re.compile(
    r'\s*(?:(?P<mark>[()])|(?P<name>[\w/.-]+|"[^"]*")\s*[=:]\s*(?P<of>"[^"]*"|[^\s()"]+)|(?P<word>"[^"]*"|[^\s()"=]+))'
)
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_]+")
_DEEPEST = 20


def matcher(text: str) -> Fits:
    """Raises FormulaError."""
    found = _SCHEMA.match(text)
    schema = _schema(found[1]) if found is not None else None
    reader = _Reader(text[found.end() :] if found is not None else text)
    terms = reader.either(0)
    if reader.left:
        raise FormulaError(f"Unexpected '{reader.left[0][0]}' in SEARCH")
    return lambda series: (schema is None or schema(series)) and terms(series)


def _schema(text: str) -> Fits:
    names = []
    place = 0
    while place < len(text.rstrip()):
        found = _NAME.match(text, place)
        if found is None:
            raise FormulaError("The schema of SEARCH cannot be read")
        names.append((found[1] if found[1] is not None else found[2]).strip())
        place = found.end()
    if not names:
        raise FormulaError("The schema of SEARCH needs a namespace")
    namespace, wanted = names[0], set(names[1:])
    return lambda series: series.namespace == namespace and {name for name, _ in series.dimensions} == wanted


class _Reader:
    """Terms that stand side by side, or with AND, have all to hold; OR binds less."""

    def __init__(self, text: str) -> None:
        self.left: list[tuple[str, str]] = []
        """(word, or name; what the name has to be)"""
        place, end = 0, len(text.rstrip())
        while place < end:
            found = _TERM.match(text, place)
            if found is None:
                raise FormulaError("The terms of SEARCH cannot be read")
            place = found.end()
            self.left.append((found["mark"] or found["word"] or found["name"], found["of"] or ""))

    def either(self, depth: int) -> Fits:
        if depth > _DEEPEST:
            raise FormulaError("The terms of SEARCH are nested too deeply")
        choices = [self._all(depth)]
        while self._next("OR"):
            choices.append(self._all(depth))
        return choices[0] if len(choices) == 1 else lambda series: any(fits(series) for fits in choices)

    def _next(self, word: str) -> bool:
        there = bool(self.left) and self.left[0] == (word, "")
        if there:
            self.left.pop(0)
        return there

    def _all(self, depth: int) -> Fits:
        terms: list[Fits] = []
        while self.left and self.left[0] not in (("OR", ""), (")", "")):
            if not self._next("AND"):
                terms.append(self._term(depth))
        return lambda series: all(fits(series) for fits in terms)

    def _term(self, depth: int) -> Fits:
        if self._next("NOT"):
            if not self.left:
                raise FormulaError("NOT needs a term in SEARCH")
            wrong = self._term(depth + 1)
            return lambda series: not wrong(series)
        if self._next("("):
            inner = self.either(depth + 1)
            if not self._next(")"):
                raise FormulaError("A parenthesis is not closed in SEARCH")
            return inner
        word, of = self.left.pop(0)
        return _named(word.strip('"'), of) if of else _anywhere(word)


def _named(name: str, wanted: str) -> Fits:
    def fits(series: Series) -> bool:
        fields = {**dict(series.dimensions), "Namespace": series.namespace, "MetricName": series.metric}
        return name in fields and _is(fields[name], wanted)

    return fits


def _anywhere(wanted: str) -> Fits:
    def fits(series: Series) -> bool:
        fields = [series.namespace, series.metric, *(part for pair in series.dimensions for part in pair)]
        return any(_is(field, wanted) for field in fields)

    return fits


def _is(field: str, wanted: str) -> bool:
    """A text in quotes is the whole field; words are among those that it is made of."""
    if wanted.startswith('"'):
        return field == wanted.strip('"')
    has = {word.lower() for word in _WORDS.findall(field)} | {field.lower()}
    return wanted.lower() in has or {word.lower() for word in _WORDS.findall(wanted)} <= has
