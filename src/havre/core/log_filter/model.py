"""What all kinds of patterns share: the compiled form, the error, the scanner, and boolean expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Test = Callable[[T], bool]


class FilterPatternError(ValueError):
    """The pattern is not one. The text is fit for a user's eyes."""


class Filter:
    """``matches`` decides on a message; ``extract`` gives what the pattern names in it (TestMetricFilter)."""

    __slots__ = ("extract", "matches")

    def __init__(
        self, matches: Callable[[str], bool], extract: Callable[[str], Mapping[str, str]] | None = None
    ) -> None:
        self.matches = matches
        self.extract = extract or (lambda message: {})


class Scanner:
    """Reads a pattern from left to right, skipping white space before each piece."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def _skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Consume the pattern if it stands next."""
        self._skip()
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def accept(self, literal: str) -> bool:
        """Consume the literal if it stands next."""
        self._skip()
        if not self.text.startswith(literal, self.at):
            return False
        self.at += len(literal)
        return True

    def expect(self, literal: str) -> None:
        if not self.accept(literal):
            raise self.error(f"expected '{literal}'")

    @property
    def ended(self) -> bool:
        self._skip()
        return self.at >= len(self.text)

    def error(self, what: str) -> FilterPatternError:
        return FilterPatternError(f"Invalid filter pattern: {what} at position {self.at + 1}")


DEEPEST = 32


class Conditions(Generic[T]):
    """``&&`` binds closer than ``||``; parentheses group. ``simple`` reads one condition."""

    def __init__(self, scanner: Scanner, simple: Callable[[Scanner], Test[T]]) -> None:
        self._scanner = scanner
        self._simple = simple
        self._depth = 0

    def read(self) -> Test[T]:
        return self._joined("||", self._all, any)

    def _all(self) -> Test[T]:
        return self._joined("&&", self._one, all)

    def _joined(self, sign: str, part: Callable[[], Test[T]], decide: Callable[[Any], bool]) -> Test[T]:
        tests = [part()]
        while self._scanner.accept(sign):
            tests.append(part())
        return tests[0] if len(tests) == 1 else _combine(tests, decide)

    def _one(self) -> Test[T]:
        if not self._scanner.accept("("):
            return self._simple(self._scanner)
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._scanner.error("too many parentheses")
        inner = self.read()
        self._scanner.expect(")")
        self._depth -= 1
        return inner


def _combine(tests: Sequence[Test[T]], decide: Callable[[Any], bool]) -> Test[T]:
    return lambda subject: decide(test(subject) for test in tests)
