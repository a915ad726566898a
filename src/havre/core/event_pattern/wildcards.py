"""``*`` in a wildcard stands for anything, also for nothing; ``\\*`` and ``\\\\`` are the characters themselves."""

from __future__ import annotations

from havre.core.event_pattern.model import PatternError, Test


def parts(pattern: str) -> list[str]:
    """The literal texts between the stars. Raises PatternError. Positions count the quote that JSON puts in front."""
    found, at = [""], 0
    star = False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            escaped = pattern[at + 1 : at + 2]
            if escaped not in ("*", "\\"):
                raise PatternError(f"Invalid escape character at pos {at + 1}")
            found[-1] += escaped
            at += 1
        elif char == "*":
            if star:
                raise PatternError(f"Consecutive wildcard characters at pos {at}")
            found.append("")
        else:
            found[-1] += char
        star = char == "*"
        at += 1
    return found


def wildcard(pattern: str) -> Test:
    """Takes time in proportion to the text. Raises PatternError."""
    literal = parts(pattern)
    if len(literal) == 1:
        return lambda value: isinstance(value, str) and value == literal[0]
    first, *middle, last = literal

    def matches(text: object) -> bool:
        if not isinstance(text, str) or len(text) < len(first) + len(last):
            return False
        if not text.startswith(first) or not text.endswith(last):
            return False
        at, end = len(first), len(text) - len(last)
        for part in middle:
            at = text.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True

    return matches
