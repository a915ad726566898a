"""Wildcards and policy variables.

A pattern's text is split once into literal pieces and variables; what a variable stands for is never itself a pattern.
Characters that must be taken literally (``${*}``, and what variables bring) travel as private-use code points.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

STAR, QUESTION = "\ue000", "\ue001"
_QUOTE = str.maketrans({"*": STAR, "?": QUESTION})
_UNQUOTE = str.maketrans({STAR: "*", QUESTION: "?"})
_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_WITH_DEFAULT = re.compile(r"\s*([^,']+?)\s*,\s*'([^']*)'\s*\Z")
_ESCAPES = {"*": STAR, "?": QUESTION, "$": "$"}

Matcher = Callable[[str], bool]


class Variable:
    """``${key}`` or ``${key, 'default'}``."""

    __slots__ = ("default", "key")

    def __init__(self, key: str, default: str | None) -> None:
        self.key = key
        self.default = default


class Template:
    """A text with policy variables, split into its pieces."""

    __slots__ = ("fixed", "pieces")

    def __init__(self, text: str, variables: bool) -> None:
        """``variables`` is False for policies of version 2008-10-17, where ``${…}`` is plain text."""
        self.pieces: tuple[str | Variable, ...] = tuple(_split(text)) if variables else (text,)
        self.fixed: str | None = None
        if all(isinstance(p, str) for p in self.pieces):
            self.fixed = "".join(p for p in self.pieces if isinstance(p, str))

    def expand(self, context: Mapping[str, Sequence[str]]) -> str | None:
        """The pattern's text for this request; None when a variable has no single value and no default."""
        if self.fixed is not None:
            return self.fixed
        out = []
        for piece in self.pieces:
            if isinstance(piece, str):
                out.append(piece)
                continue
            values = context.get(piece.key)
            if values is not None and len(values) == 1:
                out.append(values[0].translate(_QUOTE))
            elif not values and piece.default is not None:
                out.append(piece.default.translate(_QUOTE))
            else:
                return None
        return "".join(out)


def _split(text: str) -> list[str | Variable]:
    pieces: list[str | Variable] = []
    at = 0
    for found in _VARIABLE.finditer(text):
        if found.start() > at:
            pieces.append(text[at : found.start()])
        inside = found.group(1)
        with_default = _WITH_DEFAULT.match(inside)
        if inside in _ESCAPES:
            pieces.append(_ESCAPES[inside])
        elif with_default:
            pieces.append(Variable(with_default.group(1).lower(), with_default.group(2)))
        else:
            pieces.append(Variable(inside.strip().lower(), None))
        at = found.end()
    if at < len(text):
        pieces.append(text[at:])
    return pieces


def literal(pattern: str) -> str:
    """The pattern's text where wildcards mean nothing."""
    return pattern.translate(_UNQUOTE)


@lru_cache(maxsize=4096)
def glob(pattern: str, ignore_case: bool = False) -> Matcher:
    """A test of ``*`` (any characters) and ``?`` (exactly one) over the whole text."""
    if pattern.strip("*") == "" and pattern:
        return _anything
    if "*" not in pattern and "?" not in pattern:
        plain = literal(pattern)
        if ignore_case:
            lowered = plain.lower()
            return lambda text: text.lower() == lowered
        return plain.__eq__
    compiled = re.compile(_regex(pattern), re.S | re.I if ignore_case else re.S)
    return lambda text: compiled.match(text) is not None


def _anything(_text: str) -> bool:
    return True


def _regex(pattern: str) -> str:
    """Each piece between two stars is found as early as possible and never given back (atomic), so that no pattern,
    however unkind, takes more than linear time per star."""
    first, *rest = re.split(r"\*+", pattern)
    out = [_piece(first)]
    for number, piece in enumerate(rest, 1):
        if number == len(rest):
            out.append(f".*{_piece(piece)}")
        else:
            out.append(f"(?>.*?{_piece(piece)})")
    return "".join(out) + r"\Z"


def _piece(text: str) -> str:
    return "".join("." if c == "?" else re.escape(literal(c)) for c in text)


def any_of(patterns: Sequence[str], ignore_case: bool = False) -> Matcher:
    """A test that one of the patterns matches: exact texts by hash, the rest one after the other."""
    if any(p.strip("*") == "" for p in patterns):
        return _anything
    plain = frozenset((literal(p).lower() if ignore_case else literal(p)) for p in patterns if not _wild(p))
    globs = tuple(glob(p, ignore_case) for p in patterns if _wild(p))

    def test(text: str) -> bool:
        if (text.lower() if ignore_case else text) in plain:
            return True
        return any(g(text) for g in globs)

    return test


def _wild(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def arn_like(pattern: str, text: str) -> bool:
    """``ArnLike``: each of the six parts on its own; a star does not reach over a colon of the first five."""
    if pattern == "*":
        return True
    wanted, given = pattern.split(":", 5), text.split(":", 5)
    if len(wanted) != 6 or len(given) != 6:
        return False
    return all(glob(w)(g) if w else not g for w, g in zip(wanted, given, strict=True))
