"""Where the statements of a document stand in its text, as the policy simulator tells it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

_SPACE = re.compile(r"[ \t\r\n]*")
_READ = json.JSONDecoder().raw_decode


class Position(NamedTuple):
    """Both counted from one."""

    line: int
    column: int


def positions(text: str) -> list[tuple[Position, Position]]:
    """Of each statement, in order: behind what stands before it (a bracket, a comma or a colon), and behind its end.
    ``text`` is a document that has been parsed."""
    return [(_position(text, start), _position(text, end)) for start, end in _spans(text)]


def _position(text: str, at: int) -> Position:
    return Position(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))


def _spans(text: str) -> Iterator[tuple[int, int]]:
    at = _behind(text, 0) + 1
    while True:
        key, at = _READ(text, _behind(text, at))
        start = _behind(text, at) + 1
        first = _behind(text, start)
        if key == "Statement" and text[first] == "[":
            yield from _items(text, first + 1)
            return
        _, at = _READ(text, first)
        if key == "Statement":
            yield start, at
            return
        at = _behind(text, at) + 1


def _items(text: str, start: int) -> Iterator[tuple[int, int]]:
    while True:
        _, end = _READ(text, _behind(text, start))
        yield start, end
        start = _behind(text, end) + 1
        if text[start - 1] == "]":
            return


def _behind(text: str, at: int) -> int:
    """The next character that is not white space."""
    found = _SPACE.match(text, at)
    return found.end() if found is not None else at
