"""The error of a pattern, and the shape of what decides on one value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Test = Callable[[Any], bool]
"""Decides on one scalar of an event: str, int, float, bool or None."""


class PatternError(ValueError):
    """What AWS says of a pattern that is not one: the reason in ``Event pattern is not valid. Reason: …``."""


class Unreadable(PatternError):
    """The text is no JSON."""


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
