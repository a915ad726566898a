"""The regular expressions that AWS allows between percent signs: no groups, no references.

Python's engine decides where its worst case is small; an automaton that looks at each character once decides elsewhere. So
no pattern on no message can hold up the process.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from havre.core.log_filter.model import FilterPatternError

_LITERALS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_#=@/;,- ")
_ESCAPED = frozenset("^$?[]{}|\\*+.:_#=@/;,-")
_CLASSES: dict[str, Callable[[str], bool]] = {
    "d": lambda c: c in "0123456789",
    "D": lambda c: c not in "0123456789",
    "s": lambda c: c in " \t\n\r\f\v",
    "S": lambda c: c not in " \t\n\r\f\v",
    "w": lambda c: c.isascii() and (c.isalnum() or c == "_"),
    "W": lambda c: not (c.isascii() and (c.isalnum() or c == "_")),
}
_REPEAT = re.compile(r"\{(\d{1,3})(?:(,)(\d{1,3})?)?\}")
STATES = 2000
WORK = 5_000_000
"""Steps that Python's engine may need at worst before the automaton takes over."""
EVER = -1
Piece = tuple[Callable[[str], bool], int, int]
"""What a character must be, how often at least, how often at most (EVER: without bound)."""


class _Branch:
    """One alternative: pieces between optional anchors."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.anchored_start = False
        self.anchored_end = False


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.branches = [_Branch()]

    def parse(self) -> list[_Branch]:
        while self.at < len(self.source):
            self._step()
        if sum(max(low, high, 1) for b in self.branches for _, low, high in b.pieces) > STATES:
            raise _bad(self.source, "it is too large")
        return self.branches

    def _step(self) -> None:
        c, branch = self.source[self.at], self.branches[-1]
        if branch.anchored_end and c != "|":
            raise _bad(self.source, "'$' may only stand at an end")
        if c == "|":
            self.at += 1
            self.branches.append(_Branch())
        elif c == "^":
            if branch.pieces:
                raise _bad(self.source, "'^' may only stand at a beginning")
            self.at += 1
            branch.anchored_start = True
        elif c == "$":
            self.at += 1
            branch.anchored_end = True
        else:
            test = self._atom(c)
            branch.pieces.append((test, *self._repeat()))

    def _atom(self, c: str) -> Callable[[str], bool]:
        if c == "[":
            return self._set()
        self.at += 1
        if c == ".":
            return lambda x: x != "\n"
        if c == "\\":
            return self._escape()
        if c not in _LITERALS:
            raise _bad(self.source, f"'{c}' is not supported")
        return c.__eq__

    def _escape(self) -> Callable[[str], bool]:
        c = self.source[self.at : self.at + 1]
        self.at += 1
        if c in _CLASSES:
            return _CLASSES[c]
        if not c or c not in _ESCAPED:
            raise _bad(self.source, f"'\\{c}' is not supported")
        return c.__eq__

    def _set(self) -> Callable[[str], bool]:
        end = self.at + 1
        while end < len(self.source) and (self.source[end] != "]" or end == self.at + 1):
            end += 2 if self.source[end] == "\\" else 1
        inside = self.source[self.at + 1 : end]
        if end >= len(self.source) or not inside or inside == "^":
            raise _bad(self.source, "a set is not closed")
        self.at = end + 1
        if any(c not in _LITERALS and c not in _ESCAPED for c in inside):
            raise _bad(self.source, f"the set [{inside}] has unsupported characters")
        return _member(self.source, inside)

    def _repeat(self) -> tuple[int, int]:
        c = self.source[self.at : self.at + 1]
        if c in ("?", "*", "+"):
            self.at += 1
            return {"?": (0, 1), "*": (0, EVER), "+": (1, EVER)}[c]
        if c != "{":
            return 1, 1
        found = _REPEAT.match(self.source, self.at)
        if found is None:
            raise _bad(self.source, "'{' begins no repetition")
        self.at = found.end()
        low = int(found[1])
        high = low if not found[2] else int(found[3]) if found[3] else EVER
        if high != EVER and high < low:
            raise _bad(self.source, "a repetition ends below its beginning")
        return low, high


def _bad(source: str, why: str) -> FilterPatternError:
    return FilterPatternError(f"Invalid filter pattern: the regular expression %{source}% is not supported: {why}")


def _member(source: str, inside: str) -> Callable[[str], bool]:
    try:
        found = re.compile(f"[{inside}]", re.ASCII).fullmatch
    except re.error as error:
        raise _bad(source, str(error)) from None
    return lambda c: found(c) is not None


def compile_regex(source: str) -> Callable[[str], bool]:
    """A search for the expression anywhere in a text. Raises FilterPatternError for what AWS does not support."""
    if not source:
        raise _bad(source, "it is empty")
    branches = _Parser(source).parse()
    try:
        search = re.compile(source, re.ASCII).search
    except re.error as error:
        raise _bad(source, str(error)) from None
    freedom = 1 + max(sum(1 for _, low, high in b.pieces if low != high) for b in branches)

    def matches(text: str) -> bool:
        if (len(text) + 1) ** freedom * len(source) <= WORK:
            return search(text) is not None
        return any(_automaton(branch, text) for branch in branches)

    return matches


def _automaton(branch: _Branch, text: str) -> bool:
    """State n: the first n steps are behind us. ``loops`` are states that a character may leave as they are."""
    steps: list[tuple[Callable[[str], bool], bool]] = []
    loops: dict[int, Callable[[str], bool]] = {}
    for test, low, high in branch.pieces:
        steps += [(test, False)] * low
        if high == EVER:
            if len(steps) in loops:  # what repeats before must not repeat behind: a state of its own
                steps.append((_never, True))
            loops[len(steps)] = test
        else:
            steps += [(test, True)] * (high - low)
    last = len(steps)
    active = _closure({0}, steps)
    if last in active and not (branch.anchored_end and text not in ("", "\n")):
        return True
    for n, c in enumerate(text):
        moved = {s + 1 for s in active if s < last and steps[s][0](c)}
        moved |= {s for s in active if s in loops and loops[s](c)}
        if not branch.anchored_start:
            moved.add(0)
        active = _closure(moved, steps)
        if last in active and (not branch.anchored_end or _at_end(text, n)):
            return True
        if not active:
            return False
    return False


def _never(c: str) -> bool:
    return False


def _at_end(text: str, n: int) -> bool:
    return n == len(text) - 1 or (n == len(text) - 2 and text[-1] == "\n")


def _closure(states: set[int], steps: list[tuple[Callable[[str], bool], bool]]) -> set[int]:
    """With all that can be reached by leaving out optional steps."""
    reached = set(states)
    for state in states:
        while state < len(steps) and steps[state][1]:
            state += 1
            reached.add(state)
    return reached
