"""``*`` in a wildcard stands for anything, also for nothing; ``\\*`` and ``\\\\`` are the characters themselves."""

from __future__ import annotations

from havre.core.event_pattern.model import PatternError, Test
from havre.core.globs import fits


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
    return lambda value: isinstance(value, str) and fits(value, literal)
