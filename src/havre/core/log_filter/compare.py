"""Operands and comparisons, as conditions on JSON and on fields use them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from havre.core.globs import fits
from havre.core.log_filter.model import Scanner
from havre.core.log_filter.regex import compile_regex

OPERATOR = re.compile(r"!=|>=|<=|=|>|<")
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
REGEX = re.compile(r"%((?:[^%\\]|\\.)*)%")
MOST_REGEXES = 2
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def number(text: str) -> float | None:
    """The number that the whole text is, or None."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def glob(pattern: str) -> Callable[[str], bool]:
    """``*`` stands for anything, also for nothing. Takes time in proportion to the text."""
    parts = pattern.split("*")
    return pattern.__eq__ if len(parts) == 1 else lambda text: fits(text, parts)


class Comparison:
    """``operator`` and what it compares with. A value that is not there compares as false, with ``!=`` too."""

    __slots__ = ("_negated", "_number", "_order", "_text")

    def __init__(self, scanner: Scanner, bare: re.Pattern[str], regexes: list[str]) -> None:
        found = scanner.take(OPERATOR)
        if found is None:
            raise scanner.error("expected an operator")
        operator = found[0]
        self._negated = operator == "!="
        self._number: float | None = None
        self._order = operator if operator in ("<", "<=", ">", ">=") else ""
        self._text = self._operand(scanner, bare, regexes)
        if self._order and self._number is None:
            raise scanner.error(f"'{operator}' compares numbers only")

    def _operand(self, scanner: Scanner, bare: re.Pattern[str], regexes: list[str]) -> Callable[[str], bool]:
        if (found := scanner.take(REGEX)) is not None:
            regexes.append(found[1])
            if len(regexes) > MOST_REGEXES:
                raise scanner.error(f"more than {MOST_REGEXES} regular expressions")
            return compile_regex(found[1])
        if (found := scanner.take(QUOTED)) is not None:
            return glob(unquote(found[1]))
        if (found := scanner.take(bare)) is None:
            raise scanner.error("expected a value")
        self._number = number(found[0])
        return glob(found[0])

    def text(self, value: str) -> bool:
        """Compare a piece of text: as a number where both are."""
        if self._number is not None and (own := number(value)) is not None:
            return self.number(own)
        return not self._order and self._text(value) != self._negated

    def number(self, value: float, text: str = "") -> bool:
        """Compare a number; ``text`` is how it was written, for wildcards (``4*``)."""
        wanted = self._number
        if wanted is None:
            return not self._order and self._text(text or _plain(value)) != self._negated
        if self._order:
            below, same = value < wanted, value == wanted
            return {"<": below, "<=": below or same, ">": not below and not same, ">=": not below}[self._order]
        return (value == wanted) != self._negated


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
