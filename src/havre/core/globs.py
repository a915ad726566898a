"""Texts with gaps that anything fits into. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def fits(text: str, literal: Sequence[str]) -> bool:
    """Whether ``text`` is the literal texts in their order, with anything between each two of them, also nothing. Takes time
    in proportion to the text."""
    if len(literal) == 1:
        return text == literal[0]
    first, *middle, last = literal
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
