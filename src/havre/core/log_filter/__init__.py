"""CloudWatch Logs' filter patterns: terms, JSON conditions, space-delimited fields, regular expressions.

The rule of this package: a pattern is compiled once and then decides on any message in time that is bounded by pattern and
message, whatever either of them holds. What AWS refuses as a pattern is refused.
"""

from collections.abc import Callable

from havre.core.log_filter.fields import compile_fields, field_selector
from havre.core.log_filter.json_conditions import compile_json, json_selector
from havre.core.log_filter.model import Filter, FilterPatternError
from havre.core.log_filter.terms import compile_terms

__all__ = ["Filter", "FilterPatternError", "compile_filter", "compile_selector"]

LONGEST = 1024


def compile_filter(pattern: str) -> Filter:
    """Raises FilterPatternError, in AWS's words where they are known. The empty pattern matches everything."""
    text = pattern.strip()
    if len(pattern) > LONGEST:
        raise FilterPatternError(f"The filter pattern is longer than {LONGEST} characters")
    if text.startswith("{"):
        return compile_json(text)
    if text.startswith("["):
        return compile_fields(text)
    return compile_terms(text)


def compile_selector(pattern: str, text: str) -> Callable[[str], str | None]:
    """What one selector finds in messages that match ``pattern``: ``$.user.id`` where that is about JSON, ``$user`` where it
    names fields. It gives None for what is not there, or is null, an object or an array. Raises FilterPatternError."""
    kind = pattern.strip()[:1]
    if kind == "{":
        return json_selector(text)
    if kind == "[":
        return field_selector(pattern.strip(), text)
    raise FilterPatternError("Terms have no fields to select")
