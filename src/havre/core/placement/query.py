"""The cluster query language of ECS: ``attribute:ecs.instance-type =~ t2.* and attribute:stack exists``."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import lru_cache

Value = str | Collection[str] | None
Facts = Callable[[str], Value]
"""Gives the value of a subject: None where it is not set, several strings for ``task:group``."""
Expression = Callable[[Facts], bool]

MAX_LENGTH = 2000
_TOKEN = re.compile(
    r"\s*(?:(?P<sign>\(|\)|\[|\]|,|&&|\|\||==|!=|=~|!~|<=|>=|<|>|!)|\"(?P<quoted>[^\"]*)\"|(?P<word>[^\s()\[\],=!<>~&|\"]+))"
)
_RAW = re.compile(r"\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s)\]]+))")
_LITERAL = re.compile(r"\\.|\[\^?\]?[^\]]*\]", re.DOTALL)
_REPEATED_GROUP = re.compile(r"\)[+*{]")
_ODD_GROUP = re.compile(r"\(\?(?!:|=|!|<[=!]|i[:)])")
"""Comments among them, in which brackets are no brackets."""
MOST_REPEATED, MOST_OPTIONAL = 3, 10
"""What would let a user stop the scheduler: Python's engine tries every way of sharing a value out among repetitions."""
_SUBJECTS = {"agentConnected", "agentVersion", "ec2InstanceId", "registeredAt", "runningTasksCount", "task:group"}
_WORDS = {
    "equals": "==",
    "not_equals": "!=",
    "matches": "=~",
    "not_matches": "!~",
    "greater_than": ">",
    "greater_than_equal": ">=",
    "less_than": "<",
    "less_than_equal": "<=",
    "in": "in",
    "not_in": "not_in",
    "exists": "exists",
    "not_exists": "not_exists",
}


class QueryError(ValueError):
    """The expression does not parse; the message says where."""


@lru_cache(maxsize=512)
def parse(text: str) -> Expression:
    """Raises QueryError. Nesting and length are bounded."""
    if len(text) > MAX_LENGTH:
        raise QueryError("the expression is too long")
    reader = _Reader(text)
    expression = _either(reader, 0)
    if reader.peek() is not None:
        raise QueryError(f"unexpected {reader.peek()!r}")
    return expression


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def _match(self) -> re.Match[str] | None:
        if not self._text[self._at :].strip():
            return None
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise QueryError(f"cannot read {self._text[self._at :].strip()[:20]!r}")
        return found

    def peek(self) -> str | None:
        found = self._match()
        return None if found is None else found["sign"] or found["word"] or found["quoted"] or ""

    def next(self) -> str:
        found = self._match()
        if found is None:
            raise QueryError("the expression ends too early")
        self._at = found.end()
        return found["sign"] or found["word"] or found["quoted"] or ""

    def take(self, *choices: str) -> bool:
        token = self.peek()
        if token is None or token.lower() not in choices:
            return False
        self.next()
        return True

    def raw(self) -> str:
        """An argument that may hold any sign, such as a regular expression."""
        found = _RAW.match(self._text, self._at)
        if found is None:
            raise QueryError("a value is missing")
        self._at = found.end()
        return next(g for g in found.groups() if g is not None)


def _either(reader: _Reader, depth: int) -> Expression:
    if depth > 50:
        raise QueryError("the expression is nested too deeply")
    left = _both(reader, depth)
    while reader.take("or", "||"):
        left = _or(left, _both(reader, depth))
    return left


def _or(a: Expression, b: Expression) -> Expression:
    return lambda facts: a(facts) or b(facts)


def _both(reader: _Reader, depth: int) -> Expression:
    left = _negated(reader, depth)
    while reader.take("and", "&&"):
        left = _and(left, _negated(reader, depth))
    return left


def _and(a: Expression, b: Expression) -> Expression:
    return lambda facts: a(facts) and b(facts)


def _negated(reader: _Reader, depth: int) -> Expression:
    if reader.take("not", "!"):
        inner = _negated(reader, depth + 1) if depth < 50 else _either(reader, depth + 1)
        return lambda facts: not inner(facts)
    if reader.take("("):
        inside = _either(reader, depth + 1)
        if not reader.take(")"):
            raise QueryError("a closing parenthesis is missing")
        return inside
    return _comparison(reader)


def _comparison(reader: _Reader) -> Expression:
    subject = reader.next()
    if not (subject in _SUBJECTS or (subject.startswith("attribute:") and len(subject) > 10)):
        raise QueryError(f"unknown subject {subject!r}")
    operator = reader.next().lower()
    if operator == "!":
        operator = f"not_{reader.next().lower()}"
    operator = _WORDS.get(operator, operator)
    if operator in ("exists", "not_exists"):
        wanted = operator == "exists"
        return lambda facts: (facts(subject) is not None) == wanted
    if operator in ("in", "not_in"):
        return _membership(subject, _list(reader), operator == "in")
    if operator in ("=~", "!~"):
        return _pattern(subject, reader.raw(), operator == "=~")
    if operator in ("==", "!="):
        return _equality(subject, reader.raw(), operator == "==")
    if operator in ("<", "<=", ">", ">="):
        return _order(subject, operator, reader.raw())
    raise QueryError(f"unknown operator {operator!r}")


def _list(reader: _Reader) -> frozenset[str]:
    if not reader.take("["):
        raise QueryError("a list in brackets is missing")
    values = []
    while True:
        values.append(reader.next())
        if reader.take("]"):
            return frozenset(values)
        if not reader.take(","):
            raise QueryError("a comma or a closing bracket is missing")


def _strings(value: Value) -> Collection[str]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


def _membership(subject: str, values: frozenset[str], wanted: bool) -> Expression:
    return lambda facts: any(v in values for v in _strings(facts(subject))) == wanted


def _equality(subject: str, value: str, wanted: bool) -> Expression:
    return lambda facts: (value in _strings(facts(subject))) == wanted


def _pattern(subject: str, text: str, wanted: bool) -> Expression:
    if _ODD_GROUP.search(text):
        raise QueryError(f"the regular expression {text!r} has a group of a kind that is not taken")
    bare = _LITERAL.sub("x", text)
    if _REPEATED_GROUP.search(bare):
        raise QueryError(f"the regular expression {text!r} repeats a group")
    if len(re.findall(r"[+*{]", bare)) > MOST_REPEATED or bare.count("?") > MOST_OPTIONAL:
        raise QueryError(f"the regular expression {text!r} has more than {MOST_REPEATED} repetitions")
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise QueryError(f"bad regular expression {text!r}: {error}") from None
    return lambda facts: any(pattern.fullmatch(v) for v in _strings(facts(subject))) == wanted


def _order(subject: str, operator: str, limit: str) -> Expression:
    def holds(facts: Facts) -> bool:
        found = facts(subject)
        if not isinstance(found, str):
            return False
        a, b = _comparable(found), _comparable(limit)
        if type(a) is not type(b):
            a, b = found, limit
        below, same = a < b, a == b  # type: ignore[operator]
        return {"<": below, "<=": below or same, ">": not below and not same, ">=": not below}[operator]

    return holds


def _comparable(text: str) -> float | tuple[int, ...] | str:
    try:
        return float(text)
    except ValueError:
        pass
    parts = text.split(".")
    return tuple(int(p) for p in parts) if all(p.isdecimal() for p in parts) else text
