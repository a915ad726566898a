"""Rules of composite alarms: ``ALARM(a) AND NOT (OK("b") OR INSUFFICIENT_DATA(c))``.

``OR`` binds least, ``NOT`` most. An alarm is named by its name or its ARN, with or without quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec

MOST_ELEMENTS, MOST_CHILDREN = 500, 100
DEEPEST = 50
_TOKEN = re.compile(
    r'\s*(?:(?P<state>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:"(?P<quoted>[^"]*)"|(?P<bare>[^()"]*?))\s*\)'
    r"|(?P<word>AND|OR|NOT|TRUE|FALSE)(?![A-Za-z0-9_])|(?P<mark>[()]))",
    re.IGNORECASE,
)


class RuleError(Exception):
    """What is wrong with a rule, in words for its author."""


class Is(msgspec.Struct, frozen=True):
    """Whether the alarm of this name is in this state."""

    alarm: str
    state: str


class Constant(msgspec.Struct, frozen=True):
    value: bool


class Not(msgspec.Struct, frozen=True):
    of: Rule


class All(msgspec.Struct, frozen=True):
    of: tuple[Rule, ...]


class Either(msgspec.Struct, frozen=True):
    of: tuple[Rule, ...]


Rule: TypeAlias = Is | Constant | Not | All | Either


def parse(text: str) -> Rule:
    """Raises RuleError."""
    reader = _Reader(list(_tokens(text)))
    rule = reader.either(0)
    if reader.left:
        raise RuleError(f"unexpected '{reader.left[0]}'")
    if len(children(rule)) > MOST_CHILDREN:
        raise RuleError(f"it has more than {MOST_CHILDREN} child alarms")
    return rule


def _tokens(text: str) -> Iterator[Is | str]:
    place, end = 0, len(text.rstrip())
    count = 0
    while place < end:
        found = _TOKEN.match(text, place)
        if found is None:
            raise RuleError(f"unexpected '{text[place:].lstrip()[:20]}'")
        place = found.end()
        count += 1
        if count > MOST_ELEMENTS:
            raise RuleError(f"it has more than {MOST_ELEMENTS} elements")
        if not found["state"]:
            yield found["mark"] or found["word"].upper()
            continue
        name = found["quoted"] if found["quoted"] is not None else found["bare"]
        if not name:
            raise RuleError(f"{found['state']} needs the name of an alarm")
        yield Is(_name(name), found["state"].upper())


def _name(given: str) -> str:
    """Of a name or an ARN."""
    return given.split(":alarm:", 1)[1] if given.startswith("arn:") and ":alarm:" in given else given


class _Reader:
    def __init__(self, tokens: list[Is | str]) -> None:
        self.left = tokens[::-1]
        """The next one is the last."""

    def _next(self, word: str) -> bool:
        if self.left and self.left[-1] == word:
            self.left.pop()
            return True
        return False

    def either(self, depth: int) -> Rule:
        if depth > DEEPEST:
            raise RuleError("it is nested too deeply")
        found = [self._all(depth)]
        while self._next("OR"):
            found.append(self._all(depth))
        return found[0] if len(found) == 1 else Either(tuple(found))

    def _all(self, depth: int) -> Rule:
        found = [self._one(depth)]
        while self._next("AND"):
            found.append(self._one(depth))
        return found[0] if len(found) == 1 else All(tuple(found))

    def _one(self, depth: int) -> Rule:
        if depth > DEEPEST:
            raise RuleError("it is nested too deeply")
        if self._next("NOT"):
            return Not(self._one(depth + 1))
        if self._next("("):
            inner = self.either(depth + 1)
            if not self._next(")"):
                raise RuleError("a parenthesis is not closed")
            return inner
        if not self.left:
            raise RuleError("it ends too early")
        token = self.left.pop()
        if isinstance(token, Is):
            return token
        if token in ("TRUE", "FALSE"):
            return Constant(token.startswith("T"))
        raise RuleError(f"unexpected '{token}'")


def children(rule: Rule) -> tuple[str, ...]:
    """The names of the alarms that it asks for, each once, in their order."""
    return tuple(dict.fromkeys(_children(rule)))


def _children(rule: Rule) -> Iterator[str]:
    if isinstance(rule, Is):
        yield rule.alarm
    elif isinstance(rule, Not):
        yield from _children(rule.of)
    elif isinstance(rule, All | Either):
        for each in rule.of:
            yield from _children(each)


def holds(rule: Rule, states: Mapping[str, str]) -> bool:
    """``states``: alarm → its state; one that is not there is in none."""
    if isinstance(rule, Is):
        return states.get(rule.alarm) == rule.state
    if isinstance(rule, Constant):
        return rule.value
    if isinstance(rule, Not):
        return not holds(rule.of, states)
    of = (holds(each, states) for each in rule.of)
    return all(of) if isinstance(rule, All) else any(of)
