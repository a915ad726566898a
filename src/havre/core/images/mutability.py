"""Which tags may be moved to another image."""

from __future__ import annotations

from collections.abc import Sequence

from havre.core.globs import fits

MUTABLE, IMMUTABLE = "MUTABLE", "IMMUTABLE"
IMMUTABLE_EXCEPT, MUTABLE_EXCEPT = "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION"
SETTINGS = (MUTABLE, IMMUTABLE, IMMUTABLE_EXCEPT, MUTABLE_EXCEPT)
FILTER_LIMIT = 5
WILDCARD_LIMIT = 2
"""Wildcards in one filter, as in ECR."""


def is_movable(tag: str, setting: str, filters: Sequence[str] = ()) -> bool:
    """``filters`` are the patterns (``*`` for anything) whose tags are excluded from what ``setting`` says."""
    excluded = setting in (IMMUTABLE_EXCEPT, MUTABLE_EXCEPT) and any(matches(f, tag) for f in filters)
    return (setting in (MUTABLE, MUTABLE_EXCEPT)) != excluded


def matches(pattern: str, text: str) -> bool:
    """``*`` stands for any number of characters; everything else for itself."""
    return fits(text, pattern.split("*"))
